import { join } from 'node:path';
import { type ServiceProcess, startServiceProcess } from './service-process.ts';
import type { Stack } from './stack.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** Starts one more executor on a stack's database and registry; the gateway does not know it, so it has only the work that it takes itself. */
export function startSecondExecutor(stack: Stack, env: Readonly<Record<string, string>> = {}): Promise<ServiceProcess> {
  const { PATH = '', HOME = '/', TMPDIR } = process.env;
  return startServiceProcess({
    name: 'second executor',
    command: process.execPath,
    args: [join(ROOT, 'services', 'executor', 'main.ts')],
    cwd: ROOT,
    env: {
      ...{ PATH, HOME, ...(TMPDIR ? { TMPDIR } : {}) },
      DATABASE_URL: stack.databaseUrl,
      SIGNET_INTERNAL_TOKEN: stack.internalToken,
      SIGNET_SECRET_KEY: stack.secretKey,
      SIGNET_REGISTRY_ADDRESS: stack.address('registry'),
      SIGNET_EXECUTOR_ADDRESS: '127.0.0.1:0',
      // Port 9 answers nobody: these executors run the mock engine only.
      SIGNET_SIDECAR_ADDRESS: '127.0.0.1:9',
      ...env,
    },
  });
}
