import type { AppError } from '@signet/kit/error/app-error.ts';
import { createTelemetry } from '@signet/kit/telemetry/telemetry.ts';
import { noTelemetry } from '@signet/kit/telemetry/telemetry-config.ts';
import { type OutputField, Type, TypeKind } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { afterAll, afterEach, expect } from 'vitest';
import { startScriptedLm } from '../../../test/support/scripted-lm.ts';
import type { LmEndpoint } from '../engine/engine.ts';
import { lmEndpoint } from '../engine/lm-endpoint.ts';
import type { LmContext, LmRequest } from '../lm/language-model.ts';
import { createLmClient, type LmClient, type LmClientOptions } from '../lm/lm-client.ts';

export const apiKey = 'sk-very-secret-key-0123456789';
export const answer: OutputField = { name: 'answer', text: true, type: Type.create({ kind: TypeKind.TYPE_KIND_STR }) };
export const chatText = '[[ ## answer ## ]]\nAda Lovelace\n\n[[ ## completed ## ]]';
const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

/** Gives a test file a client, a scripted endpoint that answers `chatText` unless told otherwise, and requests to it. */
export async function useLmClient() {
  const lm = await startScriptedLm({ behaviour: { kind: 'text', text: chatText } });
  const client = createLmClient({ tracer: createTelemetry('test', noTelemetry).tracer });
  let turn = 0;
  afterEach(() => {
    lm.reset();
    // Another name for each test, so that none inherits a breaker from the one before.
    turn += 1;
  });
  afterAll(async () => {
    await client.close();
    await lm.close();
  });
  const request = (more: Partial<LmRequest> = {}, endpoint: Partial<LmEndpoint> = {}): LmRequest => ({
    endpoint: lmEndpoint({
      slug: `lm-${turn}`,
      model: 'openai/gpt-x',
      apiBase: lm.url,
      apiKey,
      constrained: 'none',
      ...endpoint,
    }),
    messages: [{ role: 'user', content: 'who?' }],
    options: { temperature: 0.5 },
    outputFields: [answer],
    promptAdapter: 'chat',
    ...more,
  });
  return { lm, client, request };
}

/** A client that exports no spans and counts nothing. */
export function newClient(options: LmClientOptions = {}): LmClient {
  return createLmClient({ tracer: createTelemetry('test', noTelemetry).tracer }, options);
}

/** The surroundings of a call. */
export function context(more: Partial<LmContext> = {}): LmContext {
  return { deadlineMs: Date.now() + 10_000, traceparent, ...more };
}

/** The error that a call ends with; the test fails if it ends well. */
export async function failure(work: Promise<unknown>): Promise<AppError> {
  return work.then(
    () => expect.fail('it did not fail'),
    (error: AppError) => error,
  );
}
