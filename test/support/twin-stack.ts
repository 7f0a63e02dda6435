import { createHmac, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { checkHealth } from '@signet/kit/process/check-health.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { createTestDatabase } from './database.ts';
import { findSidecarPython } from './python.ts';
import { type ServiceProcess, type ServiceProcessSpec, startServiceProcess } from './service-process.ts';
import type { Doors } from './steady-load.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** The services of which there are two. */
export type TwinName = 'sidecar' | 'registry' | 'executor' | 'gateway';

/** Two of each service on one database, each knowing both of the others. */
export type TwinStack = {
  readonly adminKey: string;
  readonly databaseUrl: string;
  /** The doors of both gateways. */
  readonly doors: readonly [Doors, Doors];
  /** Asks one to end, waits until it has, starts it again where it was and waits until it serves. Gives the exit code. */
  restart(name: TwinName, at: 0 | 1): Promise<number | null>;
  /** Everything that the processes printed. */
  logs(): string;
  close(): Promise<void>;
};

/** Starts two of each service; `lm` is the language model's endpoint. */
export async function startTwinStack(lm: string): Promise<TwinStack> {
  const database = await createTestDatabase();
  const secretKey = randomBytes(32).toString('hex');
  const twins = new Twins({
    lm,
    databaseUrl: database.url,
    secretKey,
    internalToken: createHmac('sha256', secretKey).update('internal-token').digest('hex'),
    adminKey: `admin-${randomBytes(24).toString('hex')}`,
  });
  const close = async (): Promise<void> => {
    await twins.stop();
    await database.drop();
  };
  try {
    for (const name of ['sidecar', 'registry', 'executor', 'gateway'] as const) {
      await Promise.all([twins.start(name, 0), twins.start(name, 1)]);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const doors = (at: 0 | 1): Doors => twins.listening('gateway', at) as Doors;
  return {
    adminKey: twins.secrets.adminKey,
    databaseUrl: database.url,
    doors: [doors(0), doors(1)],
    restart: (name, at) => twins.restart(name, at),
    logs: () => twins.logs(),
    close,
  };
}

type Secrets = { lm: string; databaseUrl: string; secretKey: string; internalToken: string; adminKey: string };

class Twins {
  readonly secrets: Secrets;
  private readonly running = new Map<string, ServiceProcess>();
  private readonly addresses = new Map<string, Readonly<Record<string, string>>>();
  private readonly all: ServiceProcess[] = [];

  constructor(secrets: Secrets) {
    this.secrets = secrets;
  }

  async start(name: TwinName, at: 0 | 1): Promise<void> {
    const process = await startServiceProcess(this.spec(name, at));
    this.all.push(process);
    this.running.set(`${name} ${at}`, process);
    this.addresses.set(`${name} ${at}`, process.listening);
    const address = process.listening.grpc ?? process.listening.address ?? '';
    await eventually(async () => {
      if (!(await checkHealth(address, 2_000))) throw new Error(`${name} ${at} does not serve`);
    }, 25_000);
  }

  async restart(name: TwinName, at: 0 | 1): Promise<number | null> {
    const process = this.running.get(`${name} ${at}`)!;
    process.kill('SIGTERM');
    const { code } = await process.ended;
    await this.start(name, at);
    return code;
  }

  async stop(): Promise<void> {
    for (const name of ['gateway', 'executor', 'registry', 'sidecar']) {
      await Promise.all([0, 1].map((at) => this.running.get(`${name} ${at}`)?.stop()));
    }
  }

  listening(name: TwinName, at: 0 | 1): Readonly<Record<string, string>> {
    return this.addresses.get(`${name} ${at}`) ?? {};
  }

  logs(): string {
    return this.all.flatMap(({ lines }) => lines).join('\n');
  }

  private spec(name: TwinName, at: 0 | 1): ServiceProcessSpec {
    const { PATH = '', HOME = '/', TMPDIR } = process.env;
    const base = { PATH, HOME, ...(TMPDIR ? { TMPDIR } : {}), SIGNET_INTERNAL_TOKEN: this.secrets.internalToken };
    const env = { ...base, ...this.envOf(name, at) };
    if (name === 'sidecar') {
      const command = findSidecarPython();
      if (command === undefined) throw new Error('no Python for the sidecar');
      return { name, command, args: ['-m', 'signet_sidecar'], cwd: join(ROOT, 'python-sidecar'), env };
    }
    return { name, command: process.execPath, args: [join(ROOT, 'services', name, 'main.ts')], cwd: ROOT, env };
  }

  private envOf(name: TwinName, at: 0 | 1): Record<string, string> {
    const { lm, databaseUrl, secretKey, adminKey } = this.secrets;
    const own = this.listening(name, at);
    const door = own.grpc ?? own.address ?? '127.0.0.1:0';
    const both = (other: TwinName): string =>
      [this.listening(other, 0), this.listening(other, 1)].map(({ grpc, address }) => grpc ?? address).join(',');
    const stored = { DATABASE_URL: databaseUrl, SIGNET_SECRET_KEY: secretKey };
    switch (name) {
      case 'sidecar':
        return { SIGNET_SIDECAR_ADDRESS: door, SIGNET_SIDECAR_WORKERS: '1' };
      case 'registry':
        return { ...stored, SIGNET_REGISTRY_ADDRESS: door, SIGNET_ADMIN_KEY: adminKey };
      case 'executor':
        return {
          ...stored,
          SIGNET_EXECUTOR_ADDRESS: door,
          SIGNET_REGISTRY_ADDRESS: both('registry'),
          SIGNET_SIDECAR_ADDRESS: both('sidecar'),
          SIGNET_LM_MODEL: 'openai/scripted',
          SIGNET_LM_API_BASE: lm,
        };
      case 'gateway':
        return {
          SIGNET_HTTP_ADDRESS: own.http ?? '127.0.0.1:0',
          SIGNET_GRPC_ADDRESS: own.grpc ?? '127.0.0.1:0',
          SIGNET_REGISTRY_ADDRESS: both('registry'),
          SIGNET_EXECUTOR_ADDRESS: both('executor'),
          SIGNET_RATE_LIMIT: 'off',
          SIGNET_LINGER_MS: '500',
        };
    }
  }
}
