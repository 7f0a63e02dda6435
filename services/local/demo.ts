import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isClaimed } from './claim-folder.ts';
import type { LauncherConfig } from './config.ts';
import { type Api, createApi, type JsonObject } from './demo/api.ts';
import { CONFIGURATION, INPUTS, PROGRAM, STREAM_INPUTS } from './demo/question.ts';
import { LaunchError } from './launch-error.ts';
import type { Span } from './otlp.ts';
import { printTrace } from './print-trace.ts';
import { type Stack, startStack } from './stack.ts';
import { startTraceReceiver, type TraceReceiver } from './trace-receiver.ts';

const TRACE_WAIT_MS = 15_000;

/** `npm run demo`: a whole stack on free ports and fresh data, one program from its signature to its trace, and nothing left behind. Gives the exit code. */
export async function demo(config: LauncherConfig, stop: AbortSignal): Promise<number> {
  const begun = performance.now();
  const dataDir = makeDataDir(config.cacheDir);
  const receiver = await startTraceReceiver();
  let succeeded = false;
  try {
    say('', 'Signet: one DSPy program, from its signature to its trace', '');
    const stack = await startStack(demoConfig(config, dataDir, receiver), (line) => say(`  ${line} …`), stop);
    try {
      await show(stack, receiver, stop);
      succeeded = true;
    } finally {
      say('', '  stopping everything …');
      await stack.stop();
    }
    say(`  done in ${((performance.now() - begun) / 1000).toFixed(1)} s, nothing left running`, '');
    return 0;
  } finally {
    await receiver.close();
    if (succeeded || stop.aborted) rmSync(dataDir, { recursive: true, force: true });
    else say(`  the logs are in ${join(dataDir, 'logs')}`);
  }
}

