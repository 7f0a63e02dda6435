import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { whyNoPython } from '../support/python.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`the first minute is left out: ${missing}`);

// The requests of the documentation, to the letter and in their order.
describe.skipIf(missing !== undefined)('the first minute over HTTP', () => {
  let stack: Stack;
  let lm: ScriptedLm;
  let executionId = '';
  beforeAll(async () => {
    lm = await startScriptedLm();
    stack = await startStack({ engines: 'python', lm: lm.url });
  });
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
  });

  it('creates the program qa', async () => {
    const body =
      '{"name":"qa","signatureSpec":"question: str, context: list[str] -> answer: str, confidence: float","adapterType":"python_port"}';
    const answer = await stack.http.post('/v1/programs', body);
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({
      slug: 'qa',
      name: 'qa',
      status: 'PROGRAM_STATUS_DRAFT',
      adapterType: 'ADAPTER_TYPE_PYTHON_PORT',
      id: expect.any(String),
      signatureId: expect.any(String),
    });
    expect(answer.headers.location).toBe(`/v1/programs/${answer.body.id}`);
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
  });

  it('initializes it', async () => {
    const answer = await stack.http.post('/v1/programs/qa:initialize', '{}');
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ status: 'PROGRAM_STATUS_READY', dspyProgramId: expect.stringMatching(/.+/) });
  });

  it('executes it', async () => {
    const body = '{"inputs":{"question":"Who wrote it?","context":["Ada wrote it."]}}';
    const answer = await stack.http.post('/v1/programs/qa:execute', body);
    expect([answer.status, answer.text]).toEqual([200, expect.any(String)]);
    expect(answer.body).toMatchObject({
      executionId: expect.any(String),
      status: 'EXECUTION_STATUS_COMPLETED',
      outputs: { answer: 'scripted answer', confidence: 0.5 },
      durationMs: expect.stringMatching(/^\d+$/),
      traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
      engine: 'ENGINE_PYTHON',
    });
    executionId = String(answer.body.executionId);
  });

  it('streams it', async () => {
    const stream = await stack.sse('/v1/programs/qa:stream', { inputs: { question: 'Who?', context: [] } });
    const events = await Array.fromAsync(stream.events);
    expect(new Set(events.map(({ event }) => event))).toEqual(
      new Set(['state', 'token', 'step', 'result']).intersection(new Set(events.map(({ event }) => event))),
    );
    const token = events.find(({ event }) => event === 'token')?.data;
    expect(token).toMatchObject({ predictor: expect.any(String), field: 'answer', text: expect.any(String) });
    expect(events.at(-1)).toMatchObject({
      event: 'result',
      data: { status: 'EXECUTION_STATUS_COMPLETED', outputs: { answer: 'scripted answer' } },
    });
  });

  it('creates an execution without waiting, and reads it', async () => {
    const accepted = await stack.http.post(
      '/v1/executions',
      '{"program":"qa","inputs":{"question":"Who?","context":[]}}',
    );
    expect(accepted.status).toBe(202);
    expect(accepted.headers.location).toBe(`/v1/executions/${accepted.body.id}`);
    expect(accepted.body).toMatchObject({ id: expect.any(String), status: 'EXECUTION_STATUS_PENDING' });
    const read = await stack.http.get(`/v1/executions/${executionId}`);
    expect(read.status).toBe(200);
    for (const name of [
      'id',
      'programId',
      'program',
      'status',
      'inputs',
      'outputs',
      'durationMs',
      'executedAt',
      'createTime',
      'traceId',
      'metadata',
      'metrics',
      'trace',
    ]) {
      expect([name, name in read.body]).toEqual([name, true]);
    }
    expect((read.body.outputs as JsonObject).confidence).toBe(0.5);
  });

  it('parses a signature and executes quickly', async () => {
    const parsed = await stack.http.post(
      '/v1/signatures:parse',
      '{"spec":"document -> summary: str","name":"Summaries"}',
    );
    expect([parsed.status, parsed.body.name]).toEqual([201, 'Summaries']);
    const quick = await stack.http.post(
      '/v1/quickExecute',
      '{"signatureSpec":"question -> answer","inputs":{"question":"Why?"}}',
    );
    expect([quick.status, quick.body.engine]).toEqual([200, 'ENGINE_MOCK']);
  });
});
