import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTraceReceiver, type TraceReceiver } from '../../services/local/trace-receiver.ts';
import type { HttpAnswer, JsonObject } from '../support/http.ts';
import { demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { query } from '../support/query.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

const path = '/v1/languageModels';
const missing = whyNoPython();
if (missing !== undefined) console.warn(`calls of language models by DSPy are left out: ${missing}`);

describe.skipIf(missing !== undefined)('language models that programs ask', () => {
  const first = 'sk-first-credential-0123456789abcdef';
  const second = 'sk-second-credential-fedcba9876543210';
  const env: Record<string, string> = { SIGNET_LM_ALLOW_PRIVATE: 'true', OTEL_TRACES_SAMPLER: 'always_on' };
  const registryEnv: Record<string, string> = {};
  const lms: ScriptedLm[] = [];
  let receiver: TraceReceiver;
  let stack: Stack;
  let qa = '';
  const uses = (index: number): string[] => lms[index]!.requests.map(({ headers }) => headers.authorization ?? '');

  beforeAll(async () => {
    receiver = await startTraceReceiver();
    env.OTEL_EXPORTER_OTLP_ENDPOINT = receiver.endpoint;
    for (let index = 0; index < 3; index++) lms.push(await startScriptedLm());
    stack = await startStack({ engines: 'python', env, envOf: { registry: registryEnv } });
  });
  beforeEach(() => {
    for (const lm of lms) lm.reset();
  });
  afterAll(async () => {
    await stack?.close();
    for (const lm of lms) await lm.close();
    await receiver?.close();
  });

  const make = async (slug: string, index: number, fields: JsonObject = {}): Promise<JsonObject> =>
    demand(
      await stack.http.post(path, { name: slug, slug, model: 'openai/m', apiBase: lms[index]!.url, ...fields }),
      201,
    );
  const execute = (options: JsonObject = {}, program = qa): Promise<HttpAnswer> =>
    stack.http.post(`/v1/programs/${program}:execute`, { inputs: QA_INPUTS, executionOptions: options });

  it('says what is missing until there is a default, and takes the one that is called so', async () => {
    qa = String((await readyProgram(stack, { adapterType: 'python_port' })).slug);
    const refused = await execute();
    expect([refused.status, refused.body.reason]).toEqual([409, 'LM_NOT_CONFIGURED']);
    expect(refused.text).toContain('default');
    await make('default', 0, { credential: first });
    demand(await execute(), 200);
    demand(await execute({ lm: 'default' }), 200);
    expect(uses(0)).toEqual([`Bearer ${first}`, `Bearer ${first}`]);
  });

  it('are chosen by the program, and by the call before it', async () => {
    await make('one', 1, { parameters: { temperature: 0.125, seed: 3 } });
    await make('two', 2, { model: 'openai/another' });
    const fields = { adapterType: 'python_port', configuration: { lm: 'one', lmOptions: { temperature: 0.75 } } };
    const program = String((await readyProgram(stack, fields)).slug);
    demand(await execute({}, program), 200);
    expect(lms[1]!.requests[0]?.body).toMatchObject({ model: 'm', temperature: 0.75, seed: 3 });
    expect(uses(1)).toEqual(['']);
    demand(await execute({ lm: 'two' }, program), 200);
    expect(lms[2]!.requests[0]?.body).toMatchObject({ model: 'another' });
    const unknown = await execute({ lm: 'nobody' }, program);
    expect([unknown.status, unknown.body.reason]).toEqual([404, 'LM_NOT_FOUND']);
  });

  it('reach the executor within a second of a change, and leave it as fast', async () => {
    await make('moving', 1);
    demand(await execute({ lm: 'moving' }), 200);
    demand(await stack.http.patch(`${path}/moving`, { apiBase: lms[2]!.url }), 200);
    await eventually(async () => {
      demand(await execute({ lm: 'moving' }), 200);
      expect(lms[2]!.calls).toBeGreaterThan(0);
    }, 1000);
    demand(await stack.http.delete(`${path}/moving`), 204);
    await eventually(async () => expect((await execute({ lm: 'moving' })).body.reason).toBe('LM_NOT_FOUND'), 1000);
  });

  it('refuse to be deleted while a program asks them, unless forced', async () => {
    await make('needed', 1);
    const fields = { adapterType: 'python_port', configuration: { lm: 'needed' } };
    const program = String((await readyProgram(stack, fields)).slug);
    const refused = await stack.http.delete(`${path}/needed`);
    expect([refused.status, refused.body.reason]).toEqual([409, 'STATE_FORBIDS']);
    demand(await execute({}, program), 200);
    demand(await stack.http.delete(`${path}/needed?force=true`), 204);
    await eventually(async () => expect((await execute({}, program)).body.reason).toBe('LM_NOT_FOUND'));
  });

  it('take another credential while calls run, without one that fails', async () => {
    await make('rotating', 1, { credential: first });
    const end = new AbortController();
    const answers: number[] = [];
    const caller = async (): Promise<void> => {
      while (!end.signal.aborted) answers.push((await execute({ lm: 'rotating' })).status);
    };
    const callers = Array.from({ length: 6 }, caller);
    try {
      await eventually(() => expect(uses(1).length).toBeGreaterThan(20));
      demand(await stack.http.patch(`${path}/rotating`, { credential: second }), 200);
      await eventually(() => expect(uses(1)).toContain(`Bearer ${second}`), 1000);
      await eventually(() => expect(uses(1).filter((key) => key.endsWith(second)).length).toBeGreaterThan(20));
    } finally {
      end.abort();
      await Promise.all(callers);
    }
    expect(answers.filter((status) => status !== 200)).toEqual([]);
    expect(uses(1).at(-1)).toBe(`Bearer ${second}`);
  });

  it('leave no trace of a credential in tables, logs, spans and answers', async () => {
    lms[1]!.enqueue({ kind: 'status', status: 401, message: `no such key ${second}` });
    const failed = await execute({ lm: 'rotating' });
    expect(failed.text).not.toContain(second);
    demand(await stack.http.post(`${path}/rotating:check`), 200);
    const audited = await stack.http.get('/v1/auditEntries?filter=resource%20%3D%20language_model');
    expect(audited.text).toContain('credentialUpdateTime');
    const hidden = [first, second].flatMap((text) => [text, Buffer.from(text).toString('hex')]);
    const found: string[] = [];
    const tables = await query(
      stack.databaseUrl,
      `select format('%I.%I', table_schema, table_name) as name from information_schema.tables
       where table_schema in ('registry', 'executor') and table_type = 'BASE TABLE'`,
    );
    expect(tables.length).toBeGreaterThan(10);
    for (const { name } of tables) {
      const dump = JSON.stringify(await query(stack.databaseUrl, `select t::text as row from ${name} t`));
      if (hidden.some((text) => dump.includes(text))) found.push(String(name));
    }
    await eventually(() => expect(receiver.spans().map(({ name }) => name)).toContain('chat m'));
    const spans = JSON.stringify(receiver.spans(), (_key, value) =>
      typeof value === 'bigint' ? String(value) : value,
    );
    const seen = { logs: stack.logs(), spans, audit: audited.text };
    for (const [name, text] of Object.entries(seen)) {
      if (hidden.some((secret) => text.includes(secret))) found.push(name);
    }
    expect(found).toEqual([]);
  });

  it('say so when the registry has another secret key, and work again with a new credential', async () => {
    await make('sealed', 2, { credential: first });
    demand(await execute({ lm: 'sealed' }), 200);
    registryEnv.SIGNET_SECRET_KEY = 'a secret key that nobody sealed anything with';
    await restart();
    const refused = await execute({ lm: 'sealed' });
    expect([refused.status, refused.body.reason]).toEqual([409, 'LM_NOT_CONFIGURED']);
    expect(refused.text).toContain('SIGNET_SECRET_KEY');
    expect(refused.text).not.toContain(first);
    expect((await stack.http.get(`${path}/sealed`)).body).toMatchObject({ hasCredential: true });
    // Sealed anew under the key of now, the model works; with the former key back, the others do.
    demand(await stack.http.patch(`${path}/sealed`, { credential: second }), 200);
    await eventually(async () => demand(await execute({ lm: 'sealed' }), 200));
    expect(uses(2).at(-1)).toBe(`Bearer ${second}`);
    delete registryEnv.SIGNET_SECRET_KEY;
    await stack.kill('registry', 'SIGTERM');
    await stack.restart('registry');
    await eventually(async () => demand(await execute({ lm: 'rotating' }), 200));
    expect(uses(1).at(-1)).toBe(`Bearer ${second}`);
  });

  async function restart(): Promise<void> {
    for (const name of ['registry', 'executor'] as const) {
      await stack.kill(name, 'SIGTERM');
      await stack.restart(name);
    }
    await eventually(async () => expect((await stack.http.get('/readyz', { key: '' })).status).toBe(200), 20_000);
    await eventually(async () => demand(await execute({ lm: 'one' }), 200), 20_000);
  }
});
