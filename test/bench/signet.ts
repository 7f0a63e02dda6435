import { createHmac, randomBytes } from 'node:crypto';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { Engine } from '@signet/proto/gen/signet/v1/common.ts';
import { ExecuteProgramRequest, StreamProgramRequest } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { createHttpClient, type HttpClient } from '../support/http.ts';
import { demand } from '../support/programs.ts';
import { type ServiceProcess, startServiceProcess } from '../support/service-process.ts';
import { INPUTS, SPEC } from './inputs.ts';
import type { LoadJob } from './load/job.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const READY_MAX_MS = 60_000;

/** What the product is started with. */
export type SignetOptions = {
  readonly databaseUrl: string;
  /** The sidecar's Python; without one the program is of adapter type mock and no sidecar runs. */
  readonly python: string | undefined;
  readonly lmUrl: string;
  /** More environment for the Node processes. */
  readonly nodeEnv?: NodeJS.ProcessEnv;
};

/** How a door is called; the rest of a job is the cell's. */
export type Door = Pick<LoadJob, 'kind' | 'address' | 'path' | 'body' | 'headers'>;

/** The product, running as its processes, with one program that is ready. */
export type Signet = {
  readonly doors: Readonly<Record<LoadJob['kind'], Door>>;
  /** The same program on the native engine, and answered from the result cache; without Python there is neither. */
  readonly native: Readonly<Record<LoadJob['kind'], Door>>;
  readonly cached: Readonly<Record<LoadJob['kind'], Door>>;
  readonly pids: Readonly<Record<string, readonly number[]>>;
  close(): Promise<void>;
};

/** Starts registry, executor, gateway and, with a Python, the sidecar; makes and initializes a program. */
export async function startSignet(options: SignetOptions): Promise<Signet> {
  const secret = randomBytes(32).toString('hex');
  const adminKey = `admin-${randomBytes(24).toString('hex')}`;
  const { PATH = '', HOME = '/' } = process.env;
  const common = {
    ...{ PATH, HOME, SIGNET_LOG_LEVEL: 'warn', DATABASE_URL: options.databaseUrl, SIGNET_SECRET_KEY: secret },
    SIGNET_INTERNAL_TOKEN: createHmac('sha256', secret).update('internal-token').digest('hex'),
  };
  const started: [string, ServiceProcess][] = [];
  const start = async (name: string, env: NodeJS.ProcessEnv): Promise<Readonly<Record<string, string>>> => {
    const isSidecar = name === 'sidecar';
    const process = await startServiceProcess({
      name,
      command: isSidecar ? (options.python ?? '') : globalThis.process.execPath,
      args: isSidecar ? ['-m', 'signet_sidecar'] : [join(ROOT, 'services', name, 'main.ts')],
      cwd: isSidecar ? join(ROOT, 'python-sidecar') : ROOT,
      env: { ...common, ...(isSidecar ? {} : options.nodeEnv), ...env },
    });
    started.push([name, process]);
    return process.listening;
  };
  const close = async () => {
    for (const [, process] of started.reverse()) await process.stop();
  };
  try {
    const doors = await startAll(start, options, adminKey);
    const pids = Object.fromEntries(started.map(([name, process]) => [name, [process.pid]]));
    return { ...(await openDoors(doors, options, adminKey)), pids, close };
  } catch (error) {
    await close();
    throw error;
  }
}

type Start = (name: string, env: NodeJS.ProcessEnv) => Promise<Readonly<Record<string, string>>>;

