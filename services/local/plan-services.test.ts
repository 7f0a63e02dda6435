import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { readLauncherConfig } from './config.ts';
import { checkDatabase } from './database.ts';
import { chooseDoors, chooseMetricsDoors } from './doors.ts';
import { freePort, isPortFree } from './free-port.ts';
import { planServices } from './plan-services.ts';
import { describeStack } from './start.ts';

const SECRETS = {
  SIGNET_SECRET_KEY: 'the-secret-key',
  SIGNET_SECRET_KEY_PREVIOUS: 'the-former-secret-key',
  SIGNET_INTERNAL_TOKEN: 'the-internal-token',
  SIGNET_ADMIN_KEY: 'the-admin-key-of-more-than-32-characters',
  SIGNET_LM_MODEL: 'openai/x',
  SIGNET_LM_API_KEY: 'the-model-key',
  DATABASE_URL: 'postgres://user:the-password@127.0.0.1:1/signet',
};

const doors = { http: 'h:1', grpc: 'g:2', registry: 'r:3', executor: 'e:4', sidecar: 's:5' };

function plan(more: Partial<Parameters<typeof planServices>[0]> = {}) {
  const config = readLauncherConfig({
    ...SECRETS,
    PATH: '/bin',
    OTEL_SERVICE_NAME: 'x',
    npm_config_token: 'the-npm-token',
  });
  return planServices({
    ...more,
    config,
    doors,
    databaseUrl: SECRETS.DATABASE_URL,
    secretKey: SECRETS.SIGNET_SECRET_KEY,
    internalToken: SECRETS.SIGNET_INTERNAL_TOKEN,
    adminKey: SECRETS.SIGNET_ADMIN_KEY,
    languageModel: { env: { SIGNET_LM_MODEL: 'openai/x', SIGNET_LM_API_KEY: SECRETS.SIGNET_LM_API_KEY } },
  });
}

describe('doors of metrics', () => {
  const any = { host: '127.0.0.1', port: 0 };

  it('are three of their own, wherever the first one is', async () => {
    const free = await chooseMetricsDoors(any, doors);
    expect(new Set(Object.values(free)).size).toBe(3);
    const port = await threeFreePorts();
    expect(await chooseMetricsDoors({ ...any, port }, doors)).toEqual({
      registry: `127.0.0.1:${port}`,
      executor: `127.0.0.1:${port + 1}`,
      sidecar: `127.0.0.1:${port + 2}`,
    });
  });

  it('name their variable when a port is taken or there is none', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', () => resolve()));
    const { port } = taken.address() as AddressInfo;
    await expect(chooseMetricsDoors({ ...any, port }, doors)).rejects.toThrow(/SIGNET_METRICS_ADDRESS/);
    await expect(chooseMetricsDoors({ ...any, port: 65_535 }, doors)).rejects.toThrow(/SIGNET_METRICS_ADDRESS/);
    taken.close();
  });

  it('are told to the processes that they belong to, and to nobody where nobody asked', () => {
    const metrics = { registry: '127.0.0.1:1', executor: '127.0.0.1:2', sidecar: '127.0.0.1:3' };
    const { registry, executor, gateway, sidecar } = plan({ metrics });
    const told = [registry, executor, sidecar, gateway].map(({ env }) => env.SIGNET_METRICS_ADDRESS);
    expect(told).toEqual(['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3', undefined]);
    expect(plan().registry.env.SIGNET_METRICS_ADDRESS).toBeUndefined();
  });
});

async function threeFreePorts(): Promise<number> {
  for (;;) {
    const port = await freePort();
    const isFree = await Promise.all([1, 2].map((more) => isPortFree(port + more)));
    if (port < 65_000 && isFree.every(Boolean)) return port;
  }
}

