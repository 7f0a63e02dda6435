import { createHmac, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { checkHealth } from '@signet/kit/process/check-health.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import type { TestDatabase } from './database.ts';
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
  pid(name: TwinName, at: 0 | 1): number;
  /** Kills one at once, with all that it started, and waits until it is gone. */
  kill(name: TwinName, at: 0 | 1): Promise<void>;
  /** Starts one that is gone where it was, and waits until it serves. */
  start(name: TwinName, at: 0 | 1): Promise<void>;
  /** Everything that the processes printed. */
  logs(): string;
  close(): Promise<void>;
};

/** What twins are started with. */
export type TwinOptions = {
  /** A database to use; default a migrated one of their own, dropped at the end. */
  readonly databaseUrl?: string;
  /** Services of which one is enough. */
  readonly alone?: readonly TwinName[];
  /** More environment, by name. */
  readonly envOf?: Partial<Record<TwinName, Readonly<Record<string, string>>>>;
};

/** Starts two of each service; `lm` is the language model's endpoint. */
export async function startTwinStack(lm: string, options: TwinOptions = {}): Promise<TwinStack> {
  const database = options.databaseUrl === undefined ? await makeDatabase() : undefined;
  const databaseUrl = options.databaseUrl ?? database?.url ?? '';
  const secretKey = randomBytes(32).toString('hex');
  const twins = new Twins({
    ...{ lm, databaseUrl, secretKey, options },
    internalToken: createHmac('sha256', secretKey).update('internal-token').digest('hex'),
    adminKey: `admin-${randomBytes(24).toString('hex')}`,
  });
  const close = async (): Promise<void> => {
    await twins.stop();
    await database?.drop();
  };
  try {
    for (const name of ['sidecar', 'registry', 'executor', 'gateway'] as const) {
      await Promise.all(twins.places(name).map((at) => twins.start(name, at)));
    }
  } catch (error) {
    await close();
    throw error;
  }
  const doors = (at: 0 | 1): Doors => twins.listening('gateway', at) as Doors;
  return {
    adminKey: twins.secrets.adminKey,
    databaseUrl,
    doors: [doors(0), twins.places('gateway').length === 1 ? doors(0) : doors(1)],
    pid: (name, at) => twins.pid(name, at),
    kill: (name, at) => twins.kill(name, at),
    start: (name, at) => twins.start(name, at),
    restart: (name, at) => twins.restart(name, at),
    logs: () => twins.logs(),
    close,
  };
}

// Loaded late: it belongs to the test runner, and twins with a database of their own run without one.
async function makeDatabase(): Promise<TestDatabase> {
  const { createTestDatabase } = await import('./database.ts');
  return createTestDatabase();
}

type Secrets = {
  lm: string;
  databaseUrl: string;
  secretKey: string;
  internalToken: string;
  adminKey: string;
  options: TwinOptions;
};

class Twins {
  readonly secrets: Secrets;
  private readonly running = new Map<string, ServiceProcess>();
  private readonly addresses = new Map<string, Readonly<Record<string, string>>>();
  private readonly all: ServiceProcess[] = [];

  constructor(secrets: Secrets) {
    this.secrets = secrets;
  }

  /** Which of its places a service has. */
  places(name: TwinName): readonly (0 | 1)[] {
    return this.secrets.options.alone?.includes(name) ? [0] : [0, 1];
  }

  pid(name: TwinName, at: 0 | 1): number {
    return this.running.get(`${name} ${at}`)?.pid ?? 0;
  }

  async kill(name: TwinName, at: 0 | 1): Promise<void> {
    const process = this.running.get(`${name} ${at}`)!;
    process.kill('SIGKILL');
    await process.ended;
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
    const env = { ...base, ...this.envOf(name, at), ...this.secrets.options.envOf?.[name] };
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
      this.places(other)
        .map((place) => this.listening(other, place))
        .map(({ grpc, address }) => grpc ?? address)
        .join(',');
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