function say(...lines: string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

// A demo that was killed leaves its folder; one that runs keeps it.
function makeDataDir(cacheDir: string): string {
  mkdirSync(cacheDir, { recursive: true });
  for (const name of readdirSync(cacheDir).filter((entry) => entry.startsWith('demo-'))) {
    const left = join(cacheDir, name);
    if (!isClaimed(left)) rmSync(left, { recursive: true, force: true });
  }
  return mkdtempSync(join(cacheDir, 'demo-'));
}

function demoConfig(config: LauncherConfig, dataDir: string, receiver: TraceReceiver): LauncherConfig {
  const anyPort = { host: '127.0.0.1', port: 0 };
  return {
    ...config,
    dataDir,
    databaseUrl: undefined,
    doors: { http: anyPort, grpc: anyPort, registry: anyPort, executor: anyPort, sidecar: anyPort },
    inherited: {
      ...config.inherited,
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '1.0',
      OTEL_BSP_SCHEDULE_DELAY: '200',
    },
  };
}

async function show(stack: Stack, receiver: TraceReceiver, stop: AbortSignal): Promise<void> {
  const base = `http://${stack.doors.http}`;
  const api = createApi(base, stack.adminKey ?? '', stop);
  say('', `  HTTP ${base}, gRPC ${stack.doors.grpc}`, `  language model: ${stack.languageModel.description}`);

  heading(1, 'A typed signature becomes a program', 'POST /v1/programs');
  const program = await api.post('/v1/programs', { ...PROGRAM, configuration: CONFIGURATION });
  const slug = String(program.slug);
  table({ signature: PROGRAM.signatureSpec, program: slug, status: program.status });

  heading(2, 'It is prepared on DSPy', `POST /v1/programs/${slug}:initialize`);
  const ready = await api.post(`/v1/programs/${slug}:initialize`, {});
  if (ready.status !== 'PROGRAM_STATUS_READY')
    throw new LaunchError(`the program ended in ${ready.status}: ${ready.errorMessage ?? ''}`);
  table({ status: ready.status, dspyProgramId: ready.dspyProgramId });

  heading(3, 'It is executed', `POST /v1/programs/${slug}:execute`);
  table({ question: INPUTS.question, context: INPUTS.context.join('\n') });
  const result = await api.post(`/v1/programs/${slug}:execute`, { inputs: INPUTS });
  const outputs = result.outputs as JsonObject;
  table({ answer: outputs.answer, confidence: outputs.confidence });
  table({ status: result.status, engine: result.engine, duration: `${result.durationMs} ms`, trace: result.traceId });

  await showStream(api, slug);
  await showRecord(api, slug, String(result.executionId));
  await showTrace(receiver, String(result.traceId));
  sayWhoAnswered(stack);
}

async function showStream(api: Api, slug: string): Promise<void> {
  heading(4, 'Another one streams its text', `POST /v1/programs/${slug}:stream`);
  table({ question: STREAM_INPUTS.question });
  let field = '';
  let pieces = 0;
  for await (const { event, data } of api.stream(`/v1/programs/${slug}:stream`, { inputs: STREAM_INPUTS })) {
    if (event === 'error') throw new LaunchError(`the stream ended with ${JSON.stringify(data)}`);
    if (event !== 'token') continue;
    pieces += 1;
    if (data.field !== field) process.stdout.write(`${field === '' ? '' : '\n'}   ${String(data.field).padEnd(14)}`);
    field = String(data.field);
    process.stdout.write(String(data.text));
  }
  say('');
  table({ pieces });
}

async function showRecord(api: Api, slug: string, executionId: string): Promise<void> {
  heading(5, 'What stands in Postgres', `GET /v1/executions/${executionId}`);
  const execution = await api.get(`/v1/executions/${executionId}`);
  table({
    status: execution.status,
    outputs: JSON.stringify(execution.outputs),
    executedAt: execution.executedAt,
    metrics: JSON.stringify(execution.metrics),
  });
  heading(6, 'Its statistics', `GET /v1/programs/${slug}/statistics`);
  const statistics = await api.get(`/v1/programs/${slug}/statistics`);
  table(Object.fromEntries(Object.entries(statistics).filter(([, value]) => typeof value !== 'object')));
}

async function showTrace(receiver: TraceReceiver, traceId: string): Promise<void> {
  heading(7, 'Its trace, over all processes', traceId);
  let last = { count: 0, since: performance.now() };
  const isComplete = (spans: Span[]) => {
    if (spans.length !== last.count) last = { count: spans.length, since: performance.now() };
    const ids = new Set(spans.map((span) => span.spanId));
    const whole = spans.length > 1 && spans.filter((span) => !ids.has(span.parentSpanId)).length === 1;
    // Nothing says that a trace has ended; so it has when it hangs together and nothing came for a while.
    return whole && performance.now() - last.since > 1_500;
  };
  const spans = await receiver.waitFor(traceId, isComplete, TRACE_WAIT_MS);
  say(printTrace(spans).replace(/^/gm, '   '));
}

function sayWhoAnswered({ languageModel }: Stack): void {
  const lines = [`  Answered by ${languageModel.description}.`];
  if (languageModel.kind === 'embedded')
    lines.push('  So small a model is often wrong, and its confidence means nothing.');
  if (languageModel.kind === 'scripted') lines.push('  Its answers are made up from the form alone.');
  if (languageModel.kind !== 'named') {
    lines.push(
      '  A real model instead:',
      '',
      '    SIGNET_LM_MODEL=openai/gpt-4o-mini SIGNET_LM_API_KEY=… npm run demo',
    );
  }
  say('', ...lines);
}

function heading(number: number, what: string, how: string): void {
  say('', `${number}  ${what}`, `   ${how}`, '');
}

function table(rows: Record<string, unknown>): void {
  const filled = Object.entries(rows).filter(([, value]) => value !== undefined && value !== '');
  const width = Math.max(14, ...filled.map(([name]) => name.length + 2));
  for (const [name, value] of filled) {
    say(`   ${name.padEnd(width)}${String(value).replaceAll('\n', `\n${' '.repeat(width + 3)}`)}`);
  }
}
