import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpAnswer, JsonObject } from '../support/http.ts';
import { createProgram, demand, readyProgram, uniqueName } from '../support/programs.ts';
import { startServiceProcess } from '../support/service-process.ts';
import { ROOT } from '../support/source-files.ts';
import { type Stack, startStack } from '../support/stack.ts';

const FIELD_TYPES = join(ROOT, 'test', 'fixtures', 'field-types', 'field-types.ts');

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ engines: 'mock', env: { SIGNET_FIELD_TYPES: FIELD_TYPES } });
});
afterAll(() => stack?.close());

const freshSpec = (rest = 'answer: str'): string => `${uniqueName('q').replace('-', '_')}: str -> ${rest}`;
const parse = (fields: JsonObject): Promise<HttpAnswer> => stack.http.post('/v1/signatures:parse', fields);
const violated = (answer: HttpAnswer): string[] =>
  ((answer.body.violations ?? []) as JsonObject[]).map(({ field }) => String(field));

describe('optimizing a signature', () => {
  const results = (question: string): JsonObject => ({
    instructions: 'Answer in one word.',
    field_descriptions: { answer: 'one word' },
    demos: [{ [question]: 'Who?', answer: 'Ada' }],
    score: 0.93,
  });

  it('SIG-12 applies results to metadata.optimization, counts the version up and keeps the former state', async () => {
    const signature = demand(await parse({ spec: freshSpec(), metadata: { origin: 'test' } }), 201);
    const question = String((signature.inputs as JsonObject[])[0]?.name);
    const path = `/v1/signatures/${signature.id}`;
    const optimized = demand(
      await stack.http.post(`${path}:optimize`, { optimizationResults: results(question) }),
      200,
    );
    expect(optimized.version).toBe('1.1.0');
    expect(optimized.metadata).toEqual({ origin: 'test', optimization: results(question) });
    expect(optimized.spec).toBe(signature.spec);
    const { versions } = demand(await stack.http.get(`${path}/versions`), 200);
    const states = (versions as JsonObject[]).map((row) => (row.signature as JsonObject).version);
    expect(states).toEqual(['1.1.0', '1.0.0']);
    const again = demand(await stack.http.post(`${path}:optimize`, { optimizationResults: { score: 0.95 } }), 200);
    expect(again).toMatchObject({
      version: '1.2.0',
      metadata: { optimization: { score: 0.95, instructions: 'Answer in one word.' } },
    });
  });

  it('SIG-12 lets programs that are made afterwards begin with them, and no others', async () => {
    const signature = demand(await parse({ spec: freshSpec() }), 201);
    const question = String((signature.inputs as JsonObject[])[0]?.name);
    const before = await createProgram(stack, { signature: signature.id ?? '' });
    demand(
      await stack.http.post(`/v1/signatures/${signature.id}:optimize`, { optimizationResults: results(question) }),
      200,
    );
    const after = await createProgram(stack, { signature: signature.id ?? '' });
    const own = await createProgram(stack, { signature: signature.id ?? '', configuration: { instructions: 'Mine.' } });
    const configurationOf = async ({ id }: JsonObject): Promise<JsonObject> =>
      demand(await stack.http.get(`/v1/programs/${id}/versions/1`), 200);
    expect((await configurationOf(before)).configuration).not.toHaveProperty('instructions', 'Answer in one word.');
    expect(await configurationOf(after)).toMatchObject({
      configuration: { instructions: 'Answer in one word.', demos: [{ answer: 'Ada' }] },
      signature: { outputs: [{ name: 'answer', description: 'one word' }] },
    });
    expect(await configurationOf(own)).toMatchObject({ configuration: { instructions: 'Mine.' } });
  });

  it.each([
    [{}, 'optimizationResults'],
    [{ optimizationResults: {} }, 'optimizationResults'],
    [{ optimizationResults: { instructions: 7 } }, 'instructions'],
    [{ optimizationResults: { field_descriptions: { nobody: 'x' } } }, 'nobody'],
    [{ optimizationResults: { demos: 'x' } }, 'demos'],
    [{ optimizationResults: { demos: [{ answer: 7 }] } }, 'demos[0].answer'],
    [{ optimizationResults: { note: 'x\u0000' } }, 'note'],
  ])('SIG-12 refuses %j', async (body, field) => {
    const { id } = demand(await parse({ spec: freshSpec() }), 201);
    const answer = await stack.http.post(`/v1/signatures/${id}:optimize`, body as JsonObject);
    expect(answer.status).toBe(400);
    expect(violated(answer).join(' ')).toContain(field);
  });

  it('SIG-12 refuses what is not there, deprecated or changed since', async () => {
    const optimizationResults = { score: 1 };
    expect((await stack.http.post('/v1/signatures/No.Such:optimize', { optimizationResults })).status).toBe(404);
    const { id, etag } = demand(await parse({ spec: freshSpec() }), 201);
    demand(await stack.http.post(`/v1/signatures/${id}:activate`), 200);
    const stale = await stack.http.post(`/v1/signatures/${id}:optimize`, { optimizationResults, etag: etag ?? '' });
    expect(stale.status).toBe(412);
    demand(await stack.http.post(`/v1/signatures/${id}:deprecate`), 200);
    const late = await stack.http.post(`/v1/signatures/${id}:optimize`, { optimizationResults });
    expect([late.status, late.body.reason]).toEqual([409, 'SIGNATURE_DEPRECATED']);
  });
});

