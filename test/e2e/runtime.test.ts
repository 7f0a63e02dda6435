import { RuntimeServiceService, StreamProgramRequest } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { createProgram, demand, QA_INPUTS, QA_SPEC, readyProgram, uniqueName } from '../support/programs.ts';
import { type Stack, startStack } from '../support/stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
});
afterAll(() => stack?.close());

const execute = (slug: unknown, inputs: unknown, more: JsonObject = {}) =>
  stack.http.post(`/v1/programs/${slug}:execute`, { inputs, ...more });

/** The mock engine refuses to prepare it. */
const unpreparable = { configuration: { metadata: { mock: { prepare_error: 'MODULE_INVALID' } } } };

describe('preparing', () => {
  it('PRG-10, ADP-03 prepares on the mock engine: ready, with a name of what was prepared', async () => {
    const { slug } = await createProgram(stack, { configuration: { modules: [{ name: 'one' }] } });
    const program = demand(await stack.http.post(`/v1/programs/${slug}:initialize`), 200);
    expect(program.status).toBe('PROGRAM_STATUS_READY');
    expect(program.dspyProgramId).toMatch(/.+/);
    expect(program.servingVersion).toBe(1);
    expect(demand(await stack.http.get(`/v1/programs/${slug}`), 200)).toMatchObject({ status: 'PROGRAM_STATUS_READY' });
  });

  it('PRG-10 answers the program also when it could not be prepared, and says why', async () => {
    const { slug } = await createProgram(stack, unpreparable);
    const program = demand(await stack.http.post(`/v1/programs/${slug}:initialize`), 200);
    expect(program.status).toBe('PROGRAM_STATUS_ERROR');
    expect(program.errorMessage).toMatch(/.+/);
    const again = await stack.http.post(`/v1/programs/${slug}:initialize`);
    expect(again.body.reason).toBe('STATE_FORBIDS');
  });
});

