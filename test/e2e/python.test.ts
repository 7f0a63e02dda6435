import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { HttpAnswer, JsonObject } from '../support/http.ts';
import { demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { textOf } from '../support/scripted-answer.ts';
import { type Behaviour, type ScriptedLm, type SeenRequest, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`the Python engine is left out: ${missing}`);

const chat = (fields: Record<string, string>): string =>
  `${Object.entries(fields)
    .map(([name, value]) => `[[ ## ${name} ## ]]\n${value}`)
    .join('\n\n')}\n\n[[ ## completed ## ]]`;
const promptOf = (request: SeenRequest | undefined): string =>
  (request?.body.messages ?? []).map(({ content }) => textOf(content)).join('\n');

describe.skipIf(missing !== undefined)('real DSPy', () => {
  let stack: Stack;
  let lm: ScriptedLm;
  let qa = '';
  let behaviour: Behaviour | ((request: SeenRequest) => Behaviour) = { kind: 'answer' };

  beforeAll(async () => {
    lm = await startScriptedLm({
      behaviour: (request) => (typeof behaviour === 'function' ? behaviour(request) : behaviour),
    });
    stack = await startStack({ engines: 'python', lm: lm.url });
    qa = String((await readyProgram(stack, { adapterType: 'python_port' })).slug);
  });
  beforeEach(() => {
    behaviour = { kind: 'answer' };
    lm.reset();
  });
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
  });

  const execute = (options: JsonObject = {}, program = qa): Promise<HttpAnswer> =>
    stack.http.post(`/v1/programs/${program}:execute`, { inputs: QA_INPUTS, executionOptions: options });
  const rowOf = async (answer: HttpAnswer): Promise<JsonObject> =>
    demand(await stack.http.get(`/v1/executions/${(answer.body.metadata as JsonObject).executionId}`), 200);

  it('executes on Python with one call of the model, which sees prompt, key and trace', async () => {
    const ran = demand(await execute(), 200);
    expect(ran).toMatchObject({ engine: 'ENGINE_PYTHON', outputs: { answer: 'scripted answer', confidence: 0.5 } });
    expect(lm.calls).toBe(1);
    const [request] = lm.requests;
    expect(promptOf(request)).toContain(QA_INPUTS.question);
    expect(request?.headers.authorization).toBe('Bearer sk-scripted-secret');
    expect(request?.headers.traceparent).toContain(String(ran.traceId));
    expect(request?.body.model).toBe('scripted');
    const row = demand(await stack.http.get(`/v1/executions/${ran.executionId}`), 200);
    expect(row.metrics).toMatchObject({ lm_calls: 1, attempts: 1 });
    expect(Number((row.metrics as JsonObject).tokens_in)).toBeGreaterThan(0);
  });

  it("EXE-12 times a run from its start to its end, the model's time included", async () => {
    behaviour = { kind: 'answer', delayMs: 300 };
    const began = performance.now();
    const ran = demand(await execute(), 200);
    const tookMs = performance.now() - began;
    expect(Number(ran.durationMs)).toBeGreaterThanOrEqual(295);
    expect(Number(ran.durationMs)).toBeLessThanOrEqual(Math.ceil(tookMs));
    const row = demand(await stack.http.get(`/v1/executions/${ran.executionId}`), 200);
    expect(row.durationMs).toBe(ran.durationMs);
    expect(Number((row.trace as JsonObject[])[0]?.duration_ms)).toBeGreaterThanOrEqual(295);
  });

  it('serves chain of thought, the JSON adapter, instructions, demos and options of the model', async () => {
    const { slug } = await readyProgram(stack, {
      adapterType: 'python_port',
      configuration: {
        module: 'chain_of_thought',
        promptAdapter: 'json',
        instructions: 'Answer like a pirate.',
        lmOptions: { temperature: 0.25, maxTokens: 77 },
        demos: [{ question: 'Who is Bob?', context: [], reasoning: 'Known.', answer: 'A demo.', confidence: 1 }].map(
          ({ reasoning: _, ...demo }) => demo,
        ),
      },
    });
    demand(await execute({}, String(slug)), 200);
    const prompt = promptOf(lm.requests[0]);
    for (const part of ['reasoning', 'Answer like a pirate.', 'Who is Bob?', 'A demo.']) expect(prompt).toContain(part);
    expect(lm.requests[0]?.body).toMatchObject({ temperature: 0.25, max_tokens: 77 });
  });

  it('keeps every digit from the body to the prompt and from the reply to the answer', async () => {
    const { slug } = await readyProgram(stack, { adapterType: 'python_port', signatureSpec: 'n: int -> m: int' });
    behaviour = { kind: 'text', text: chat({ m: '9007199254740995' }) };
    const answer = await stack.http.post(`/v1/programs/${slug}:execute`, '{"inputs":{"n":9007199254740993}}');
    expect(answer.text).toContain('9007199254740995');
    expect(promptOf(lm.requests[0])).toContain('9007199254740993');
  });

  it('streams the text of the answer as it arrives', async () => {
    behaviour = {
      kind: 'chunks',
      chunks: [
        '[[ ## answer',
        ' ## ]]\nAda ',
        'Love',
        'lace\n\n[[ ## confi',
        'dence ## ]]\n0.5\n\n[[ ## completed ## ]]',
      ],
      gapMs: 30,
    };
    const stream = await stack.sse(`/v1/programs/${qa}:stream`, { inputs: QA_INPUTS });
    const events = await Array.fromAsync(stream.events);
    const texts = events.filter(({ event }) => event === 'token').map(({ data }) => String(data.text));
    expect(texts.length).toBeGreaterThan(1);
    expect(texts.join('')).toBe('Ada Lovelace');
    expect(events.at(-1)?.data.outputs).toEqual({ answer: 'Ada Lovelace', confidence: 0.5 });
    expect(lm.calls).toBe(1);
  });

  it('gives each of 32 callers at once its own answer', async () => {
    behaviour = (request) => ({
      kind: 'text',
      text: chat({ answer: /echo-\d+/.exec(promptOf(request))?.[0] ?? 'none', confidence: '1' }),
      delayMs: 20,
    });
    const answers = await Promise.all(
      Array.from({ length: 32 }, (_, at) =>
        stack.http.post(`/v1/programs/${qa}:execute`, { inputs: { question: `echo-${at}.`, context: [] } }),
      ),
    );
    expect(answers.map((answer) => (demand(answer, 200).outputs as JsonObject).answer)).toEqual(
      Array.from({ length: 32 }, (_, at) => `echo-${at}`),
    );
    expect(lm.calls).toBe(32);
  });

  it('ends at the deadline when the model is slow, and hangs up on it', async () => {
    behaviour = { kind: 'answer', delayMs: 20_000 };
    const startMs = performance.now();
    const late = await execute({ timeoutMs: 700 });
    expect(performance.now() - startMs).toBeLessThan(5000);
    expect([late.status, late.body.reason]).toEqual([504, 'DEADLINE_EXCEEDED']);
    expect((await rowOf(late)).status).toBe('EXECUTION_STATUS_FAILED');
    expect(lm.calls).toBe(1);
    await eventually(() => expect(lm.requests[0]?.closedByClient).toBe(true), 3000);
  });

  it('waits as long as the model says and asks again', async () => {
    lm.enqueue({ kind: 'status', status: 429, retryAfter: '1' });
    const startMs = performance.now();
    demand(await execute(), 200);
    expect(performance.now() - startMs).toBeGreaterThan(900);
    expect(lm.calls).toBe(2);
  });

  it.each<[string, Behaviour, JsonObject, number, string, number[]]>([
    [
      'limits for good',
      { kind: 'status', status: 429, retryAfter: '1' },
      { maxRetries: 1 },
      429,
      'LM_RATE_LIMITED',
      [2],
    ],
    ['fails with 500', { kind: 'status', status: 500 }, { maxRetries: 0 }, 503, 'LM_UNAVAILABLE', [1]],
    ['fails with 500 again and again', { kind: 'status', status: 500 }, { maxRetries: 2 }, 503, 'LM_UNAVAILABLE', [3]],
    [
      'refuses the key',
      { kind: 'status', status: 401, message: 'bad key sk-scripted-secret' },
      {},
      502,
      'LM_ERROR',
      [1],
    ],
    ['refuses the request', { kind: 'status', status: 400, message: 'too long' }, {}, 502, 'LM_ERROR', [1]],
    [
      'answers garbage instead of JSON',
      { kind: 'raw', writes: ['<html>oops</html>'] },
      { maxRetries: 0 },
      502,
      'LM_REPLY_UNREADABLE',
      [1, 2],
    ],
    [
      'answers text without fields',
      { kind: 'text', text: 'I would rather not.' },
      { maxRetries: 0 },
      502,
      'LM_REPLY_UNREADABLE',
      [1, 2],
    ],
    ['answers nothing', { kind: 'text', text: '' }, { maxRetries: 0 }, 502, 'LM_REPLY_UNREADABLE', [1, 2]],
    [
      'answers a value of the wrong type',
      { kind: 'text', text: chat({ answer: 'x', confidence: 'very' }) },
      { maxRetries: 0 },
      502,
      'LM_REPLY_UNREADABLE',
      [1, 2],
    ],
    ['hangs up', { kind: 'hangup' }, { maxRetries: 0 }, 503, 'LM_UNAVAILABLE', [1]],
  ])('EXE-14 ends with its reason when the model %s', async (_what, does, options, status, reason, calls) => {
    behaviour = does;
    const failed = await execute(options);
    expect([failed.status, failed.body.reason]).toEqual([status, reason]);
    expect(calls).toContain(lm.calls);
    expect(failed.text).not.toContain('sk-scripted-secret');
    if (status === 429 || status === 503) expect(Number(failed.headers['retry-after'])).toBeGreaterThan(0);
    const row = await rowOf(failed);
    expect(row).toMatchObject({ status: 'EXECUTION_STATUS_FAILED', error: { reason } });
    expect(JSON.stringify(row)).not.toContain('sk-scripted-secret');
    behaviour = { kind: 'answer' };
    demand(await execute(), 200);
  });

  it('ends a stream that breaks off with an error, after what was shown', async () => {
    behaviour = {
      kind: 'chunks',
      chunks: ['[[ ## answer ## ]]\nHalf of ', 'an answer ', 'that never'],
      gapMs: 20,
      breakAfter: 2,
    };
    const stream = await stack.sse(`/v1/programs/${qa}:stream`, {
      inputs: QA_INPUTS,
      executionOptions: { maxRetries: 0 },
    });
    const events = await Array.fromAsync(stream.events);
    expect(events.at(-1)).toMatchObject({
      event: 'error',
      data: { reason: expect.stringMatching(/^LM_(REPLY_UNREADABLE|UNAVAILABLE)$/) },
    });
    expect(events.filter(({ event }) => event === 'result')).toEqual([]);
  });

  it('cancels down to the socket of the model: by verb, and by the caller going away', async () => {
    behaviour = { kind: 'silence' };
    const accepted = demand(await stack.http.post('/v1/executions', { program: qa, inputs: QA_INPUTS }), 202);
    await eventually(() => expect(lm.calls).toBe(1));
    demand(await stack.http.post(`/v1/executions/${accepted.id}:cancel`), 200);
    const ended = demand(await stack.http.get(`/v1/executions/${accepted.id}:wait?timeoutMs=5000`), 200);
    expect([ended.status, (ended.error as JsonObject).reason]).toEqual(['EXECUTION_STATUS_CANCELLED', 'CANCELLED']);
    await eventually(() => expect(lm.requests[0]?.closedByClient).toBe(true), 5000);
    const abort = new AbortController();
    const pending = stack.http.post(`/v1/programs/${qa}:execute`, { inputs: QA_INPUTS }, { signal: abort.signal });
    await eventually(() => expect(lm.calls).toBe(2));
    abort.abort();
    await expect(pending).rejects.toThrow();
    await eventually(() => expect(lm.requests[1]?.closedByClient).toBe(true), 5000);
    await eventually(async () => {
      const recent = demand(await stack.http.get('/v1/executions:recent?limit=1'), 200).executions as JsonObject[];
      expect(recent[0]?.status).toBe('EXECUTION_STATUS_CANCELLED');
    }, 5000);
  });

  it('shows no key to Python', async () => {
    const { readFileSync } = await import('node:fs');
    const environment = readFileSync(`/proc/${stack.pid('sidecar')}/environ`, 'utf8');
    for (const secret of ['sk-scripted-secret', stack.secretKey, stack.adminKey, stack.databaseUrl])
      expect(environment).not.toContain(secret);
  });
});

describe.skipIf(missing !== undefined)('real DSPy without a language model', () => {
  it('PRG-13 refuses to run on Python and says what is missing', async () => {
    const stack = await startStack({ engines: 'python' });
    try {
      const { slug } = await readyProgram(stack, { adapterType: 'python_port' });
      const refused = await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS });
      expect([refused.status, refused.body.reason]).toEqual([409, 'LM_NOT_CONFIGURED']);
      expect(refused.text).toContain('SIGNET_LM_MODEL');
    } finally {
      await stack.close();
    }
  });
});
