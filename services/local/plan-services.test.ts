import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { readLauncherConfig } from './config.ts';
import { checkDatabase } from './database.ts';
import { chooseDoors } from './doors.ts';
import { freePort } from './free-port.ts';
import { planServices } from './plan-services.ts';
import { describeStack } from './start.ts';

const SECRETS = {
  SIGNET_SECRET_KEY: 'the-secret-key',
  SIGNET_INTERNAL_TOKEN: 'the-internal-token',
  SIGNET_ADMIN_KEY: 'the-admin-key-of-more-than-32-characters',
  SIGNET_LM_MODEL: 'openai/x',
  SIGNET_LM_API_KEY: 'the-model-key',
  DATABASE_URL: 'postgres://user:the-password@127.0.0.1:1/signet',
};

const doors = { http: 'h:1', grpc: 'g:2', registry: 'r:3', executor: 'e:4', sidecar: 's:5' };

function plan() {
  const config = readLauncherConfig({
    ...SECRETS,
    PATH: '/bin',
    OTEL_SERVICE_NAME: 'x',
    npm_config_token: 'the-npm-token',
  });
  return planServices({
    config,
    doors,
    databaseUrl: SECRETS.DATABASE_URL,
    secretKey: SECRETS.SIGNET_SECRET_KEY,
    internalToken: SECRETS.SIGNET_INTERNAL_TOKEN,
    adminKey: SECRETS.SIGNET_ADMIN_KEY,
    languageModel: { env: { SIGNET_LM_MODEL: 'openai/x', SIGNET_LM_API_KEY: SECRETS.SIGNET_LM_API_KEY } },
  });
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
    expect(secretsOf(executor.env)).toEqual(['the-internal-token', 'the-model-key', 'the-secret-key']);
    expect(secretsOf(registry.env)).toEqual([
      'the-admin-key-of-more-than-32-characters',
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
