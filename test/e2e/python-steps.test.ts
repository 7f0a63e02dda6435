import { join } from 'node:path';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Span } from '../../services/local/otlp.ts';
import { startTraceReceiver, type TraceReceiver } from '../../services/local/trace-receiver.ts';
import type { HttpAnswer, JsonObject } from '../support/http.ts';
import { demand } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { query } from '../support/query.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { ROOT } from '../support/source-files.ts';
import { type Stack, startStack } from '../support/stack.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`Python steps are left out: ${missing}`);

type Tree = { readonly execution: JsonObject; readonly children?: readonly Tree[] };

const ref = (path: string) => ({ $ref: path });
const python = (id: string, module: string, input: object, more: object = {}) => ({
  ...{ id, type: 'python', module, input },
  ...more,
});
const hops = (id: string, count: number) =>
  python(id, 'TwoHops', { question: ref('input.x') }, { kwargs: { hops: count } });

describe.skipIf(missing !== undefined)('Python steps and language models', { timeout: 60_000 }, () => {
  let lm: ScriptedLm;
  let stack: Stack;
  let receiver: TraceReceiver;

  beforeAll(async () => {
    [lm, receiver] = await Promise.all([startScriptedLm(), startTraceReceiver()]);
    stack = await startStack({
      engines: 'python',
      env: {
        SIGNET_LM_ALLOW_PRIVATE: 'true',
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
        OTEL_TRACES_SAMPLER: 'always_on',
      },
      envOf: {
        sidecar: {
          SIGNET_PYTHON_PATH: join(ROOT, 'test', 'fixtures', 'python'),
          SIGNET_PYTHON_MODULES: 'TwoHops=seed_programs:TwoHops,Moody=seed_programs:Moody,Shout=seed_programs:shout',
        },
      },
    });
    const fields = { type: 'predict', pythonModule: 'python:TwoHops', signatureSpec: 'question: str -> answer: str' };
    // The allow-list reaches the registry by the executor, which asks the sidecar for it.
    await eventually(
      async () => demand(await stack.http.post('/v1/modules', { name: 'two_hops', ...fields }), 201),
      60_000,
      500,
    );
  }, 120_000);
  beforeEach(() => lm.reset());
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
    await receiver?.close();
  }, 60_000);

  const compose = async (...steps: object[]): Promise<string> => {
    const pipelineSpec = { inputs: 'x: str', steps };
    const body = { modules: ['two_hops'], pipelineSpec } as unknown as JsonObject;
    const { slug } = demand(await stack.http.post('/v1/programs:compose', body), 201);
    const { status } = demand(await stack.http.post(`/v1/programs/${slug}:initialize`), 200);
    expect(status).toBe('PROGRAM_STATUS_READY');
    return String(slug);
  };
  const run = (program: string, options: JsonObject = {}, x = 'hello'): Promise<HttpAnswer> =>
    stack.http.post(`/v1/programs/${program}:run`, { inputs: { x }, executionOptions: options });
  const tree = async (execution: unknown): Promise<Tree> =>
    demand(await stack.http.get(`/v1/executions/${execution}:tree`), 200) as unknown as Tree;
  const makeModel = async (slug: string, fields: JsonObject = {}): Promise<void> => {
    const body = { name: slug, slug, model: `openai/${slug}`, apiBase: lm.url, ...fields };
    demand(await stack.http.post('/v1/languageModels', body), 201);
  };
  const callsOf = (execution: unknown) =>
    query(stack.databaseUrl, 'select * from executor.lm_calls where execution_id = $1 order by seq', [execution]);

  it('run where no language model is, unless they ask one', async () => {
    const quiet = await compose(python('loud', 'Shout', { text: ref('input.x') }));
    expect(demand(await run(quiet), 200).outputs).toEqual({ result: 'HELLO' });
    const asking = await compose(hops('hop', 1));
    const refused = await run(asking);
    expect(refused.body).toMatchObject({ status: 409, reason: 'LM_NOT_CONFIGURED', metadata: { step: 'hop' } });
    const unknown = await run(quiet, { lm: 'nobody' });
    expect(unknown.body).toMatchObject({
      ...{ status: 404, reason: 'LM_NOT_FOUND', metadata: { step: 'loud' } },
      detail: 'The step `steps.loud` cannot begin: There is no language model `nobody`',
    });
  });

  it('PIP-04 ask the default language model or the one of the call, and what they use counts', async () => {
    await makeModel('default', { prices: { inputPerMillion: 1, outputPerMillion: 2, currency: 'USD' } });
    const program = await compose(hops('hop', 2));
    const answer = demand(await eventually(async () => expectOk(await run(program)), 5_000), 200);
    expect(answer.outputs).toEqual({ answer: 'scripted answer' });
    const { execution, children } = await tree(answer.executionId);
    const step = children![0]!.execution;
    const { cost, ...taken } = step.metrics as Record<string, number>;
    expect(taken).toMatchObject({ lm_calls: 2, lm: 'default', model: 'openai/default' });
    expect(cost).toBeCloseTo((taken.tokens_in! + 2 * taken.tokens_out!) / 1e6, 9);
    expect(execution.metrics).toMatchObject({ lm_calls: 2, tokens_in: taken.tokens_in, cost });
    // A step outlives its executor, so its answers are kept.
    expect(await callsOf(step.id)).toMatchObject([1, 2].map((seq) => ({ seq, run: 1, lm: 'default' })));
    await makeModel('other');
    lm.reset();
    demand(await run(program, { lm: 'other' }), 200);
    expect(lm.requests.map(({ body }) => body.model)).toEqual(['other', 'other']);
    lm.reset();
    lm.enqueue({ kind: 'status', status: 503 });
    const failed = await run(program, { maxRetries: 0 });
    expect(failed.body).toMatchObject({ reason: 'LM_UNAVAILABLE', metadata: { step: 'hop' } });
    expect(lm.calls).toBe(1);
  });

  it('PIP-04 may be modules that await', async () => {
    const program = await compose(python('moody', 'Moody', { question: ref('input.x') }));
    expect(demand(await run(program), 200).outputs).toEqual({ answer: 'scripted answer' });
    const raised = await run(program, {}, 'raise');
    expect(raised.body).toMatchObject({ reason: 'MODULE_FAILED', metadata: { step: 'moody' } });
  });

  it('PIP-08 stand in the trace as steps that run a module do', async () => {
    const module = { id: 'module', type: 'module', module: 'two_hops', input: { question: ref('input.x') } };
    const program = await compose(hops('hop', 2), { ...module, needs: ['hop'] });
    const { traceId } = demand(await run(program, { cache: false }), 200);
    const all = (spans: Span[]) => spans.filter(({ name }) => name.startsWith('chat ')).length === 4;
    await receiver.waitFor(String(traceId), all, 10_000);
    const shapes = await eventually(() => {
      const spans = receiver.spans(String(traceId));
      const steps = spans.filter(({ attributes }) => attributes['signet.step'] !== undefined);
      const found = steps.map(({ spanId }) => shapeBelow(spans, spanId));
      const hop = ['  Predict', '    chat default'];
      expect(found).toEqual(Array.from({ length: 2 }, () => ['TwoHops', ...hop, ...hop]));
      return found;
    }, 10_000);
    expect(shapes).toHaveLength(2);
  });

  it('go on after kill -9 with the answers that they had', async () => {
    const program = await compose(hops('hop', 3));
    lm.enqueue({ kind: 'answer' }, { kind: 'answer' }, { kind: 'silence' });
    const body = { program, inputs: { x: 'again' } };
    const { id } = demand(await stack.http.post('/v1/executions', body), 202);
    await eventually(() => expect(lm.calls).toBe(3));
    await stack.kill('executor');
    await stack.restart('executor');
    await eventually(async () => {
      const { execution } = await tree(id);
      expect(execution).toMatchObject({ status: 'EXECUTION_STATUS_COMPLETED', outputs: { answer: 'scripted answer' } });
    }, 40_000);
    // The two that were answered are not asked again.
    expect(lm.calls).toBe(4);
    const { children } = await tree(id);
    expect(children!.map(({ execution: { attempts } }) => attempts)).toEqual([2]);
  }, 90_000);

  it('fail clearly where their module is in ERROR', async () => {
    const module = { id: 'module', type: 'module', module: 'two_hops', input: { question: ref('input.x') } };
    const program = await compose({ id: 'both', type: 'group', steps: [module] });
    demand(await stack.http.post('/v1/modules/two_hops:fire', { event: 'start_execution' }), 200);
    demand(
      await stack.http.post('/v1/modules/two_hops:fire', { event: 'fail', errorMessage: 'taken out by hand' }),
      200,
    );
    await eventually(async () => {
      const { body } = await run(program, { cache: false });
      expect(body).toMatchObject({
        status: 409,
        reason: 'STATE_FORBIDS',
        metadata: { step: 'module', state: 'error' },
      });
      expect(body.detail).toContain('The step `steps.both.module` (module `two_hops`) cannot begin: ');
    });
    demand(await stack.http.post('/v1/modules/two_hops:fire', { event: 'reset' }), 200);
    await eventually(async () => demand(await run(program, { cache: false }), 200), 15_000);
  });
});

function expectOk(answer: HttpAnswer): HttpAnswer {
  demand(answer, 200);
  return answer;
}

/** The names of the spans below one, indented; `sidecar.run` counts as the span above it. */
function shapeBelow(spans: readonly Span[], parent: string, depth = 0): string[] {
  return spans
    .filter(({ parentSpanId }) => parentSpanId === parent)
    .toSorted((a, b) => Number(a.startNs - b.startNs))
    .flatMap((span) =>
      span.name === 'sidecar.run'
        ? shapeBelow(spans, span.spanId, depth)
        : [`${'  '.repeat(depth)}${span.name}`, ...shapeBelow(spans, span.spanId, depth + 1)],
    );
}
