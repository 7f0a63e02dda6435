import { eventually } from '@signet/kit/testing/eventually.ts';
import {
  DeleteLanguageModelRequest,
  GetLanguageModelRequest,
  LanguageModelServiceService as models,
} from '@signet/proto/gen/signet/v1/language_model_service.ts';
import {
  CheckLanguageModelRequest,
  RuntimeServiceService as runtime,
} from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failureOf } from '../support/grpc-clients.ts';
import type { HttpAnswer, JsonObject, JsonValue } from '../support/http.ts';
import { createProgram, demand, uniqueName } from '../support/programs.ts';
import { query } from '../support/query.ts';
import { type Behaviour, type ScriptedLm, type SeenRequest, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

const path = '/v1/languageModels';

describe('language models at the doors', () => {
  let stack: Stack;
  let lm: ScriptedLm;
  const keys: Record<string, string> = {};
  let behaviour: (request: SeenRequest) => Behaviour = ableEndpoint;

  beforeAll(async () => {
    lm = await startScriptedLm({ behaviour: (request) => behaviour(request) });
    stack = await startStack({ engines: 'mock', envOf: { executor: { SIGNET_LM_ALLOW_PRIVATE: 'true' } } });
    for (const role of ['viewer', 'runner', 'editor']) {
      const made = demand(await stack.http.post('/v1/apiKeys', { name: role, role }), 201);
      keys[role] = String(made.secret);
    }
  });
  beforeEach(() => {
    behaviour = ableEndpoint;
    lm.reset();
  });
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
  });

  const make = (fields: JsonObject = {}, key = stack.adminKey): Promise<HttpAnswer> =>
    stack.http.post(path, { name: uniqueName('lm'), model: 'openai/gpt-x', ...fields }, { key });

  it('makes, reads, lists, changes and deletes one over HTTP and gRPC', async () => {
    const answer = await make({ provider: 'openai', model: 'gpt-x', credential: 'sk-doors-0123456789' });
    const made = demand(answer, 201);
    expect(answer.headers.location).toBe(`${path}/${made.id}`);
    expect(made).toMatchObject({ model: 'openai/gpt-x', provider: 'LM_PROVIDER_OPENAI', hasCredential: true });
    expect(answer.text).not.toContain('sk-doors');
    const read = await stack.grpc.unary(
      models.getLanguageModel,
      GetLanguageModelRequest.fromPartial({ languageModel: String(made.slug) }),
    );
    expect(read).toMatchObject({ id: made.id, hasCredential: true });
    const changed = await stack.http.patch(`${path}/${made.slug}`, { limits: { concurrencyMax: 4 }, etag: made.etag });
    expect(demand(changed, 200)).toMatchObject({ limits: { concurrencyMax: 4 }, model: 'openai/gpt-x' });
    const stale = await stack.http.patch(`${path}/${made.slug}`, { name: 'x', etag: made.etag });
    expect([stale.status, stale.body.reason]).toEqual([412, 'ETAG_MISMATCH']);
    const listed = demand(await stack.http.get(`${path}?filter=slug%20%3D%20%22${made.slug}%22`), 200);
    expect((listed.languageModels as JsonValue[]).length).toBe(1);
    expect((await make({ slug: String(made.slug) })).body.reason).toBe('NAME_TAKEN');
    demand(await stack.http.delete(`${path}/${made.id}`), 204);
    const gone = await stack.grpc.fails(
      models.deleteLanguageModel,
      DeleteLanguageModelRequest.fromPartial({ languageModel: String(made.id) }),
    );
    expect(failureOf(gone).reason).toBe('LM_NOT_FOUND');
  });

  it('lets editors change models, and admins alone their credentials', async () => {
    const slug = String(demand(await make({ credential: 'sk-guarded-0123456789' }), 201).slug);
    demand(await stack.http.get(`${path}/${slug}`, { key: keys.viewer! }), 200);
    for (const [key, fields, status] of [
      ['viewer', { name: 'x' }, 403],
      ['runner', { name: 'x' }, 403],
      ['editor', { credential: 'sk-mine' }, 403],
      ['editor', { apiBase: 'https://mine.example.com/v1' }, 403],
      ['editor', { name: 'x', parameters: { temperature: 0 } }, 200],
    ] as const) {
      const answer = await stack.http.patch(`${path}/${slug}`, fields, { key: keys[key]! });
      expect([key, fields, answer.status]).toEqual([key, fields, status]);
    }
    expect((await make({ credential: 'sk-x' }, keys.editor)).body.reason).toBe('ROLE_REQUIRED');
    expect((await stack.http.post(`${path}/${slug}:check`, {}, { key: keys.runner! })).status).toBe(403);
    expect((await stack.http.delete(`${path}/${slug}`, { key: keys.editor! })).status).toBe(403);
  });

  it('names every field that is wrong, at once', async () => {
    const fields = {
      name: '',
      slug: 'Nope!',
      model: 'gpt-x',
      apiBase: 'http://0x7f.1/v1',
      parameters: { api_key: 'sk-inside' },
      limits: { concurrencyMax: 0 },
      prices: { inputPerMillion: -1 },
      fallbacks: ['a', 'a'],
      labels: { 'A B': '' },
      credential: 'sk with spaces',
    };
    const answer = await make(fields);
    expect([answer.status, answer.body.reason]).toEqual([400, 'INVALID_REQUEST']);
    const named = (answer.body.violations as JsonObject[]).map(({ field }) => String(field).split(/[.[]/)[0]);
    expect(new Set(named)).toEqual(new Set(Object.keys(fields)));
    for (const text of ['sk-inside', 'sk with spaces', '0x7f', '127.0.0.1']) expect(answer.text).not.toContain(text);
  });

  it('finds out what an endpoint can do', async () => {
    await useAddress('able', lm.url, { credential: 'sk-check-0123456789', parameters: { seed: 7 } });
    const checked = demand(await stack.http.post(`${path}/able:check`, {}, { key: keys.editor! }), 200);
    expect(checked).toMatchObject({ languageModel: 'able', model: 'openai/gpt-x', reachable: true });
    expect(Number(checked.latencyMs)).toBeGreaterThan(0);
    expect((checked.probes as JsonObject[]).map(({ name, ok, message }) => [name, ok, message ?? ''])).toEqual(
      ['plain', 'streaming', 'json_object', 'json_schema', 'grammar', 'tools'].map((name) => [name, true, '']),
    );
    const suggested = { jsonSchema: true, jsonObject: true, grammar: true, streaming: true, tools: true };
    expect(checked.suggestedCapabilities).toEqual(suggested);
    expect(lm.calls).toBe(6);
    for (const { headers, body } of lm.requests) {
      expect(headers.authorization).toBe('Bearer sk-check-0123456789');
      expect([body.model, body.seed]).toEqual(['gpt-x', 7]);
      expect(Number(body.max_tokens)).toBeLessThanOrEqual(256);
    }
  });

  it('tells what an endpoint cannot do, and why', async () => {
    await useAddress('plain-only', lm.url);
    behaviour = ({ body }) => {
      if (body.tools !== undefined) return { kind: 'status', status: 400, message: 'tools? never heard of them' };
      return { kind: 'text', text: 'yes' };
    };
    const checked = demand(await stack.http.post(`${path}/plain-only:check`), 200);
    const byName = Object.fromEntries((checked.probes as JsonObject[]).map((probe) => [String(probe.name), probe]));
    expect(byName.plain).toMatchObject({ ok: true });
    expect(byName.json_schema).toMatchObject({ ok: false, message: 'the reply was not held to the schema' });
    expect(byName.grammar).toMatchObject({ ok: false, message: 'the reply was not held to the grammar' });
    expect(byName.tools).toMatchObject({ ok: false, reason: 'LM_ERROR' });
    expect(checked.suggestedCapabilities).toEqual({
      ...{ jsonSchema: false, jsonObject: false, grammar: false, streaming: true, tools: false },
    });
  });

  it.each<[string, string, Behaviour | undefined, string]>([
    [
      'refuses the key',
      'refusing',
      { kind: 'status', status: 401, message: 'bad key sk-check-wrong-0123' },
      'LM_ERROR',
    ],
    ['is overloaded', 'busy', { kind: 'status', status: 429 }, 'LM_RATE_LIMITED'],
    [
      'answers with something else',
      'strange',
      { kind: 'raw', writes: ['<html>'], contentType: 'application/json' },
      'LM_REPLY_UNREADABLE',
    ],
    ['says nothing', 'silent', { kind: 'silence' }, 'DEADLINE_EXCEEDED'],
    ['is not there', 'absent', undefined, 'LM_UNAVAILABLE'],
  ])('answers the check of an endpoint that %s', async (_what, slug, reply, reason) => {
    await useAddress(slug, reply === undefined ? 'http://127.0.0.1:1/v1' : lm.url, {
      credential: 'sk-check-wrong-0123',
    });
    if (reply !== undefined) behaviour = () => reply;
    const answer = await stack.http.post(`${path}/${slug}:check`, { timeoutMs: '1500' });
    const checked = demand(answer, 200);
    expect([checked.reachable ?? false, checked.reason]).toEqual([false, reason]);
    expect((checked.probes as JsonValue[]).length).toBe(1);
    expect(answer.text).not.toContain('sk-check-wrong');
  });

  it('refuses to check what is not there, or for longer than two minutes', async () => {
    const nobody = CheckLanguageModelRequest.fromPartial({ languageModel: 'nobody' });
    expect(failureOf(await stack.grpc.fails(runtime.checkLanguageModel, nobody)).reason).toBe('LM_NOT_FOUND');
    expect((await stack.http.post(`${path}/default:check`)).body.reason).toBe('LM_NOT_CONFIGURED');
    await useAddress('patient', lm.url);
    for (const timeoutMs of ['120001', '-1']) {
      const answer = await stack.http.post(`${path}/patient:check`, { timeoutMs });
      expect([answer.status, answer.body.reason]).toEqual([400, 'INVALID_REQUEST']);
    }
  });

  it('refuses a program that names one which is not there, by its field', async () => {
    const body = { name: 'p', adapterType: 'mock', signatureSpec: 'q -> a', configuration: { lm: 'nobody' } };
    const answer = await stack.http.post('/v1/programs', body);
    expect([answer.status, answer.body.reason]).toEqual([404, 'LM_NOT_FOUND']);
    expect(answer.body.violations).toMatchObject([{ field: 'configuration.lm' }]);
    const { slug } = await createProgram(stack);
    const changed = await stack.http.patch(`/v1/programs/${slug}`, { configuration: { lm: 'nobody' } });
    expect(changed.body.reason).toBe('LM_NOT_FOUND');
  });

  // The registry of this stack allows no private address, so the row gets one behind its back.
  async function useAddress(slug: string, apiBase: string, fields: JsonObject = {}): Promise<void> {
    demand(await make({ slug, ...fields }), 201);
    await query(stack.databaseUrl, `update registry.language_models set api_base = $1 where slug = $2`, [
      apiBase,
      slug,
    ]);
    demand(await stack.http.patch(`${path}/${slug}`, { description: 'moved' }), 200);
    await eventually(async () => {
      const answer = await stack.http.post(`${path}/${slug}:check`, { timeoutMs: '300' });
      expect(answer.body.reason).not.toBe('LM_NOT_FOUND');
      // The executor asks the new address.
      if (apiBase === lm.url) expect(lm.calls).toBeGreaterThan(0);
    });
    lm.reset();
  }
});

/** Does whatever it is asked for, as an endpoint does that can do everything. */
function ableEndpoint({ body }: SeenRequest): Behaviour {
  const format = (body.response_format as { type?: string } | undefined)?.type;
  if (format === 'json_schema') return { kind: 'text', text: '{"held_to":"signet"}' };
  if (format === 'json_object') return { kind: 'text', text: '{"ok":true}' };
  if (body.grammar !== undefined) return { kind: 'text', text: '[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]' };
  if (body.tools === undefined) return { kind: 'text', text: 'yes' };
  const call = { id: 'c1', type: 'function', function: { name: 'tell_weather', arguments: '{"city":"Paris"}' } };
  const message = { role: 'assistant', content: null, tool_calls: [call] };
  const choices = [{ index: 0, finish_reason: 'tool_calls', message }];
  return { kind: 'raw', contentType: 'application/json', writes: [JSON.stringify({ choices })] };
}