describe('running', () => {
  it('PRG-11 refuses what is not ready, in the words of the contract, and records nothing', async () => {
    const draft = await createProgram(stack);
    const early = await execute(draft.slug, QA_INPUTS);
    expect(early.status).toBe(409);
    expect(early.body).toMatchObject({
      reason: 'PROGRAM_NOT_READY',
      detail: 'Program not ready for execution (status: draft)',
    });
    const unready = await createProgram(stack, unpreparable);
    const { errorMessage } = demand(await stack.http.post(`/v1/programs/${unready.slug}:initialize`), 200);
    const broken = await execute(unready.slug, QA_INPUTS);
    expect(broken.body).toMatchObject({
      reason: 'PROGRAM_NOT_READY',
      detail: `Program is in error state: ${errorMessage}`,
    });
    const unknown = await execute('nobody-knows-me', QA_INPUTS);
    expect([unknown.status, unknown.body.reason]).toEqual([404, 'PROGRAM_NOT_FOUND']);
    for (const { slug } of [draft, unready]) {
      expect(demand(await stack.http.get(`/v1/programs/${slug}/executions`), 200).executions ?? []).toEqual([]);
    }
  });

  it('PRG-12, ERR-01 refuses inputs that do not fit with all faults at once, calls no engine, and leaves a FAILED row', async () => {
    const { slug } = await readyProgram(stack);
    const refused = await execute(slug, { question: 7, extra: true });
    expect([refused.status, refused.body.reason]).toEqual([400, 'INPUT_INVALID']);
    expect(refused.body.detail).toMatch(/^Input validation failed: /);
    const fields = (refused.body.violations as JsonObject[]).map(({ field }) => field);
    expect(fields.toSorted()).toEqual(['inputs.context', 'inputs.extra', 'inputs.question']);
    const { executionId } = refused.body.metadata as JsonObject;
    const row = demand(await stack.http.get(`/v1/executions/${executionId}`), 200);
    expect(row).toMatchObject({
      status: 'EXECUTION_STATUS_FAILED',
      error: { reason: 'INPUT_INVALID', category: 'input' },
    });
    expect(Number((row.metrics as JsonObject | undefined)?.lm_calls ?? 0)).toBe(0);
  });

  it('ERR-01 logs what callers got wrong as a warning', async () => {
    const { slug } = await readyProgram(stack);
    const refused = await execute(slug, {});
    const trace = String(refused.body.traceId);
    expect(trace).toMatch(/^[0-9a-f]{32}$/);
    const warned = stack
      .logs()
      .split('\n')
      .filter((line) => line.includes('INPUT_INVALID') && line.includes(trace));
    expect(warned.length).toBeGreaterThan(0);
    expect(warned.every((line) => JSON.parse(line).level === 40 || JSON.parse(line).level === 'warn')).toBe(true);
  });

  it('PRG-13, ADP-01, ADP-02 dispatches by adapter type and passes the options on', async () => {
    const { slug } = await readyProgram(stack);
    const ran = demand(
      await execute(slug, QA_INPUTS, {
        executionOptions: { timeoutMs: 5000, maxRetries: 1, cache: false, engine: 'mock' },
      }),
      200,
    );
    expect(ran.engine).toBe('ENGINE_MOCK');
    const row = demand(await stack.http.get(`/v1/executions/${ran.executionId}`), 200);
    expect(row.metadata).toEqual({
      adapter_type: 'mock',
      options: { timeout_ms: 5000, max_retries: 1, cache: false, engine: 'mock' },
    });
    const other = await execute(slug, QA_INPUTS, { executionOptions: { engine: 'python' } });
    expect(other.status).toBe(400);
    const refusedOptions: JsonObject[] = [
      { timeoutMs: -1 },
      { maxRetries: 11 },
      { maxRetries: -1 },
      { lm: 'nobody' },
      { version: 99 },
    ];
    for (const options of refusedOptions) {
      const refused = await execute(slug, QA_INPUTS, { executionOptions: options });
      expect([options, [400, 404].includes(refused.status)]).toEqual([options, true]);
    }
  });

  it('ADP-03 answers by type, the same for the same inputs', async () => {
    const spec = 'n: int -> a: str, b: int, c: float, d: bool, e: list[str], f: dict[str, int], g: Literal["x", "y"]';
    const { slug } = await readyProgram(stack, { signatureSpec: spec });
    const [one, two, other] = [
      await execute(slug, { n: 1 }),
      await execute(slug, { n: 1 }),
      await execute(slug, { n: 2 }),
    ];
    const outputs = demand(one, 200).outputs as JsonObject;
    expect(outputs).toEqual(demand(two, 200).outputs);
    expect(outputs).not.toEqual(demand(other, 200).outputs);
    const { a, b, c, d, e, f, g } = outputs;
    expect([typeof a, Number.isInteger(b), typeof c, typeof d]).toEqual(['string', true, 'number', 'boolean']);
    expect([Array.isArray(e), typeof f, ['x', 'y'].includes(String(g))]).toEqual([true, 'object', true]);
  });

  it('SIG-19 is strict unless told otherwise', async () => {
    const spec = `${uniqueName('n').replace('-', '_')}: int -> answer`;
    const field = spec.slice(0, spec.indexOf(':'));
    const lenient = demand(await stack.http.post('/v1/signatures:parse', { spec, strictMode: false }), 201);
    const strict = await readyProgram(stack, { signatureSpec: 'n: int, x: float = 0.5 -> answer' });
    expect((await execute(strict.slug, { n: '7' })).body.reason).toBe('INPUT_INVALID');
    expect((await execute(strict.slug, { n: 7, extra: 1 })).body.reason).toBe('INPUT_INVALID');
    expect((await execute(strict.slug, { n: 7.5 })).body.reason).toBe('INPUT_INVALID');
    demand(await execute(strict.slug, { n: 7, x: 1 }), 200);
    const soft = await readyProgram(stack, { signature: lenient.id ?? '' });
    const ran = demand(await execute(soft.slug, { [field]: '7', extra: 1 }), 200);
    const row = demand(await stack.http.get(`/v1/executions/${ran.executionId}`), 200);
    expect(row.inputs).toEqual({ [field]: 7 });
  });

  it('SIG-22 stores and runs what the signature made of the inputs, defaults included and every digit kept', async () => {
    const { slug } = await readyProgram(stack, { signatureSpec: 'n: int, x: float, label: str = "none" -> answer' });
    const body = '{"inputs": {"n": 9007199254740993, "x": 0.1000000000000000055511151231257827}}';
    const ran = demand(await stack.http.post(`/v1/programs/${slug}:execute`, body), 200);
    const row = await stack.http.get(`/v1/executions/${ran.executionId}`);
    expect(row.text).toContain('9007199254740993');
    expect(row.text).toContain('0.1000000000000000055511151231257827');
    expect(row.body.inputs).toMatchObject({ label: 'none' });
  });

  it('EXE-13 answers execution, outputs, duration and state', async () => {
    const { slug } = await readyProgram(stack);
    const ran = demand(await execute(slug, QA_INPUTS), 200);
    expect(ran).toMatchObject({
      status: 'EXECUTION_STATUS_COMPLETED',
      outputs: { answer: expect.any(String), confidence: expect.any(Number) },
    });
    expect(ran.executionId).toMatch(/^[0-9a-f-]{36}$/);
    expect(Number(ran.durationMs ?? 0)).toBeGreaterThanOrEqual(0);
    expect(ran.traceId).toMatch(/^[0-9a-f]{32}$/);
  });

  it('EXE-14 answers and records the same reason when a run fails', async () => {
    const { slug } = await readyProgram(stack);
    const late = await execute(slug, QA_INPUTS, { executionOptions: { version: 99 } });
    expect([late.status, late.body.reason]).toEqual([404, 'VERSION_NOT_FOUND']);
    const refused = await execute(slug, { question: null });
    const row = demand(
      await stack.http.get(`/v1/executions/${(refused.body.metadata as JsonObject).executionId}`),
      200,
    );
    expect(row.errorMessage).toBe((row.error as JsonObject).message);
    expect(refused.body.detail).toBe(row.errorMessage);
    expect(refused.body.reason).toBe((row.error as JsonObject).reason);
  });

  it('answers at once with 202 when asked to, and the same execution for the same request_id', async () => {
    const { slug } = await readyProgram(stack);
    const headers = { prefer: 'respond-async' };
    const accepted = await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS }, { headers });
    expect(accepted.status).toBe(202);
    expect(accepted.headers.location).toMatch(/^\/v1\/executions\//);
    const ended = demand(await stack.http.get(`${accepted.headers.location}:wait?timeoutMs=10000`), 200);
    expect(ended.status).toBe('EXECUTION_STATUS_COMPLETED');
    const once = { 'idempotency-key': uniqueName('run') };
    const answers = await Promise.all(
      Array.from({ length: 10 }, () =>
        stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS }, { headers: once }),
      ),
    );
    expect(new Set(answers.map((answer) => demand(answer, 200).executionId)).size).toBe(1);
    const reused = await stack.http.post(
      `/v1/programs/${slug}:execute`,
      { inputs: { ...QA_INPUTS, question: '?' } },
      { headers: once },
    );
    expect([reused.status, reused.body.reason]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
  });

  it('streams states, text and one result, over HTTP and over gRPC', async () => {
    const { slug } = await readyProgram(stack);
    const stream = await stack.sse(`/v1/programs/${slug}:stream`, { inputs: QA_INPUTS });
    expect(stream.headers['content-type']).toMatch(/^text\/event-stream/);
    const events = await Array.fromAsync(stream.events);
    const kinds = events.map(({ event }) => event);
    expect(kinds[0]).toBe('state');
    expect(kinds.at(-1)).toBe('result');
    expect(kinds.filter((kind) => kind === 'result')).toHaveLength(1);
    const ids = events.map(({ id }) => Number(id));
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    const text = events
      .filter(({ event, data }) => event === 'token' && data.field === 'answer')
      .map(({ data }) => data.text)
      .join('');
    const result = events.at(-1)?.data as JsonObject;
    expect(text).toBe((result.outputs as JsonObject).answer);
    const request = StreamProgramRequest.fromPartial({
      program: String(slug),
      inputs: { kind: { $case: 'json', value: Buffer.from(JSON.stringify(QA_INPUTS)) } },
    });
    const over = await Array.fromAsync(stack.grpc.stream(RuntimeServiceService.streamProgram, request));
    expect(over.at(-1)?.event?.$case).toBe('result');
  });

  it('answers a stream that cannot begin with a problem, not with a stream', async () => {
    const stream = await stack.sse('/v1/programs/nobody-knows-me:stream', { inputs: {} });
    expect(stream.status).toBe(404);
    expect(JSON.parse(await stream.text())).toMatchObject({ reason: 'PROGRAM_NOT_FOUND' });
    stream.close();
  });

  it('PRG-24 runs a signature at once on the mock engine, and reuses its program', async () => {
    const body = { signatureSpec: `${uniqueName('q').replace('-', '_')} -> answer`, inputs: {} as JsonObject };
    body.inputs = { [body.signatureSpec.split(' ')[0] ?? '']: 'What is 2+2?' };
    const [one, two] = [
      demand(await stack.http.post('/v1/quickExecute', body), 200),
      demand(await stack.http.post('/v1/quickExecute', body), 200),
    ];
    expect(one).toMatchObject({
      engine: 'ENGINE_MOCK',
      status: 'EXECUTION_STATUS_COMPLETED',
      outputs: { answer: expect.any(String) },
    });
    expect(two.programId).toBe(one.programId);
    expect(two.executionId).not.toBe(one.executionId);
    const program = demand(await stack.http.get(`/v1/programs/${one.programId}`), 200);
    expect(program.name).toMatch(/^Quick Execute - /);
    const module = demand(
      await stack.http.post('/v1/quickExecute', {
        signatureModule: 'Signet.QuestionAnswer',
        inputs: { question: 'Why?' },
      }),
      200,
    );
    expect(module.engine).toBe('ENGINE_MOCK');
    for (const bad of [
      {},
      { signatureSpec: QA_SPEC, signatureModule: 'Signet.QuestionAnswer' },
      { signatureSpec: '->' },
    ]) {
      expect((await stack.http.post('/v1/quickExecute', { ...bad, inputs: {} })).status).toBe(400);
    }
  });

  it('PRG-24 makes one program under 20 parallel quick executions', async () => {
    const spec = `${uniqueName('q').replace('-', '_')} -> answer`;
    const inputs = { [spec.split(' ')[0] ?? '']: 'x' };
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => stack.http.post('/v1/quickExecute', { signatureSpec: spec, inputs })),
    );
    expect(new Set(answers.map((answer) => demand(answer, 200).programId)).size).toBe(1);
  });

  it('keeps to the deadline of the caller', async () => {
    const { slug } = await readyProgram(stack);
    const late = await stack.http.post(
      `/v1/programs/${slug}:execute`,
      { inputs: QA_INPUTS },
      { headers: { 'x-timeout-ms': '0' } },
    );
    expect([400, 504]).toContain(late.status);
    const fine = await stack.http.post(
      `/v1/programs/${slug}:execute`,
      { inputs: QA_INPUTS },
      { headers: { 'x-timeout-ms': '5000' } },
    );
    expect(fine.status).toBe(200);
  });
});
