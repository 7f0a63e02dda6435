import { createHmac, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { TestDatabase } from './database.ts';
import { createGrpcClient, type GrpcClient } from './grpc-clients.ts';
import { createHttpClient, type HttpClient } from './http.ts';
import { findSidecarPython } from './python.ts';
import { type ServiceProcess, type ServiceProcessSpec, startServiceProcess } from './service-process.ts';
import { openSse, type SseRequest, type SseStream } from './sse.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** The processes of a stack. */
export type ProcessName = 'registry' | 'executor' | 'gateway' | 'sidecar';

/** What a stack is to be. */
export type StackOptions = {
  /** `mock` starts no Python; programs of adapter type mock run. */
  readonly engines: 'mock' | 'python';
  /** The default language model's endpoint, ending in `/v1`. */
  readonly lm?: string;
  /** More environment for all processes, or for one by its name. */
  readonly env?: Readonly<Record<string, string>>;
  readonly envOf?: Partial<Record<ProcessName, Readonly<Record<string, string>>>>;
  /** The sidecar's Python; default the one that all tests use. */
  readonly python?: string;
  /** A database to use; default a migrated one of its own, dropped at the end. */
  readonly databaseUrl?: string;
};

/** The whole chain, running as processes of its own. */
export type Stack = {
  /** `host:port` of the two doors. */
  readonly httpAddress: string;
  readonly grpcAddress: string;
  readonly http: HttpClient;
  readonly grpc: GrpcClient;
  readonly adminKey: string;
  readonly internalToken: string;
  readonly secretKey: string;
  readonly databaseUrl: string;
  /** Inner addresses by process. */
  address(name: ProcessName): string;
  pid(name: ProcessName): number;
  /** Opens an event stream: POST where a body is given. */
  sse(path: string, body?: unknown, options?: Pick<SseRequest, 'headers'> & { key?: string }): Promise<SseStream>;
  /** Everything that the processes printed, restarted ones included. */
  logs(): string;
  /** Kills or signals a process. */
  kill(name: ProcessName, signal?: NodeJS.Signals): Promise<void>;
  /** Starts a process that has ended again, on the address that it had. */
  restart(name: ProcessName): Promise<void>;
  close(): Promise<void>;
};

/** Starts registry, executor and gateway (and the sidecar) on free ports and waits until the gateway is ready. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const database = options.databaseUrl === undefined ? await makeDatabase() : undefined;
  const secretKey = randomBytes(32).toString('hex');
  const processes = new StackProcesses(options, {
    databaseUrl: options.databaseUrl ?? database?.url ?? '',
    secretKey,
    internalToken: createHmac('sha256', secretKey).update('internal-token').digest('hex'),
    adminKey: `admin-${randomBytes(24).toString('hex')}`,
  });
  try {
    await processes.startAll();
    return await toStack(processes, async () => database?.drop());
  } catch (error) {
    await processes.stopAll();
    await database?.drop();
    throw error;
  }
}

// Loaded late: benchmarks bring a database of their own and run outside of the test runner.
async function makeDatabase(): Promise<TestDatabase> {
  const { createTestDatabase } = await import('./database.ts');
  return createTestDatabase();
}

async function toStack(processes: StackProcesses, dropDatabase: () => Promise<void>): Promise<Stack> {
  const { secrets } = processes;
  const doors = processes.listening('gateway');
  const httpAddress = doors.http ?? '';
  const grpcAddress = doors.grpc ?? '';
  const http = createHttpClient(httpAddress, secrets.adminKey);
  const grpc = createGrpcClient(grpcAddress, secrets.adminKey);
  await waitUntilReady(http, processes);
  return {
    ...{ httpAddress, grpcAddress, http, grpc, ...secrets },
    address: (name) => processes.listening(name).address ?? '',
    pid: (name) => processes.pid(name),
    sse: (path, body, rest = {}) =>
      openSse({ url: `http://${httpAddress}${path}`, key: secrets.adminKey, body, ...rest }),
    logs: () => processes.logs(),
    kill: (name, signal) => processes.kill(name, signal ?? 'SIGKILL'),
    restart: (name) => processes.start(name),
    async close() {
      grpc.close();
      await http.close();
      await processes.stopAll();
      await dropDatabase();
    },
  };
}

async function waitUntilReady(http: HttpClient, processes: StackProcesses): Promise<void> {
  const end = performance.now() + 25_000;
  for (;;) {
    const last = await http.get('/readyz', { key: '' }).catch(() => undefined);
    if (last?.status === 200) return;
    if (performance.now() > end) {
      throw new Error(`the stack is not ready: ${last?.text}\n${processes.logs().slice(-4000)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

type Secrets = { databaseUrl: string; secretKey: string; internalToken: string; adminKey: string };

/** The processes of one stack, by name; each keeps its address over restarts. */
class StackProcesses {
  readonly secrets: Secrets;
  private readonly options: StackOptions;
  private readonly running = new Map<ProcessName, ServiceProcess>();
  private readonly addresses = new Map<ProcessName, Readonly<Record<string, string>>>();
  private readonly ended: ServiceProcess[] = [];

  constructor(options: StackOptions, secrets: Secrets) {
    this.options = options;
    this.secrets = secrets;
  }

  async startAll(): Promise<void> {
    // All or none are settled before anybody stops them: a late one would be left alone.
    const first = await Promise.allSettled([
      ...(this.options.engines === 'python' ? [this.start('sidecar')] : []),
      this.start('registry'),
    ]);
    for (const outcome of first) if (outcome.status === 'rejected') throw outcome.reason;
    await this.start('executor');
    await this.start('gateway');
  }

  async start(name: ProcessName): Promise<void> {
    const process = await startServiceProcess(this.spec(name));
    this.running.set(name, process);
    this.addresses.set(name, process.listening);
  }

  async kill(name: ProcessName, signal: NodeJS.Signals): Promise<void> {
    const process = this.running.get(name);
    if (process === undefined) return;
    process.kill(signal);
    await process.ended;
    this.ended.push(process);
    this.running.delete(name);
  }

  async stopAll(): Promise<void> {
    for (const name of ['gateway', 'executor', 'registry', 'sidecar'] as const) await this.running.get(name)?.stop();
  }

  listening(name: ProcessName): Readonly<Record<string, string>> {
    return this.addresses.get(name) ?? {};
  }

  pid(name: ProcessName): number {
    return this.running.get(name)?.pid ?? 0;
  }

  logs(): string {
    return [...this.ended, ...this.running.values()].flatMap((process) => process.lines).join('\n');
  }

  private spec(name: ProcessName): ServiceProcessSpec {
    const env = { ...this.baseEnv(), ...this.envFor(name), ...this.options.env, ...this.options.envOf?.[name] };
    if (name === 'sidecar') {
      const python = this.options.python ?? findSidecarPython();
      if (python === undefined) throw new Error('no Python for the sidecar');
      return { name, command: python, args: ['-m', 'signet_sidecar'], cwd: join(ROOT, 'python-sidecar'), env };
    }
    return { name, command: process.execPath, args: [join(ROOT, 'services', name, 'main.ts')], cwd: ROOT, env };
  }

  // Nothing of the caller's environment gets in but what a process cannot do without.
  private baseEnv(): Record<string, string> {
    const { PATH = '', HOME = '/', TMPDIR } = process.env;
    const token = this.secrets.internalToken;
    return { PATH, HOME, ...(TMPDIR ? { TMPDIR } : {}), SIGNET_INTERNAL_TOKEN: token, SIGNET_LOG_LEVEL: 'info' };
  }

  private envFor(name: ProcessName): Record<string, string> {
    const { databaseUrl, secretKey, adminKey } = this.secrets;
    const at = (process: ProcessName): string => this.listening(process).address ?? '127.0.0.1:0';
    const inner = { SIGNET_REGISTRY_ADDRESS: at('registry'), SIGNET_EXECUTOR_ADDRESS: at('executor') };
    const stored = { DATABASE_URL: databaseUrl, SIGNET_SECRET_KEY: secretKey };
    switch (name) {
      case 'sidecar':
        return { SIGNET_SIDECAR_ADDRESS: at('sidecar'), SIGNET_SIDECAR_WORKERS: '2' };
      case 'registry':
        return { ...stored, SIGNET_REGISTRY_ADDRESS: at('registry'), SIGNET_ADMIN_KEY: adminKey };
      case 'executor': {
        // Port 9 answers nobody: a stack without Python has nobody to wait for.
        const sidecar = this.options.engines === 'python' ? at('sidecar') : '127.0.0.1:9';
        return { ...stored, ...inner, SIGNET_SIDECAR_ADDRESS: sidecar, ...this.lmEnv() };
      }
      case 'gateway': {
        const { http = '127.0.0.1:0', grpc = '127.0.0.1:0' } = this.listening('gateway');
        return { ...inner, SIGNET_HTTP_ADDRESS: http, SIGNET_GRPC_ADDRESS: grpc, SIGNET_RATE_LIMIT: 'off' };
      }
    }
  }

  private lmEnv(): Record<string, string> {
    const { lm } = this.options;
    if (lm === undefined) return {};
    return { SIGNET_LM_MODEL: 'openai/scripted', SIGNET_LM_API_BASE: lm, SIGNET_LM_API_KEY: 'sk-scripted-secret' };
  }
}
