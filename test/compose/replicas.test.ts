import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createHttpClient, type HttpClient } from '../support/http.ts';
import { demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { SteadyLoad } from '../support/steady-load.ts';
import { docker } from './container-engine.ts';
import { type ComposeProject, openProject, type ProjectHandle } from './project.ts';

const TWO = { registry: 2, sidecar: 2, executor: 2, gateway: 2 } as const;
// PID 1 is the init process, which ends with its child.
const KILL_SERVICE = `const fs = process.getBuiltinModule('node:fs');
for (const pid of fs.readdirSync('/proc').filter(Number))
  if (fs.readFileSync('/proc/' + pid + '/cmdline', 'utf8').startsWith('node\\0services/')) process.kill(pid, 'SIGKILL');`;
const provided = inject('compose');

describe.skipIf('missing' in provided)('replicas in containers', () => {
  let project: ComposeProject;
  let key: string;
  let slugs: string[];

  beforeAll(async () => {
    project = openProject(provided as ProjectHandle);
    await project.scale(TWO);
    key = await project.secret('admin_key');
    slugs = await withHttp(async (http) => {
      const slow = { configuration: { metadata: { mock: { latency_ms: 300 } } } };
      const programs = [
        await readyProgram({ http }, { adapterType: 'mock', ...slow }),
        await readyProgram({ http }, { adapterType: 'python_port' }),
      ];
      return programs.map(({ slug }) => String(slug));
    });
  });

  async function withHttp<T>(work: (http: HttpClient) => Promise<T>, at = 1): Promise<T> {
    const http = createHttpClient((await project.doors(at)).http, key);
    try {
      return await work(http);
    } finally {
      await http.close();
    }
  }

  const accept = (count: number, at = 1): Promise<string[]> =>
    withHttp(
      (http) =>
        Promise.all(
          Array.from({ length: count }, async (_, turn) => {
            const body = { program: slugs[turn % slugs.length], inputs: QA_INPUTS };
            return String(demand(await http.post('/v1/executions', body), 202).id);
          }),
        ),
      at,
    );

  /** Every execution is found as completed, and once only in the database. */
  const expectCompleted = (ids: readonly string[]): Promise<void> =>
    eventually(
      async () => {
        const sql = `select status || ' ' || count(*) from executor.executions where id in (${ids.map((id) => `'${id}'`).join(',')}) group by status`;
        const psql = ['psql', '-h', '/var/run/postgresql', '-U', 'signet', '-Atc', sql];
        expect(await docker(['exec', project.container('postgres'), ...psql])).toBe(`completed ${ids.length}`);
      },
      60_000,
      500,
    );

  it('share the work', async () => {
    const ids = [...(await accept(20, 1)), ...(await accept(20, 2))];
    await expectCompleted(ids);
    const load = await startLoad();
    await eventually(() => expect(load.count).toBeGreaterThan(60), 30_000);
    await load.stop();
    expect(load.failures).toEqual([]);
    const jaeger = await project.published('jaeger', 16686);
    const range = [Date.now() - 120_000, Date.now() + 60_000].map((ms) =>
      encodeURIComponent(new Date(ms).toISOString()),
    );
    await eventually(async () => {
      for (const service of ['gateway', 'executor', 'sidecar']) {
        const query = `query.service_name=signet-${service}&query.start_time_min=${range[0]}&query.start_time_max=${range[1]}`;
        const text = await (await fetch(`http://${jaeger}/api/v3/traces?${query}&query.search_depth=500`)).text();
        for (const at of [1, 2]) {
          const host = await docker(['inspect', '-f', '{{.Config.Hostname}}', project.container(service, at)]);
          expect(text.includes(`${host}-`), `spans of ${service} ${at}`).toBe(true);
        }
      }
    }, 20_000);
  });

  it.each(['executor', 'sidecar', 'gateway', 'registry', 'postgres'])(
    'lose nothing that was accepted when a container of %s is killed, and find it again',
    { timeout: 180_000 },
    async (service) => {
      const ids = await accept(16);
      const victim = project.container(service);
      await docker(['kill', '--signal', 'KILL', victim]);
      // A kill by hand is not repaired by the engine; the operator starts it again.
      await docker(['start', victim]);
      await project.scale(TWO);
      await expectCompleted(ids);
      const shown = await withHttp((http) => http.get(`/v1/executions/${ids[0]}`));
      expect(demand(shown, 200)).toMatchObject({ id: ids[0], status: 'EXECUTION_STATUS_COMPLETED' });
    },
  );

  it('are started again by the engine when their process dies', { timeout: 120_000 }, async () => {
    const victim = project.container('executor');
    const ids = await accept(8);
    const restarts = (): Promise<string> => docker(['inspect', '-f', '{{.RestartCount}}', victim]);
    const before = Number(await restarts());
    await docker(['exec', victim, 'node', '-e', KILL_SERVICE]);
    await eventually(async () => expect(Number(await restarts())).toBe(before + 1), 30_000, 200);
    await project.scale(TWO);
    await expectCompleted(ids);
  });

  it('are restarted one after the other under load without one failed call', { timeout: 600_000 }, async () => {
    const load = await startLoad();
    const served = async (calls: number): Promise<void> => {
      const before = load.count;
      await eventually(() => expect(load.count).toBeGreaterThan(before + calls), 30_000);
    };
    try {
      for (const service of ['registry', 'executor', 'sidecar', 'gateway'] as const) {
        for (const at of [1, 2]) {
          await served(20);
          await docker(['restart', project.container(service, at)]);
          await healthy(service, at);
        }
      }
      await served(40);
    } finally {
      await load.stop();
    }
    expect(load.failures).toEqual([]);
  });

  async function startLoad(): Promise<SteadyLoad> {
    const load = new SteadyLoad([await project.doors(1), await project.doors(2)], key, slugs);
    load.start(8);
    return load;
  }

  async function healthy(service: string, at: number): Promise<void> {
    const container = project.container(service, at);
    await eventually(
      async () => {
        const health = JSON.parse(await docker(['inspect', '-f', '{{json .State.Health}}', container]));
        expect(health).toMatchObject({ Status: 'healthy' });
      },
      120_000,
      200,
    );
  }

  afterAll(async () => {
    await project?.scale({});
  });
});
