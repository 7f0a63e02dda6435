import { LmConstraint, LmProvider } from '@signet/proto/gen/signet/v1/language_model.ts';
import {
  CreateLanguageModelRequest,
  type DeepPartial,
  ListLanguageModelsRequest,
  LanguageModelServiceService as models,
  UpdateLanguageModelRequest,
} from '@signet/proto/gen/signet/v1/language_model_service.ts';
import { UpdateProgramRequest } from '@signet/proto/gen/signet/v1/program_service.ts';
import { describe, expect, it } from 'vitest';
import { inner, programs, refusal, startTestRegistry } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';

const registry = useTestRegistry();
const secret = 'sk-registry-credential-0123456789';
const other = 'sk-registry-replacement-987654321';

const create = (fields: DeepPartial<CreateLanguageModelRequest> = {}, role: 'editor' | 'admin' = 'admin') =>
  registry.call(
    models.createLanguageModel,
    CreateLanguageModelRequest.fromPartial({ name: 'main', model: 'openai/gpt-x', ...fields }),
    role,
  );
const update = (fields: DeepPartial<UpdateLanguageModelRequest>, role: 'editor' | 'admin' = 'admin') =>
  registry.call(models.updateLanguageModel, UpdateLanguageModelRequest.fromPartial(fields), role);
const remove = (languageModel: string, force = false, role: 'editor' | 'admin' = 'admin') =>
  registry.call(models.deleteLanguageModel, { languageModel, force, etag: '', requestId: '' }, role);
const resolve = (languageModel: string) => registry.call(inner.resolveLanguageModel, { languageModel });

