import { AppError } from '@signet/kit/error/app-error.ts';
import type { LmEndpoint } from '../engine/engine.ts';
import type { LookupContext } from './catalog.ts';
import { endpointOf } from './language-model-endpoint.ts';
import type { RegistryClient, ResolvedLanguageModel } from './registry.grpc.ts';

/** What the language models need. */
export type LanguageModelsDeps = {
  readonly registry: Pick<RegistryClient, 'resolveLanguageModel'>;
  /** True if language models of the API may stand at private addresses. */
  readonly allowPrivate: boolean;
  /** The language model that the environment names; undefined if it names none. */
  readonly environment: LmEndpoint | undefined;
};

/**
 * The language models that programs and calls may ask, as the registry tells them, with their credentials: in memory alone. Where none is
 * named, and for `default`, the environment's serves; if it names none, the registry's of the slug `default` does.
 */
export class LanguageModels {
  private readonly deps: LanguageModelsDeps;
  private readonly byId = new Map<string, ResolvedLanguageModel>();
  private readonly idBySlug = new Map<string, string>();
  /** By slug; made anew after each change, because a change of one changes whoever falls back on it. */
  private readonly endpoints = new Map<string, LmEndpoint>();

  constructor(deps: LanguageModelsDeps) {
    this.deps = deps;
  }

  /** The language model of a slug, or the default one for an empty slug, out of memory; undefined means ask `resolve`. */
  peek(slug: string): LmEndpoint | undefined {
    const { environment } = this.deps;
    if (slug === '' || slug === 'default') {
      if (environment !== undefined) return environment;
      return this.endpoint('default');
    }
    return this.endpoint(slug);
  }

  /**
   * The language model of an id or slug, or the default one for an empty slug. Fails with LM_NOT_FOUND; with LM_NOT_CONFIGURED if nothing
   * is the default or a credential does not open; with SERVICE_UNAVAILABLE if only the registry, which is away, could tell.
   */
  async resolve(named: string, ctx: LookupContext): Promise<LmEndpoint> {
    const known = this.peek(named);
    if (known !== undefined) return known;
    const slug = named === '' ? 'default' : named;
    const told = await this.ask(slug, ctx);
    if (told.credentialFault !== '') throw sealed(slug, told.credentialFault);
    await this.askForFallbacks(told, ctx);
    const endpoint = this.endpoint(told.languageModel?.slug ?? slug);
    if (endpoint === undefined) throw notFound(slug);
    return endpoint;
  }

  /** Takes in what the registry told of a language model; what is older than what is known is left out. */
  apply(told: ResolvedLanguageModel): void {
    const { languageModel, deleted, revision } = told;
    if (languageModel === undefined) return;
    const { id, slug } = languageModel;
    const before = this.byId.get(id);
    if (before !== undefined && revision < before.revision) return;
    // The same revision may tell more, and not less: a registry with the right secret key opens what another could not.
    if (before?.revision === revision && before.credentialFault === '' && told.credentialFault !== '') return;
    this.endpoints.clear();
    if (deleted) {
      // Kept as a tombstone without anything in it, so that an older answer does not bring it back.
      this.byId.set(id, { ...told, credential: '' });
      if (this.idBySlug.get(slug) === id) this.idBySlug.delete(slug);
      return;
    }
    this.byId.set(id, told);
    this.idBySlug.set(slug, id);
  }

  private endpoint(named: string): LmEndpoint | undefined {
    const made = this.endpoints.get(named);
    if (made !== undefined) return made;
    const told = this.find(named);
    if (told === undefined) return undefined;
    const fallbacks = (told.languageModel?.fallbacks ?? []).flatMap((slug) => this.alone(slug));
    const endpoint = endpointOf(told, this.deps.allowPrivate, fallbacks);
    this.endpoints.set(named, endpoint);
    return endpoint;
  }

  // One that cannot be asked is left out, and the next one serves in its place.
  private alone(slug: string): LmEndpoint[] {
    const told = this.find(slug);
    return told === undefined ? [] : [endpointOf(told, this.deps.allowPrivate, [])];
  }

  private find(named: string): ResolvedLanguageModel | undefined {
    const told = this.byId.get(this.idBySlug.get(named) ?? named);
    return told === undefined || told.deleted || told.credentialFault !== '' ? undefined : told;
  }

  private async ask(slug: string, ctx: LookupContext): Promise<ResolvedLanguageModel> {
    try {
      const told = await this.deps.registry.resolveLanguageModel(slug, ctx);
      this.apply(told);
      if (told.deleted) throw notFound(slug);
      return told;
    } catch (error) {
      if (slug === 'default' && error instanceof AppError && error.reason === 'LM_NOT_FOUND') throw notConfigured();
      throw error;
    }
  }

  private async askForFallbacks({ languageModel }: ResolvedLanguageModel, ctx: LookupContext): Promise<void> {
    for (const slug of languageModel?.fallbacks ?? []) {
      if (this.find(slug) === undefined) await this.ask(slug, ctx).catch(() => undefined);
    }
  }
}

function notFound(slug: string): AppError {
  const resource = slug.slice(0, 100);
  return new AppError('LM_NOT_FOUND', `There is no language model \`${resource}\``, { metadata: { resource } });
}

function sealed(slug: string, fault: string): AppError {
  const resource = slug.slice(0, 100);
  return new AppError('LM_NOT_CONFIGURED', `The language model \`${resource}\` cannot be asked: ${fault}`, {
    metadata: { resource },
  });
}

function notConfigured(): AppError {
  return new AppError(
    'LM_NOT_CONFIGURED',
    'No language model is configured: set SIGNET_LM_MODEL, SIGNET_LM_API_BASE and SIGNET_LM_API_KEY, or make one with the slug `default`',
  );
}