describe('the use of a signature', () => {
  it('SIG-14 counts modules, programs and executions of both, with success rate, duration and last use', async () => {
    const signature = demand(await parse({ spec: 'sig14_question: str -> answer: str' }), 201);
    const path = `/v1/signatures/${signature.id}/usage`;
    const unused = demand(await stack.http.get(path), 200);
    expect(unused).toMatchObject({ signatureId: signature.id });
    expect([unused.moduleCount ?? '0', unused.programCount ?? '0', unused.executionCount ?? '0']).toEqual([
      '0',
      '0',
      '0',
    ]);
    const inputs = { sig14_question: 'Who?' };
    const { slug } = await readyProgram(stack, { signature: signature.id ?? '' });
    const second = await createProgram(stack, { signature: signature.id ?? '' });
    const module = demand(
      await stack.http.post('/v1/modules', {
        name: uniqueName('module'),
        type: 'predict',
        pythonModule: 'dspy.Predict',
        signature: signature.id ?? '',
      }),
      201,
    );
    demand(await stack.http.post(`/v1/programs/${slug}:execute`, { inputs }), 200);
    expect((await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: {} })).status).toBe(400);
    const mock = { inputs, executionOptions: { engine: 'mock' } };
    demand(await stack.http.post(`/v1/modules/${module.id}:execute`, mock), 200);
    const used = demand(await stack.http.get(`/v1/signatures/${signature.module}/usage`), 200);
    expect(used).toMatchObject({ moduleCount: '1', programCount: '2', executionCount: '3' });
    expect(used.successRate).toBeCloseTo(2 / 3);
    expect(Date.now() - Date.parse(String(used.lastUsedAt))).toBeLessThan(60_000);
    await stack.http.delete(`/v1/programs/${second.id}`);
    expect(demand(await stack.http.get(path), 200).programCount).toBe('1');
    const inUse = await stack.http.delete(`/v1/signatures/${signature.id}`);
    expect([inUse.status, inUse.body.reason]).toEqual([409, 'SIGNATURE_IN_USE']);
    expect((await stack.http.get('/v1/signatures/No.Such/usage')).body.reason).toBe('SIGNATURE_NOT_FOUND');
  });

  it('EXE-11 C-12 sums executions up over a filter: success rate of what ended, mean and percentiles, nothing on a single row', async () => {
    const { slug, id } = await readyProgram(stack, { signatureSpec: 'c12_question: str -> answer: str' });
    for (let at = 0; at < 4; at++) {
      await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: at === 0 ? {} : { c12_question: `${at}` } });
    }
    const of = async (query: string): Promise<JsonObject> =>
      demand(await stack.http.get(`/v1/executions:aggregate?${query}`), 200);
    const all = await of(`program=${slug}`);
    expect(all).toMatchObject({
      totalExecutions: '4',
      completedExecutions: '3',
      failedExecutions: '1',
      successRate: 0.75,
    });
    expect(Number(all.p99DurationMs)).toBeGreaterThanOrEqual(Number(all.p50DurationMs));
    const failed = await of(`filter=${encodeURIComponent(`program_id = "${id}" AND status = failed`)}`);
    expect(failed).toMatchObject({ totalExecutions: '1', failedExecutions: '1' });
    expect((await of('filter=version%20%3D%2012345')).totalExecutions ?? '0').toBe('0');
    for (const [query, status] of [
      ['filter=nope%20%3D%201', 400],
      ['program=nobody', 404],
      ['module=nobody', 404],
    ] as const) {
      expect([query, (await stack.http.get(`/v1/executions:aggregate?${query}`)).status]).toEqual([query, status]);
    }
  });
});

