import { ROOT_CONTEXT } from '@opentelemetry/api';
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import type { AppError } from '@signet/kit/error/app-error.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { ProgramDefinition } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { afterEach, expect } from 'vitest';
import { lmEndpoint } from '../engine/lm-endpoint.ts';
import type { LanguageModel } from '../lm/language-model.ts';
import { type FakeSidecar, fakeToken, startFakeSidecar } from '../sidecar/sidecar.fake.ts';
import { SidecarPool, type SidecarPoolOptions } from '../sidecar/sidecar-pool.ts';
import type { SidecarRunContext, SidecarRunInput, SidecarRunResult } from '../sidecar/sidecar-run.ts';
import type { ToolCaller } from '../tool/call-tool.ts';

/** Spans that ended since the test began. */
export const exporter = new InMemorySpanExporter();
const tracer = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }).getTracer('test');
/** A language model that nobody asks. */
export const quiet: LanguageModel = { complete: () => Promise.reject(new Error('no model')) };
const noTools: ToolCaller = { call: async (_tool, name) => `"called ${name}"`, close: async () => {} };
const endpoint = lmEndpoint({ model: 'openai/x', apiBase: 'http://127.0.0.1:1/v1', apiKey: '', constrained: 'none' });

/** What a test is given: a pool, and the sidecar that it knows. */
export type OpenedPool = { readonly pool: SidecarPool; readonly sidecar: FakeSidecar };

/** Gives a test file what opens a pool over a fake sidecar whose workers w0, w1 … offer these credits; both are gone after each test. */
export function useFakePool() {
  let sidecar: FakeSidecar | undefined;
  let pool: SidecarPool | undefined;
  afterEach(() => {
    pool?.close();
    sidecar?.close();
    exporter.reset();
  });
  return async function open(
    credits: readonly number[],
    options: Partial<SidecarPoolOptions> = {},
    lm = quiet,
    token = fakeToken,
  ): Promise<OpenedPool> {
    sidecar = await startFakeSidecar();
    for (const [at, credit] of credits.entries()) await sidecar.addWorker(`w${at}`, credit);
    const addresses = [{ host: '127.0.0.1', port: sidecar.port }];
    pool = new SidecarPool(
      { lm, tools: noTools, tracer, log: createLogger('test', 'silent'), internalToken: token },
      { addresses, ...options },
    );
    if (token === fakeToken && credits.length > 0) await expect.poll(() => pool?.ready()).toBe(true);
    return { pool, sidecar };
  };
}

/** A run of `predict` with these inputs. */
export function input(inputs: object, more: Partial<SidecarRunInput> = {}): SidecarRunInput {
  const named = { ref: 'r1', program: ProgramDefinition.create({ module: 'predict' }) };
  return {
    named,
    inputsJson: JSON.stringify(inputs),
    lm: endpoint,
    lmOptionsJson: '',
    maxRetries: 2,
    executionId: 'e1',
    tools: new Map(),
    alone: false,
    ...more,
  };
}

/** A context that ends after 10 s. */
export function context(more: Partial<SidecarRunContext> = {}): SidecarRunContext {
  return { signal: new AbortController().signal, deadlineMs: Date.now() + 10_000, trace: ROOT_CONTEXT, ...more };
}

/** What a run fails with. */
export function failure(work: Promise<SidecarRunResult>): Promise<AppError> {
  return work.then(
    () => expect.fail('it did not fail'),
    (error: AppError) => error,
  );
}
