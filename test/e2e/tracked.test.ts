import { randomBytes } from 'node:crypto';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CountingProxy, startCountingProxy } from '../support/counting-proxy.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import type { JsonObject } from '../support/http.ts';
import { createProgram, demand, QA_INPUTS, readyProgram, uniqueName } from '../support/programs.ts';
import { query } from '../support/query.ts';
import { type Stack, startStack } from '../support/stack.ts';

type Change = readonly [
  name: string,
  method: string,
  path: () => string,
  body: () => JsonObject | undefined,
  status: number,
];

let stack: Stack;
let program: JsonObject;
let ran = '';
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
  program = await createProgram(stack);
  const { slug } = await readyProgram(stack);
  ran = String(demand(await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS }), 200).executionId);
});
afterAll(() => stack?.close());

const nothing = () => ({});
const slug = () => String(program.slug);

describe('what happens to resources', () => {
  const changes: Change[] = [
    [
      'a program made',
      'POST',
      () => '/v1/programs',
      () => ({ name: uniqueName('p'), signatureSpec: 'a -> b', adapterType: 'mock' }),
      201,
    ],
    ['a program changed', 'PATCH', () => `/v1/programs/${slug()}`, () => ({ description: 'New.' }), 200],
    ['a program prepared', 'POST', () => `/v1/programs/${slug()}:initialize`, nothing, 200],
    ['a program archived', 'POST', () => `/v1/programs/${slug()}:archive`, nothing, 200],
    ['a program deleted', 'DELETE', () => `/v1/programs/${program.id}`, () => undefined, 204],
    ['a signature made', 'POST', () => '/v1/signatures:parse', () => ({ spec: `q -> a`, name: uniqueName('s') }), 201],
    ['a key made', 'POST', () => '/v1/apiKeys', () => ({ name: uniqueName('k'), role: 'viewer' }), 201],
    ['an execution deleted', 'DELETE', () => `/v1/executions/${ran}`, () => undefined, 204],
  ];

  it.each(changes)('QUA-02 is written down with actor and trace: %s', async (_name, method, path, body, status) => {
    const trace = randomBytes(16).toString('hex');
    const headers = { traceparent: `00-${trace}-${randomBytes(8).toString('hex')}-01` };
    const isExecution = path().startsWith('/v1/executions');
    demand(await stack.http.send(method, path(), body(), { headers }), status);
    const list = isExecution ? '/v1/executions:audit' : '/v1/auditEntries';
    const filter = encodeURIComponent(`trace_id = "${trace}"`);
    await eventually(async () => {
      const { auditEntries = [] } = demand(await stack.http.get(`${list}?filter=${filter}`), 200);
      expect(auditEntries).toContainEqual(
        expect.objectContaining({ traceId: trace, actor: expect.stringMatching(/./) }),
      );
    });
  });

  it('QUA-02 is not readable for others than admins', async () => {
    const { secret } = demand(await stack.http.post('/v1/apiKeys', { name: uniqueName('k'), role: 'editor' }), 201);
    for (const path of ['/v1/auditEntries', '/v1/executions:audit'])
      expect((await stack.http.get(path, { key: String(secret) })).status).toBe(403);
  });

  it('QUA-02 QUA-03 executions tell who ran what, and the figures of a program and of all agree with their rows', async () => {
    const { slug: one, id } = await readyProgram(stack);
    for (let at = 0; at < 3; at++) {
      demand(await stack.http.post(`/v1/programs/${one}:execute`, { inputs: QA_INPUTS }), 200);
    }
    expect((await stack.http.post(`/v1/programs/${one}:execute`, { inputs: {} })).status).toBe(400);
    const rows = await query(
      stack.databaseUrl,
      'select trace_id, key_id, status from executor.executions where program_id = $1',
      [id],
    );
    expect(rows).toHaveLength(4);
    for (const row of rows)
      expect(row).toMatchObject({
        trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
        key_id: expect.stringMatching(/./),
      });
    const figures = { totalExecutions: '4', successRate: 0.75 };
    expect(demand(await stack.http.get(`/v1/programs/${one}/statistics`), 200)).toMatchObject(figures);
    expect(demand(await stack.http.get(`/v1/executions:aggregate?program=${one}`), 200)).toMatchObject({
      ...figures,
      completedExecutions: '3',
      failedExecutions: '1',
    });
  });
});

describe('what lists cost', () => {
  let database: TestDatabase;
  let proxy: CountingProxy;
  let counted: Stack;
  beforeAll(async () => {
    database = await createTestDatabase();
    proxy = await startCountingProxy(database.url);
    counted = await startStack({ engines: 'mock', databaseUrl: proxy.url });
  });
  afterAll(async () => {
    await counted?.close();
    await proxy?.close();
    await database?.drop();
  });

  it.each(['programs', 'signatures', 'executions', 'apiKeys'])(
    'QUA-01 grows with no row: a page of many %s takes no more statements than a page of few',
    async (resource) => {
      for (let at = 0; at < 25; at++) {
        const body = {
          name: uniqueName('p'),
          signatureSpec: `${uniqueName('q').replace('-', '_')} -> a`,
          adapterType: 'mock',
        };
        const { slug } = demand(await counted.http.post('/v1/programs', body), 201);
        demand(await counted.http.post('/v1/apiKeys', { name: String(slug), role: 'viewer' }), 201);
        const spec = { signatureSpec: 'question -> answer', inputs: { question: String(at) } };
        demand(await counted.http.post('/v1/quickExecute', spec), 200);
      }
      const [few, many] = [await statementsOf(resource, 1), await statementsOf(resource, 25)];
      // Ten pages each; a statement a row would be 240 more. What the services do by themselves comes in between.
      expect(many - few).toBeLessThan(60);
      expect(many).toBeGreaterThan(5);
    },
  );

  async function statementsOf(resource: string, pageSize: number): Promise<number> {
    const before = proxy.statements;
    for (let round = 0; round < 10; round++) {
      const page = demand(await counted.http.get(`/v1/${resource}?pageSize=${pageSize}`), 200);
      expect(page[resource]).toHaveLength(pageSize);
    }
    return proxy.statements - before;
  }
});