async function startAll(start: Start, options: SignetOptions, adminKey: string) {
  const any = '127.0.0.1:0';
  // Port 9 answers nobody: without Python there is nobody to wait for.
  const sidecar =
    options.python === undefined
      ? '127.0.0.1:9'
      : (await start('sidecar', { SIGNET_SIDECAR_ADDRESS: any, SIGNET_SIDECAR_WORKERS: String(cpus().length) }))
          .address;
  const registry = await start('registry', { SIGNET_REGISTRY_ADDRESS: any, SIGNET_ADMIN_KEY: adminKey });
  const executor = await start('executor', {
    ...{ SIGNET_EXECUTOR_ADDRESS: any, SIGNET_REGISTRY_ADDRESS: registry.address, SIGNET_SIDECAR_ADDRESS: sidecar },
    ...{ SIGNET_LM_MODEL: 'openai/scripted', SIGNET_LM_API_BASE: options.lmUrl, SIGNET_LM_API_KEY: 'sk-scripted' },
  });
  const gateway = await start('gateway', {
    ...{ SIGNET_REGISTRY_ADDRESS: registry.address, SIGNET_EXECUTOR_ADDRESS: executor.address },
    ...{ SIGNET_HTTP_ADDRESS: any, SIGNET_GRPC_ADDRESS: any, SIGNET_RATE_LIMIT: 'off' },
  });
  return { http: gateway.http ?? '', grpc: gateway.grpc ?? '' };
}

async function openDoors(
  doors: { http: string; grpc: string },
  options: SignetOptions,
  adminKey: string,
): Promise<Pick<Signet, 'doors' | 'native' | 'cached'>> {
  const http = createHttpClient(doors.http, adminKey);
  try {
    await waitUntilReady(http);
    const adapterType = options.python === undefined ? 'mock' : 'python_port';
    const name = `bench-${randomBytes(4).toString('hex')}`;
    const { slug } = demand(await http.post('/v1/programs', { name, signatureSpec: SPEC, adapterType }), 201);
    const program = demand(await http.post(`/v1/programs/${slug}:initialize`), 200);
    if (program.status !== 'PROGRAM_STATUS_READY') throw new Error(`not ready: ${JSON.stringify(program)}`);
    demand(await http.post(`/v1/programs/${slug}:execute`, { inputs: INPUTS }), 200);
    const headers = { authorization: `Bearer ${adminKey}` };
    const describe = (runOptions?: RunOptions) => describeDoors(doors, String(slug), headers, runOptions);
    return {
      doors: describe(),
      native: describe({ engine: Engine.ENGINE_NATIVE }),
      cached: describe({ engine: Engine.ENGINE_NATIVE, cache: true }),
    };
  } finally {
    await http.close();
  }
}

type RunOptions = { readonly engine: Engine; readonly cache?: boolean };

function describeDoors(
  doors: { http: string; grpc: string },
  slug: string,
  headers: Door['headers'],
  runOptions?: RunOptions,
): Signet['doors'] {
  const more = runOptions === undefined ? {} : { executionOptions: runOptions };
  const json = Buffer.from(JSON.stringify({ inputs: INPUTS, ...more })).toString('base64');
  const inputs = { kind: { $case: 'json' as const, value: Buffer.from(JSON.stringify(INPUTS)) } };
  const unary = ExecuteProgramRequest.encode(
    ExecuteProgramRequest.fromPartial({ program: slug, inputs, ...more }),
  ).finish();
  const stream = StreamProgramRequest.encode(
    StreamProgramRequest.fromPartial({ program: slug, inputs, ...more }),
  ).finish();
  const http = { address: `http://${doors.http}`, headers, body: json };
  const grpc = { address: doors.grpc, headers };
  const path = '/signet.v1.RuntimeService';
  return {
    json: { kind: 'json', ...http, path: `/v1/programs/${slug}:execute` },
    sse: { kind: 'sse', ...http, path: `/v1/programs/${slug}:stream` },
    unary: { kind: 'unary', ...grpc, path: `${path}/ExecuteProgram`, body: Buffer.from(unary).toString('base64') },
    stream: { kind: 'stream', ...grpc, path: `${path}/StreamProgram`, body: Buffer.from(stream).toString('base64') },
  };
}

async function waitUntilReady(http: HttpClient): Promise<void> {
  const end = performance.now() + READY_MAX_MS;
  for (;;) {
    const last = await http.get('/readyz', { key: '' }).catch(() => undefined);
    if (last?.status === 200) return;
    if (performance.now() > end) throw new Error(`the product is not ready: ${last?.text}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