describe('what each process is told', () => {
  it('is no more than it needs', () => {
    const secretsOf = (env: NodeJS.ProcessEnv) =>
      Object.values(env)
        .filter((value) => /^the-/.test(value ?? ''))
        .sort();
    const { registry, executor, gateway, sidecar } = plan();
    expect(secretsOf(sidecar.env)).toEqual(['the-internal-token']);
    expect(secretsOf(gateway.env)).toEqual(['the-internal-token']);
    expect(secretsOf(executor.env)).toEqual(['the-internal-token', 'the-model-key']);
    expect(secretsOf(registry.env)).toEqual([
      'the-admin-key-of-more-than-32-characters',
      'the-former-secret-key',
      'the-internal-token',
      'the-secret-key',
    ]);
    expect(registry.env.DATABASE_URL).toBe(SECRETS.DATABASE_URL);
    expect([gateway.env.DATABASE_URL, sidecar.env.DATABASE_URL]).toEqual([undefined, undefined]);
    expect(sidecar.env.OTEL_SERVICE_NAME).toBe('x');
    expect(JSON.stringify(plan())).not.toContain('the-npm-token');
  });

  it('names its doors', () => {
    const { executor, gateway } = plan();
    expect(executor.env).toMatchObject({
      SIGNET_EXECUTOR_ADDRESS: 'e:4',
      SIGNET_REGISTRY_ADDRESS: 'r:3',
      SIGNET_SIDECAR_ADDRESS: 's:5',
    });
    expect(gateway.env).toMatchObject({
      SIGNET_HTTP_ADDRESS: 'h:1',
      SIGNET_GRPC_ADDRESS: 'g:2',
      SIGNET_EXECUTOR_ADDRESS: 'e:4',
    });
  });
});

describe('the environment', () => {
  it('has the documented defaults', () => {
    const config = readLauncherConfig({});
    expect(config.doors).toMatchObject({
      http: { port: 8080 },
      grpc: { port: 50050 },
      registry: { port: 50051 },
      sidecar: { port: 50053 },
    });
    expect(config.dataDir).toBe(`${config.root}/.signet`);
  });

  it('is refused with all its faults at once, without its secrets', () => {
    const env = {
      SIGNET_HTTP_ADDRESS: 'nowhere',
      DATABASE_URL: 'mysql://u:the-password@h/d',
      SIGNET_ADMIN_KEY: 'short',
      SIGNET_LM_MODEL: 'x',
      SIGNET_LM_API_BASE: 'ftp://x',
    };
    const read = () => readLauncherConfig(env);
    expect(read).toThrow(/DATABASE_URL.*SIGNET_HTTP_ADDRESS.*SIGNET_ADMIN_KEY/);
    expect(read).toThrow(/SIGNET_LM_API_BASE/);
    expect(read).not.toThrow(/the-password|short/);
  });
});

describe('doors', () => {
  it('are concrete and distinct where free ones are asked for', async () => {
    const any = { host: '127.0.0.1', port: 0 };
    const open = await chooseDoors({ http: any, grpc: any, registry: any, executor: any, sidecar: any });
    expect(new Set(Object.values(open)).size).toBe(5);
    expect(Object.values(open).every((address) => /^127\.0\.0\.1:[1-9]\d+$/.test(address))).toBe(true);
  });

  it('say in one line which variable moves a port that is taken', async () => {
    const other = createServer();
    await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
    const address = other.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const any = { host: '127.0.0.1', port: 0 };
    const asked = { http: any, grpc: { host: '127.0.0.1', port }, registry: any, executor: any, sidecar: any };
    await expect(chooseDoors(asked)).rejects.toThrow(
      `port ${port} is taken: set SIGNET_GRPC_ADDRESS to another address (port 0 picks a free one)`,
    );
    other.close();
    await expect(chooseDoors({ ...asked, grpc: { host: '192.0.2.1', port } })).rejects.toThrow(
      /^SIGNET_GRPC_ADDRESS: 192\.0\.2\.1:\d+ cannot be listened on/,
    );
  });
});

it('says in one line that the database refuses, without its password', async () => {
  const port = await freePort();
  const refused = checkDatabase(`postgres://user:the-password@127.0.0.1:${port}/signet`);
  await expect(refused).rejects.toThrow(
    new RegExp(`^the database at 127\\.0\\.0\\.1:${port}/signet refuses \\(DATABASE_URL\\): connect ECONNREFUSED`),
  );
});

it('shows the key once, and requests that can be pasted', () => {
  const stack = {
    doors,
    languageModel: { kind: 'named' as const, description: 'openai/x', env: {}, stop: async () => undefined },
    logsDir: '/logs',
  };
  const first = describeStack({ ...stack, adminKey: 'sgn_1', isKeyNew: true });
  expect(first).toContain('export SIGNET_KEY=sgn_1');
  expect(first.match(/curl -s http:\/\/h:1\/v1\/programs/g)).toHaveLength(3);
  expect(describeStack({ ...stack, adminKey: 'sgn_1', isKeyNew: false })).not.toContain('sgn_1');
});
