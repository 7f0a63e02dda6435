import { eventually } from '@signet/kit/testing/eventually.ts';
import { ExecuteProgramRequest, RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createGrpcClient, type GrpcClient } from '../support/grpc-clients.ts';
import { createHttpClient, type HttpClient } from '../support/http.ts';
import { demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { docker } from './container-engine.ts';
import { type ComposeProject, openProject, type ProjectHandle } from './project.ts';

const OURS = ['postgres', 'registry', 'executor', 'gateway', 'sidecar', 'jaeger'];
const provided = inject('compose');

type Inspected = {
  readonly Config: { readonly User: string; readonly Env: string[]; readonly Image: string };
  readonly HostConfig: Record<string, unknown>;
  readonly Mounts: { readonly Destination: string; readonly RW: boolean; readonly Type: string }[];
  readonly NetworkSettings: { readonly Networks: Record<string, unknown>; readonly Ports: Record<string, unknown> };
};

describe.skipIf('missing' in provided)('the stack in containers', () => {
  let project: ComposeProject;
  let http: HttpClient;
  let grpc: GrpcClient;

  beforeAll(async () => {
    project = openProject(provided as ProjectHandle);
    const [doors, key] = [await project.doors(), await project.secret('admin_key')];
    http = createHttpClient(doors.http, key);
    grpc = createGrpcClient(doors.grpc, key);
  });
  afterAll(async () => {
    grpc?.close();
    await http?.close();
  });

  const inspect = async (service: string): Promise<Inspected> =>
    JSON.parse(await docker(['inspect', project.container(service)]))[0];

  it.each(OURS)('bounds what %s may do', async (service) => {
    const { Config, HostConfig } = await inspect(service);
    expect(Config.User).not.toMatch(/^(0|root)?$/);
    expect(HostConfig).toMatchObject({
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      CapAdd: null,
      Privileged: false,
      SecurityOpt: ['no-new-privileges:true'],
      RestartPolicy: { Name: 'unless-stopped' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } },
    });
    for (const limit of ['Memory', 'NanoCpus', 'PidsLimit']) expect(HostConfig[limit]).toBeGreaterThan(0);
  });

  it.each(['registry', 'executor', 'gateway', 'sidecar'])(
    'lets %s write to no file system but memory',
    async (service) => {
      const write = 'for f in /x /app/x /secrets/x /secrets/internal/x; do touch $f 2>/dev/null && echo $f; done; true';
      expect(await docker(['exec', project.container(service), 'sh', '-c', write])).toBe('');
      const { Mounts } = await inspect(service);
      expect(Mounts.filter(({ RW }) => RW)).toEqual([]);
    },
  );

  it('publishes the doors of gateway and Jaeger on loopback, and nothing else', async () => {
    for (const service of OURS) {
      const { NetworkSettings } = await inspect(service);
      const bound = Object.entries(NetworkSettings.Ports).flatMap(([port, to]) => (to === null ? [] : [{ port, to }]));
      const expected = { gateway: ['50050/tcp', '8080/tcp'], jaeger: ['16686/tcp'] }[service] ?? [];
      expect(bound.map(({ port }) => port).sort()).toEqual(expected);
      for (const { to } of bound) expect(to).toEqual([expect.objectContaining({ HostIp: '127.0.0.1' })]);
    }
  });

  it('keeps registry, sidecar and Postgres where nothing outside can be reached', async () => {
    const inner = `${project.handle.name}_inner`;
    expect(JSON.parse(await docker(['network', 'inspect', inner]))[0].Internal).toBe(true);
    for (const service of ['registry', 'sidecar', 'postgres']) {
      expect(Object.keys((await inspect(service)).NetworkSettings.Networks)).toEqual([inner]);
    }
    const dial = `import socket
try: socket.create_connection(("1.1.1.1", 443), 2)
except OSError: print("unreachable")`;
    expect(await docker(['exec', project.container('sidecar'), 'python', '-c', dial])).toBe('unreachable');
  });

  it('gives each process the secrets that it needs, as files, and none by name of a variable', async () => {
    const secrets = await Promise.all(
      ['database_password', 'secret_key', 'internal_token', 'admin_key'].map((name) => project.secret(name)),
    );
    const folders = {
      registry: ['admin', 'database', 'internal', 'sealing'],
      executor: ['database', 'internal'],
      gateway: ['internal'],
      sidecar: ['internal'],
      postgres: ['database'],
    };
    for (const [service, expected] of Object.entries(folders)) {
      const { Config, Mounts } = await inspect(service);
      const mounted = Mounts.flatMap(({ Destination }) => /^\/secrets\/(.+)$/.exec(Destination)?.[1] ?? []);
      expect(mounted.sort(), service).toEqual(expected);
      for (const secret of secrets) expect(Config.Env.join('\n')).not.toContain(secret);
    }
    const { Config } = await inspect('sidecar');
    expect(Config.Env.filter((line) => /^(SIGNET_(LM|SECRET|ADMIN)|DATABASE)/.test(line))).toEqual([]);
    const logs = await project.compose(['logs', '--no-color']);
    for (const secret of secrets) expect(logs).not.toContain(secret);
  });

  it('does not change a secret that is there, nor take another for it', async () => {
    const before = await project.secret('secret_key');
    await project.compose(['run', '--rm', '-T', '--no-deps', 'secrets', 'make']);
    expect(await project.secret('secret_key')).toBe(before);
    const args = ['run', '--rm', '-T', '--no-deps', 'secrets', 'put', 'secret_key'];
    await expect(project.compose(args, { input: 'another' })).rejects.toThrow(/there already/);
    expect(await project.secret('secret_key')).toBe(before);
    await expect(project.secret('../../etc/passwd')).rejects.toThrow(/usage/);
  });

  it('changes the secret key, and no key or credential has to be entered again', async () => {
    const [unused, kept] = await Promise.all(
      ['unused', 'kept'].map(async (name) => {
        const made = demand(await http.post('/v1/apiKeys', { name, role: 'viewer' }), 201);
        return String(made.secret);
      }),
    );
    const secrets = (verb: string): Promise<string> =>
      project.compose(['run', '--rm', '-T', '--no-deps', 'secrets', verb, 'secret_key']);
    const serves = (name: string, key: string): Promise<void> =>
      eventually(async () => expect((await http.get('/v1/me', { key })).body.name).toBe(name), 60_000, 500);
    const before = await project.secret('secret_key');
    await secrets('rotate');
    expect(await project.secret('secret_key')).not.toBe(before);
    await expect(secrets('rotate')).rejects.toThrow(/forget it first/);
    await project.compose(['restart', 'registry']);
    const sealed = /sealed anew under SIGNET_SECRET_KEY/;
    await eventually(async () => expect(await project.compose(['logs', 'registry'])).toMatch(sealed), 60_000, 500);
    await serves('kept', kept!);
    await secrets('forget');
    await project.compose(['restart', 'registry']);
    // A key that no gateway remembers.
    await serves('unused', unused!);
  });

  it('ships what runs and nothing that tests or builds', async () => {
    const list =
      'ls node_modules node_modules/.bin 2>/dev/null; find packages services proto -name "*.test.ts"; ls /app';
    const found = (await docker(['exec', project.container('gateway'), 'sh', '-c', list])).split('\n');
    expect(found).toContain('fastify');
    for (const name of ['typescript', 'vitest', '@biomejs', 'playwright-core', 'test', '.git', '.signet']) {
      expect(found).not.toContain(name);
    }
    expect(found.filter((name) => name.endsWith('.test.ts'))).toEqual([]);
    const pip = 'import importlib.util; print(importlib.util.find_spec("pytest"), importlib.util.find_spec("pip"))';
    expect(await docker(['exec', project.container('sidecar'), 'python', '-c', pip])).toMatch(/^None/);
  });

  it('runs a program on real DSPy over both doors, as one trace that Jaeger finds', async () => {
    const { slug } = await readyProgram({ http }, { adapterType: 'python_port' });
    const sinceMs = Date.now();
    const over = demand(await http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS }), 200);
    expect(over).toMatchObject({ engine: 'ENGINE_PYTHON', outputs: { answer: expect.any(String) } });
    const inputs = { kind: { $case: 'json' as const, value: Buffer.from(JSON.stringify(QA_INPUTS)) } };
    const request = ExecuteProgramRequest.fromPartial({ program: String(slug), inputs });
    const result = await grpc.unary(RuntimeServiceService.executeProgram, request);
    expect(result.executionId).not.toBe(over.executionId);
    const times = [sinceMs - 5_000, Date.now() + 60_000].map((ms) => encodeURIComponent(new Date(ms).toISOString()));
    const range = `query.start_time_min=${times[0]}&query.start_time_max=${times[1]}`;
    const jaeger = await project.published('jaeger', 16686);
    for (const traceId of [String(over.traceId), result.traceId]) {
      await eventually(async () => {
        const answer = await fetch(`http://${jaeger}/api/v3/traces?query.service_name=signet-executor&${range}`);
        const services = servicesOf(await answer.json(), traceId);
        expect(services).toEqual(['signet-executor', 'signet-gateway', 'signet-sidecar']);
      }, 20_000);
    }
  });
});

type Attribute = { readonly key: string; readonly value: { readonly stringValue?: string } };
type Traces = {
  readonly result: {
    readonly resourceSpans: readonly {
      readonly resource: { readonly attributes: readonly Attribute[] };
      readonly scopeSpans: readonly { readonly spans: readonly { readonly traceId: string }[] }[];
    }[];
  };
};

function servicesOf(answer: unknown, traceId: string): string[] {
  const { resourceSpans } = (answer as Traces).result;
  const ours = resourceSpans.filter(({ scopeSpans }) =>
    scopeSpans.some(({ spans }) => spans.some((span) => span.traceId === traceId)),
  );
  const names = ours.flatMap(({ resource }) =>
    resource.attributes.filter(({ key }) => key === 'service.name').map(({ value }) => value.stringValue ?? ''),
  );
  return [...new Set(names)].sort();
}