describe('language models', () => {
  it('are made with defaults, and read by id and by slug', async () => {
    const made = await create({ name: 'Große Köpfe', model: 'openai/gpt-x' });
    expect(made).toMatchObject({ slug: 'gro-e-kopfe', provider: LmProvider.LM_PROVIDER_OPENAI, hasCredential: false });
    expect(made).toMatchObject({ apiBase: 'https://api.openai.com/v1', constrained: LmConstraint.LM_CONSTRAINT_NONE });
    expect(made.capabilities).toEqual({
      ...{ jsonSchema: false, jsonObject: false, grammar: false, streaming: true, tools: false },
    });
    for (const languageModel of [made.id, made.slug]) {
      expect(await registry.call(models.getLanguageModel, { languageModel })).toEqual(made);
    }
    const again = await create({ name: 'Große Köpfe' });
    expect(again.slug).toBe('gro-e-kopfe-2');
    expect((await refusal(create({ slug: made.slug }))).reason).toBe('NAME_TAKEN');
  });

  it('keep everything that they were given', async () => {
    const given = {
      slug: 'full',
      description: 'all of it',
      provider: LmProvider.LM_PROVIDER_ANTHROPIC,
      model: 'claude-x',
      apiBase: 'https://lm.example.com/base/',
      parameters: { temperature: 0.25, max_tokens: 100, stop: ['x'] },
      capabilities: { jsonSchema: true, jsonObject: true, grammar: false, streaming: false, tools: true },
      constrained: LmConstraint.LM_CONSTRAINT_JSON_SCHEMA,
      limits: { timeoutMs: 5000n, concurrencyMax: 3, requestsPerMinute: 60, tokensPerMinute: 9_000_000_000n },
      prices: { inputPerMillion: 0.15, outputPerMillion: 0.6, currency: '' },
      labels: { team: 'search' },
    };
    const made = await create(given);
    expect(made).toMatchObject({
      ...given,
      model: 'anthropic/claude-x',
      apiBase: 'https://lm.example.com/base',
      prices: { ...given.prices, currency: 'USD' },
    });
    expect((await resolve('full')).languageModel).toEqual(made);
  });

  it('hide their credential from every reader and every column', async () => {
    const made = await create({ slug: 'secretive', credential: secret, requestId: 'r-secretive' });
    expect(made).toMatchObject({ hasCredential: true, credentialUpdateTime: expect.any(Date) });
    const { languageModels } = await registry.call(
      models.listLanguageModels,
      ListLanguageModelsRequest.fromPartial({}),
    );
    expect(JSON.stringify([made, languageModels], big)).not.toContain(secret);
    const { rows: tables } = await registry.sql.query<{ name: string }>(
      `select format('%I.%I', table_schema, table_name) as name from information_schema.tables where table_schema = 'registry'
       and table_type = 'BASE TABLE'`,
    );
    for (const { name } of tables) {
      const { rows } = await registry.sql.query(`select t::text as row from ${name} t`);
      const dump = JSON.stringify(rows);
      for (const form of [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64')]) {
        expect([name, dump.includes(form)]).toEqual([name, false]);
      }
    }
    expect((await resolve('secretive')).credential).toBe(secret);
  });

  it('take a new credential at once, and lose it when it is emptied', async () => {
    const made = await create({ slug: 'rotating', credential: secret });
    const rotated = await update({ languageModel: 'rotating', credential: other });
    expect(rotated.credentialUpdateTime!.getTime()).toBeGreaterThanOrEqual(made.credentialUpdateTime!.getTime());
    expect((await resolve('rotating')).credential).toBe(other);
    await update({ languageModel: 'rotating', name: 'rotating still' });
    expect((await resolve('rotating')).credential).toBe(other);
    expect(await update({ languageModel: 'rotating', credential: '' })).toMatchObject({ hasCredential: false });
    expect((await resolve('rotating')).credential).toBe('');
  });

  it('tell of a wrong secret key instead of a wrong credential, also to those who watch', async () => {
    await create({ slug: 'sealed', credential: secret });
    const stranger = await startTestRegistry(registry.databaseUrl, {
      config: { secretKey: 'quite another secret key, 0123456789', adminKey: undefined },
    });
    try {
      const told = await stranger.call(inner.resolveLanguageModel, { languageModel: 'sealed' });
      expect(told).toMatchObject({ credential: '', credentialFault: expect.stringContaining('SIGNET_SECRET_KEY') });
      const control = new AbortController();
      const seen: unknown[] = [];
      for await (const { change } of stranger.watch(0n, control.signal)) {
        if (change?.$case === 'languageModel') seen.push([change.value.languageModel?.slug, change.value.credential]);
        if (change?.$case === 'synced') break;
      }
      control.abort();
      expect(seen).toContainEqual(['sealed', '']);
    } finally {
      await stranger.close();
    }
    expect((await resolve('sealed')).credentialFault).toBe('');
  });

  it('are for admins where a credential, or where it goes, is at stake', async () => {
    expect((await refusal(create({ credential: secret }, 'editor'))).reason).toBe('ROLE_REQUIRED');
    await create({ slug: 'guarded', credential: secret });
    await create({ slug: 'open' }, 'editor');
    for (const fields of [
      { credential: other },
      { credential: '' },
      { apiBase: 'https://elsewhere.example.com' },
      { model: 'gemini/x' },
    ]) {
      const refused = await refusal(update({ languageModel: 'guarded', ...fields }, 'editor'));
      expect([fields, refused.reason]).toEqual([fields, 'ROLE_REQUIRED']);
    }
    expect((await refusal(remove('guarded', true, 'editor'))).reason).toBe('ROLE_REQUIRED');
    expect((await update({ languageModel: 'guarded', model: 'openai/gpt-y' }, 'editor')).model).toBe('openai/gpt-y');
    expect((await update({ languageModel: 'open', apiBase: 'https://x.example.com' }, 'editor')).apiBase).toContain(
      'x.',
    );
    expect((await resolve('guarded')).credential).toBe(secret);
    await remove('open', false, 'editor');
  });

  it('are changed only by those who saw their newest state, and only in the fields that are named', async () => {
    const made = await create({ slug: 'changing', parameters: { temperature: 1 }, labels: { a: 'b' } });
    const changed = await update({ languageModel: 'changing', etag: made.etag, limits: { concurrencyMax: 2 } });
    expect(changed).toMatchObject({
      parameters: { temperature: 1 },
      labels: { a: 'b' },
      limits: { concurrencyMax: 2 },
    });
    expect((await refusal(update({ languageModel: 'changing', etag: made.etag, name: 'x' }))).reason).toBe(
      'ETAG_MISMATCH',
    );
    const emptied = await update({ languageModel: 'changing', updateMask: ['prices', 'labels', 'parameters'] });
    expect(emptied).toMatchObject({ parameters: {}, labels: {}, prices: undefined, limits: { concurrencyMax: 2 } });
    for (const path of ['slug', 'id', 'has_credential', 'limits.timeout_ms', 'nonsense']) {
      const refused = await refusal(update({ languageModel: 'changing', updateMask: [path] }));
      expect([path, refused.reason]).toEqual([path, 'INVALID_REQUEST']);
    }
    const moved = await update({ languageModel: 'changing', model: 'anthropic/y' });
    expect(moved).toMatchObject({ provider: LmProvider.LM_PROVIDER_ANTHROPIC, apiBase: 'https://api.anthropic.com' });
    expect((await update({ languageModel: 'changing', model: 'z' })).model).toBe('anthropic/z');
  });

  it.each<[string, DeepPartial<CreateLanguageModelRequest>, string]>([
    ['an empty name', { name: ' ' }, 'name'],
    ['a name with a line break', { name: 'a\nb' }, 'name'],
    ['a slug in capitals', { slug: 'Main' }, 'slug'],
    ['no model', { model: '' }, 'model'],
    ['a model of nobody', { model: 'gpt-x' }, 'model'],
    ['a model without its name', { model: 'openai/' }, 'model'],
    ['a model with a space', { model: 'openai/gpt x' }, 'model'],
    ['a model that is too long', { model: `openai/${'x'.repeat(200)}` }, 'model'],
    ['a provider that does not fit', { provider: LmProvider.LM_PROVIDER_GEMINI }, 'provider'],
    ['an unknown provider', { provider: 77 as LmProvider }, 'provider'],
    ['an unknown constraint', { constrained: 77 as LmConstraint }, 'constrained'],
    ['a file as an address', { apiBase: 'file:///etc/passwd' }, 'api_base'],
    ['no URL as an address', { apiBase: 'example' }, 'api_base'],
    ['a user in the address', { apiBase: 'https://user:pass@example.com' }, 'api_base'],
    ['a query in the address', { apiBase: 'https://example.com/?key=1' }, 'api_base'],
    ['a loopback address', { apiBase: 'http://127.0.0.1:8080' }, 'api_base'],
    ['a loopback address as one number', { apiBase: 'http://2130706433' }, 'api_base'],
    ['a cloud’s metadata address', { apiBase: 'http://169.254.169.254' }, 'api_base'],
    ['a mapped address', { apiBase: 'http://[::ffff:7f00:1]' }, 'api_base'],
    ['a name of this machine', { apiBase: 'http://localhost.:80' }, 'api_base'],
    ['a key among the parameters', { parameters: { api_key: 'sk-x' } }, 'parameters.api_key'],
    ['headers among the parameters', { parameters: { extra_headers: { a: 'b' } } }, 'parameters.extra_headers'],
    ['a parameter with a strange name', { parameters: { 'a-b': 1 } }, 'parameters.a-b'],
    ['a temperature that is too high', { parameters: { temperature: 3 } }, 'parameters.temperature'],
    ['a temperature that is a text', { parameters: { temperature: '1' } }, 'parameters.temperature'],
    ['too many parameters', { parameters: numbered(65) }, 'parameters'],
    ['parameters that are too long', { parameters: { stop: 'x'.repeat(20_000) } }, 'parameters'],
    ['a limit of nothing', { limits: { concurrencyMax: 0 } }, 'limits.concurrency_max'],
    ['a negative time', { limits: { timeoutMs: -1n } }, 'limits.timeout_ms'],
    ['too many tokens', { limits: { tokensPerMinute: 2n ** 62n } }, 'limits.tokens_per_minute'],
    ['a negative price', { prices: { inputPerMillion: -1 } }, 'prices.input_per_million'],
    ['a price that is no number', { prices: { outputPerMillion: Number.NaN } }, 'prices.output_per_million'],
    ['another currency', { prices: { currency: 'EUR' } }, 'prices.currency'],
    ['too many fallbacks', { fallbacks: ['a', 'b', 'c', 'd', 'e', 'f'] }, 'fallbacks'],
    ['a fallback twice', { fallbacks: ['a', 'a'] }, 'fallbacks[1]'],
    ['a label with a strange key', { labels: { 'A b': '' } }, 'labels["A b"]'],
    ['a credential with a line break', { credential: 'sk-x\r\nx-evil: 1' }, 'credential'],
    ['a credential that is too long', { credential: 'x'.repeat(4097) }, 'credential'],
  ])('refuse %s', async (_what, fields, field) => {
    const refused = await refusal(create(fields));
    expect(refused.reason).toBe('INVALID_REQUEST');
    expect(refused.fieldViolations.map((violation) => violation.field)).toContain(field);
    expect(JSON.stringify(refused)).not.toContain('x-evil');
  });

  it('fall back on each other, but never in a circle', async () => {
    await create({ slug: 'c' });
    await create({ slug: 'b', fallbacks: ['c'] });
    await create({ slug: 'a', fallbacks: ['b', 'c'] });
    for (const [languageModel, fallbacks] of [
      ['c', ['a']],
      ['c', ['c']],
      ['b', ['a']],
    ] as const) {
      const refused = await refusal(update({ languageModel, fallbacks: [...fallbacks] }));
      expect(refused).toMatchObject({
        reason: 'INVALID_REQUEST',
        fieldViolations: [{ field: 'fallbacks[0]', reason: 'CIRCLE' }],
      });
    }
    const missing = await refusal(create({ fallbacks: ['c', 'nobody'] }));
    expect(missing).toMatchObject({ reason: 'LM_NOT_FOUND', fieldViolations: [{ field: 'fallbacks[1]' }] });
    expect(await refusal(remove('c'))).toMatchObject({ reason: 'STATE_FORBIDS', metadata: { state: 'in_use' } });
    await remove('c', true);
    expect((await refusal(resolve('c'))).reason).toBe('LM_NOT_FOUND');
  });

  it('close no circle when two changes at once would', async () => {
    await create({ slug: 'left' });
    await create({ slug: 'right' });
    const both = await Promise.allSettled([
      update({ languageModel: 'left', fallbacks: ['right'] }),
      update({ languageModel: 'right', fallbacks: ['left'] }),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('stay while a program in use names them, unless forced', async () => {
    await create({ slug: 'used', credential: secret });
    const unknown = await refusal(registry.createProgram({ name: 'p', configuration: { lm: 'nobody' } }));
    expect(unknown).toMatchObject({ reason: 'LM_NOT_FOUND', fieldViolations: [{ field: 'configuration.lm' }] });
    const program = await registry.createProgram({ name: 'user of it', configuration: { lm: 'used' } });
    const { id } = program;
    const refused = await refusal(remove('used'));
    expect(refused.message).toContain(program.slug);
    const changed = { program: id, configuration: { lm: 'default' } };
    await registry.call(programs.updateProgram, UpdateProgramRequest.fromPartial(changed));
    const strange = { program: id, configuration: { lm: 'nobody' } };
    const notThere = await refusal(registry.call(programs.updateProgram, UpdateProgramRequest.fromPartial(strange)));
    expect(notThere).toMatchObject({ reason: 'LM_NOT_FOUND', fieldViolations: [{ field: 'configuration.lm' }] });
    await remove('used');
    const { rows } = await registry.sql.query(
      `select count(*)::int as sealed from registry.language_models where slug = 'used' and credential is not null`,
    );
    expect(rows).toEqual([{ sealed: 0 }]);
    expect((await create({ slug: 'used' })).hasCredential).toBe(false);
  });

  it('are listed by filter and order, page by page', async () => {
    for (const name of ['l1', 'l2', 'l3']) await create({ slug: name, labels: { list: 'yes' } });
    const list = (fields: DeepPartial<ListLanguageModelsRequest>) =>
      registry.call(models.listLanguageModels, ListLanguageModelsRequest.fromPartial(fields));
    const filter = 'labels.list = "yes" AND provider = openai AND has_credential = false';
    const first = await list({ filter, orderBy: 'slug', pageSize: 2 });
    const second = await list({ filter, orderBy: 'slug', pageSize: 2, pageToken: first.nextPageToken });
    expect([...first.languageModels, ...second.languageModels].map(({ slug }) => slug)).toEqual(['l1', 'l2', 'l3']);
    expect(second.nextPageToken).toBe('');
    expect((await refusal(list({ filter: 'credential = "x"' }))).reason).toMatch(/FILTER_SYNTAX|INVALID_REQUEST/);
    expect((await refusal(list({ orderBy: 'credential' }))).reason).toBe('INVALID_REQUEST');
  });

  it('repeat the answer of a request id, and refuse it for another credential', async () => {
    const first = await create({ slug: 'once', credential: secret, requestId: 'once' });
    expect(await create({ slug: 'once', credential: secret, requestId: 'once' })).toEqual(first);
    expect((await refusal(create({ slug: 'once', credential: other, requestId: 'once' }))).reason).toBe(
      'IDEMPOTENCY_KEY_REUSED',
    );
  });

  it('reach those who watch in the order of the commits, programs among them', async () => {
    const { revision } = await resolve((await create({ slug: 'watched-first' })).slug);
    await registry.createProgram({ name: 'between' });
    await create({ slug: 'watched-last', credential: secret });
    await remove('watched-first');
    const control = new AbortController();
    const seen: string[] = [];
    for await (const { change } of registry.watch(revision, control.signal)) {
      if (change?.$case === 'program') seen.push(change.value.slug);
      if (change?.$case === 'languageModel') seen.push(`${change.value.languageModel?.slug} ${change.value.deleted}`);
      if (change?.$case === 'synced') break;
    }
    control.abort();
    expect(seen).toEqual(['between', 'watched-last false', 'watched-first true']);
  });

  it('are not found under what cannot be a name', async () => {
    for (const languageModel of [
      '',
      'no body',
      'Ä',
      '\u0001',
      'x'.repeat(5000),
      '01900000-0000-7000-8000-00000000dead',
    ]) {
      expect((await refusal(registry.call(models.getLanguageModel, { languageModel }))).reason).toBe('LM_NOT_FOUND');
    }
  });
});

function numbered(count: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, index]));
}

function big(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
