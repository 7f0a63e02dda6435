import { ROOT_CONTEXT } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { ResolvedLanguageModel } from '@signet/proto/gen/signet/internal/v1/registry.ts';
import type { LanguageModel } from '@signet/proto/gen/signet/v1/language_model.ts';
import { describe, expect, it } from 'vitest';
import { lmEndpoint } from '../engine/lm-endpoint.ts';
import { LanguageModels } from './language-models.ts';

const ctx = { signal: new AbortController().signal, deadlineMs: undefined, trace: ROOT_CONTEXT };
const environment = lmEndpoint({ model: 'openai/env', apiBase: 'http://127.0.0.1:1', apiKey: '', constrained: 'none' });

type Told = { slug: string; more?: Partial<LanguageModel>; credential?: string; fault?: string; deleted?: boolean };

const tell = ({ slug, more = {}, credential = '', fault = '', deleted = false }: Told, revision = 1n) =>
  ResolvedLanguageModel.fromPartial({
    languageModel: { id: `id-of-${slug}`, slug, provider: 1, model: `openai/${slug}`, ...more } as LanguageModel,
    ...{ credential, credentialFault: fault, deleted, revision },
  });

function startModels(options: { environment?: typeof environment; told?: Told[] } = {}) {
  const known = new Map((options.told ?? []).map((one) => [one.slug, one]));
  const asked: string[] = [];
  const registry = {
    async resolveLanguageModel(slug: string) {
      asked.push(slug);
      const found = known.get(slug);
      if (found === undefined) throw new AppError('LM_NOT_FOUND', 'nobody');
      return tell(found);
    },
  };
  const models = new LanguageModels({ registry, allowPrivate: false, environment: options.environment });
  return { models, known, asked };
}

describe('the language models of an executor', () => {
  it('serve the environment’s where none is named, before any that is called default', async () => {
    const { models, asked } = startModels({ environment });
    models.apply(tell({ slug: 'default' }));
    for (const slug of ['', 'default']) expect(await models.resolve(slug, ctx)).toBe(environment);
    expect(asked).toEqual([]);
  });

  it('serve the one that is called default where the environment names none', async () => {
    const { models } = startModels({ told: [{ slug: 'default', credential: 'k' }] });
    expect(models.peek('')).toBeUndefined();
    expect(await models.resolve('', ctx)).toMatchObject({ slug: 'default', apiKey: 'k', allowPrivate: false });
    expect(models.peek('')).toBe(models.peek('default'));
    await expect(startModels().models.resolve('', ctx)).rejects.toMatchObject({ reason: 'LM_NOT_CONFIGURED' });
    await expect(startModels().models.resolve('x', ctx)).rejects.toMatchObject({ reason: 'LM_NOT_FOUND' });
  });

  it('ask the registry once for what they do not know, by slug or id', async () => {
    const { models, asked } = startModels({ told: [{ slug: 'a' }] });
    expect(await models.resolve('a', ctx)).toBe(await models.resolve('a', ctx));
    expect(models.peek('id-of-a')).toMatchObject({ slug: 'a' });
    expect(asked).toEqual(['a']);
  });

  it('follow changes, whatever order they come in, and forget what was deleted with its credential', async () => {
    const { models } = startModels();
    models.apply(tell({ slug: 'a', credential: 'new' }, 5n));
    models.apply(tell({ slug: 'a', credential: 'old' }, 4n));
    expect(models.peek('a')?.apiKey).toBe('new');
    models.apply(tell({ slug: 'a', credential: 'newer' }, 6n));
    expect(models.peek('a')?.apiKey).toBe('newer');
    models.apply(tell({ slug: 'a', credential: 'newer', deleted: true }, 7n));
    models.apply(tell({ slug: 'a', credential: 'new' }, 5n));
    expect(models.peek('a')).toBeUndefined();
    expect(JSON.stringify([...Object.values(models)].map(String))).not.toContain('newer');
    models.apply(tell({ slug: 'a', more: { id: 'another' } }, 8n));
    expect(models.peek('a')?.apiKey).toBe('');
  });

  it('never ask one without its credential: the fault is told, and the registry asked again', async () => {
    const { models, known, asked } = startModels({ told: [{ slug: 'a', fault: 'no such key' }] });
    models.apply(tell({ slug: 'a', fault: 'no such key' }));
    const refused = models.resolve('a', ctx);
    await expect(refused).rejects.toMatchObject({
      reason: 'LM_NOT_CONFIGURED',
      message: expect.stringContaining('no such key'),
    });
    known.set('a', { slug: 'a', credential: 'opened' });
    expect((await models.resolve('a', ctx)).apiKey).toBe('opened');
    expect(asked).toEqual(['a', 'a']);
  });

  it('keep the credential that one registry opened where another cannot, until it changes', async () => {
    const { models } = startModels();
    models.apply(tell({ slug: 'a', credential: 'opened' }, 5n));
    models.apply(tell({ slug: 'a', fault: 'no such key' }, 5n));
    expect(models.peek('a')?.apiKey).toBe('opened');
    models.apply(tell({ slug: 'a', fault: 'no such key' }, 6n));
    expect(models.peek('a')).toBeUndefined();
  });

  it('give fallbacks in their order, without theirs and without those that cannot be asked', async () => {
    const { models } = startModels({ told: [{ slug: 'c', more: { fallbacks: ['a'] } }] });
    models.apply(tell({ slug: 'b', fault: 'sealed' }));
    models.apply(tell({ slug: 'd', credential: 'of-d' }));
    models.apply(tell({ slug: 'a', more: { fallbacks: ['b', 'nobody', 'd'] } }));
    expect(models.peek('a')?.fallbacks.map(({ slug, apiKey }) => [slug, apiKey])).toEqual([['d', 'of-d']]);
    models.apply(tell({ slug: 'd', credential: 'changed' }, 2n));
    expect(models.peek('a')?.fallbacks[0]?.apiKey).toBe('changed');
    const c = await models.resolve('c', ctx);
    expect(c.fallbacks.map(({ slug, fallbacks }) => [slug, fallbacks])).toEqual([['a', []]]);
  });

  it('read everything that the registry tells', () => {
    const { models } = startModels();
    const more = {
      ...{ provider: 2, model: 'anthropic/x', apiBase: 'https://x.example.com', constrained: 3 },
      parameters: { temperature: 0.5 },
      capabilities: { jsonSchema: true, jsonObject: false, grammar: false, streaming: false, tools: true },
      limits: { timeoutMs: 1000n, concurrencyMax: 2, requestsPerMinute: 3, tokensPerMinute: 4n },
      prices: { inputPerMillion: 1, outputPerMillion: 2, currency: 'USD' },
    };
    models.apply(tell({ slug: 'full', more: more as Partial<LanguageModel> }));
    const endpoint = models.peek('full');
    expect(endpoint).toMatchObject({
      ...{ provider: 'anthropic', model: 'anthropic/x', constrained: 'json_schema', capabilities: more.capabilities },
      ...{ timeoutMs: 1000, concurrencyMax: 2, requestsPerMinute: 3, tokensPerMinute: 4, prices: more.prices },
    });
    expect(endpoint?.parameters.get('temperature')).toMatchObject({ text: '0.5' });
  });
});