describe('parsers', () => {
  it('SIG-18 reads with the parser that the request names; what basic reads means the same to enhanced', async () => {
    const spec = freshSpec('answer, tags: list[str], score: float');
    const basic = await parse({ spec, parser: 'basic' });
    expect(basic.status).toBe(201);
    const enhanced = await parse({ spec, parser: 'enhanced' });
    expect([enhanced.status, enhanced.body.id]).toEqual([200, basic.body.id]);
    for (const rich of [
      'score: int(ge=1)',
      'a: str = "x"',
      "a: str 'told'",
      'a: str | None',
      'a: list[list[str]]',
      'a: embedding',
    ]) {
      const refused = await parse({ spec: freshSpec(rich), parser: 'basic' });
      expect([rich, refused.status]).toEqual([rich, 400]);
      expect(String(refused.body.detail)).toMatch(/line 1, column \d+: /);
      expect([rich, (await parse({ spec: freshSpec(rich) })).status]).toEqual([rich, 201]);
    }
    expect(violated(await parse({ spec, parser: 'advanced' }))).toEqual(['parser']);
    const program = {
      name: 'basic',
      adapterType: 'mock',
      signatureSpec: freshSpec('a: int(ge=1)'),
      signatureParser: 'basic',
    };
    expect((await stack.http.post('/v1/programs', program)).status).toBe(400);
    demand(await stack.http.post('/v1/programs', { ...program, signatureParser: 'enhanced' }), 201);
  });

  it('SIG-18 reads with the configured parser where the request names none', async () => {
    const own = await startStack({ engines: 'mock', env: { SIGNET_SIGNATURE_PARSER: 'basic' } });
    try {
      const spec = 'question: str -> score: int(ge=1)';
      expect((await own.http.post('/v1/signatures:parse', { spec })).status).toBe(400);
      expect((await own.http.post('/v1/signatures:parse', { spec, parser: 'enhanced' })).status).toBe(201);
    } finally {
      await own.close();
    }
  }, 60_000);
});

describe('registered field types', () => {
  it('SIG-21 lists built-in and registered types', async () => {
    const { fieldTypes } = demand(await stack.http.get('/v1/fieldTypes'), 200);
    const byName = new Map((fieldTypes as JsonObject[]).map((row) => [row.name, row]));
    expect(byName.get('str')).toMatchObject({ dspyType: 'str' });
    expect(byName.get('EmailAddress')).toMatchObject({
      registered: true,
      baseType: 'str',
      description: 'An address of mail.',
    });
    expect(byName.get('Percent')).toMatchObject({ registered: true, baseType: 'float', dspyType: 'float' });
  });

  it('SIG-21 validates before it converts, and the engine sees what the converter made', async () => {
    const signature = demand(await parse({ spec: 'mail: EmailAddress, share: Percent -> sig21_answer: str' }), 201);
    expect(signature.spec).toBe('mail: EmailAddress, share: Percent -> sig21_answer: str');
    const { slug } = await readyProgram(stack, { signature: signature.id ?? '' });
    const run = await stack.http.post(`/v1/programs/${slug}:execute`, {
      inputs: { mail: 'Ada@Example.org', share: 50 },
    });
    const execution = demand(await stack.http.get(`/v1/executions/${demand(run, 200).executionId}`), 200);
    expect(execution.inputs).toEqual({ mail: 'ada@example.org', share: 0.5 });
    const bad = await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { mail: 'nobody', share: 500 } });
    expect([bad.status, bad.body.reason]).toEqual([400, 'INPUT_INVALID']);
    expect(bad.body.violations).toMatchObject([
      { field: 'inputs.mail', description: 'is no address of mail' },
      { field: 'inputs.share', description: 'is no Percent' },
    ]);
    const wrong = await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { mail: 7, share: '50' } });
    expect(violated(wrong)).toEqual(['inputs.mail', 'inputs.share']);
  });

  it('SIG-21 trusts no operator code: what breaks or lies is a fault of the value, told without its words', async () => {
    for (const type of ['Broken', 'Liar']) {
      const { slug } = await readyProgram(stack, { signatureSpec: `value: ${type} -> answer: str` });
      const answer = await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { value: 'x' } });
      expect([type, answer.status, violated(answer)]).toEqual([type, 400, ['inputs.value']]);
      expect(answer.text).not.toContain('secret detail');
    }
    for (const spec of ['a: NoSuchType -> b: str', 'a: list[EmailAddress] -> b: str']) {
      expect([spec, (await parse({ spec })).status]).toEqual([spec, 400]);
    }
  });

  it('SIG-21 does not start with a file that exports no field type', async () => {
    const { PATH = '', HOME = '/' } = process.env;
    const start = startServiceProcess({
      name: 'registry',
      command: process.execPath,
      args: [join(ROOT, 'services', 'registry', 'main.ts')],
      cwd: ROOT,
      env: {
        ...{ PATH, HOME },
        DATABASE_URL: stack.databaseUrl,
        SIGNET_SECRET_KEY: stack.secretKey,
        SIGNET_REGISTRY_ADDRESS: '127.0.0.1:0',
        SIGNET_FIELD_TYPES: join(ROOT, 'test', 'support', 'random.ts'),
      },
    });
    await expect(start).rejects.toThrow(/SIGNET_FIELD_TYPES/);
  });
});
