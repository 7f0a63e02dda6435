import { AppError } from '@signet/kit/error/app-error.ts';
import type { OutgoingContext } from '@signet/kit/grpc/client.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import { pause } from '@signet/kit/pause.ts';
import { ServingPolicy } from '@signet/proto/gen/signet/v1/program.ts';
import type { LanguageModels } from './language-models.ts';
import type { Modules } from './modules.ts';
import type { CatalogChange, RegistryClient, ResolvedModule, ResolvedProgram } from './registry.grpc.ts';
import { compileProgram, type ServedProgram } from './served-program.ts';

const versionsMax = 5_000;
const retryFirstMs = 100;
const retryMaxMs = 5_000;

/** The surroundings of a look-up: how long it may take, and its trace. */
export type LookupContext = OutgoingContext;

/** What a catalog needs. */
export type CatalogDeps = {
  readonly registry: RegistryClient;
  readonly log: Logger;
  /** They are told of each change that concerns them. */
  readonly languageModels: LanguageModels;
  readonly modules: Modules;
};

/** What the registry last told of a program; compiled when it is first called. */
type Entry = { readonly resolved: ResolvedProgram; compiled: ServedProgram | undefined };

/**
 * The programs that this executor may run, as the registry tells them. It goes on serving what it knows while the registry is away; what
 * it does not know, or knows as not ready, is asked for before anybody is refused.
 */
export class Catalog {
  private readonly deps: CatalogDeps;
  private readonly byId = new Map<string, Entry>();
  private readonly idBySlug = new Map<string, string>();
  /** Versions other than the serving one, newest use last. */
  private readonly others = new Map<string, ServedProgram>();
  private readonly stop = new AbortController();
  private revision = 0n;
  private watching: Promise<void> | undefined;

  constructor(deps: CatalogDeps) {
    this.deps = deps;
  }

  /** Begins to follow the registry's changes, and again whenever that breaks off. */
  start(): void {
    this.watching ??= this.follow();
  }

  /** Ends following. */
  async close(): Promise<void> {
    this.stop.abort();
    await this.watching;
  }

  /** The serving version of a ready program out of memory; undefined means ask `resolve`. */
  peek(program: string): ServedProgram | undefined {
    const entry = this.byId.get(this.idBySlug.get(program) ?? program);
    if (entry === undefined) return undefined;
    entry.compiled ??= this.compile(entry.resolved);
    const { state, isDeleted, version, servingVersion } = entry.compiled;
    const isServing = (state === 'ready' || state === 'optimizing') && !isDeleted && version === servingVersion;
    return isServing ? entry.compiled : undefined;
  }

  /**
   * A program by id or slug, and the version asked for: 0 means the one that serves. Deleted ones are not found unless `past` is set.
   * Fails with PROGRAM_NOT_FOUND, VERSION_NOT_FOUND, and SERVICE_UNAVAILABLE if only the registry, which is away, could tell.
   */
  async resolve(program: string, version: number, ctx: LookupContext, past = false): Promise<ServedProgram> {
    const known = this.recall(program, version);
    if (known !== undefined && (!known.isDeleted || past)) return known;
    let resolved: ResolvedProgram;
    try {
      resolved = await this.deps.registry.resolve(program, version, ctx);
    } catch (error) {
      const stale = this.stale(program, version);
      if (stale !== undefined && error instanceof AppError && isRegistryAway(error.reason)) return stale;
      throw error;
    }
    const served = this.learn(resolved, version);
    if (served.isDeleted && !past) throw notFound(program);
    return served;
  }

  /** Takes in what the registry told of a program in another answer. */
  learn(resolved: ResolvedProgram, asked = 0): ServedProgram {
    const compiled = this.compile(resolved);
    const before = this.byId.get(resolved.programId);
    const isNewer = before === undefined || resolved.revision >= before.resolved.revision;
    if (asked === 0 || resolved.version === resolved.servingVersion) {
      if (isNewer) this.put({ resolved, compiled });
    } else if (compiled.isPrepared) {
      this.remember(compiled);
    }
    return compiled;
  }

  /** The program as the registry has it at this moment. */
  async readAfresh(program: string, ctx: LookupContext): Promise<ServedProgram> {
    const served = this.learn(await this.deps.registry.resolve(program, 0, ctx));
    if (served.isDeleted) throw notFound(program);
    return served;
  }

  private recall(program: string, version: number): ServedProgram | undefined {
    const serving = this.peek(program);
    if (version === 0) return serving;
    if (serving?.version === version) return serving;
    const id = this.idBySlug.get(program) ?? program;
    const known = this.others.get(`${id}/${version}`);
    // The state may have changed since: the serving entry knows it.
    return known === undefined || serving === undefined ? undefined : known;
  }

  /** What was known last, for when the registry is away. */
  private stale(program: string, version: number): ServedProgram | undefined {
    const id = this.idBySlug.get(program) ?? program;
    const other = this.others.get(`${id}/${version}`);
    if (other !== undefined) return other;
    const entry = this.byId.get(id);
    if (entry === undefined) return undefined;
    entry.compiled ??= this.compile(entry.resolved);
    return version === 0 || version === entry.compiled.version ? entry.compiled : undefined;
  }

  private remember(compiled: ServedProgram): void {
    const key = `${compiled.id}/${compiled.version}`;
    this.others.delete(key);
    this.others.set(key, compiled);
    if (this.others.size > versionsMax) this.others.delete(this.others.keys().next().value!);
  }

  private put(entry: Entry): void {
    const { programId, slug, deleted } = entry.resolved;
    const before = this.byId.get(programId);
    // Versions never change, so what is running and what comes next share one compiled form.
    if (before?.compiled !== undefined && isSame(before.resolved, entry.resolved)) return;
    this.byId.set(programId, entry);
    if (before !== undefined && before.resolved.slug !== slug) this.forgetSlug(before.resolved.slug, programId);
    if (deleted) this.forgetSlug(slug, programId);
    else this.idBySlug.set(slug, programId);
  }

  private forgetSlug(slug: string, programId: string): void {
    if (this.idBySlug.get(slug) === programId) this.idBySlug.delete(slug);
  }

  private async follow(): Promise<void> {
    const { signal } = this.stop;
    let failures = 0;
    while (!signal.aborted) {
      try {
        for await (const change of this.deps.registry.watch(this.revision, signal)) {
          this.apply(change);
          failures = 0;
        }
      } catch (error) {
        if (signal.aborted) return;
        this.deps.log.debug(
          { reason: error instanceof AppError ? error.reason : 'UNKNOWN' },
          'the catalog lost the registry',
        );
      }
      if (signal.aborted) return;
      await pause(Math.min(retryFirstMs * 2 ** failures++, retryMaxMs), signal);
    }
  }

  // What a module says of routing may have changed after its programs were told of.
  private compile(resolved: ResolvedProgram): ServedProgram {
    const compiled = compileProgram(resolved);
    const known = compiled.moduleSettings && this.deps.modules.peek(compiled.moduleSettings.id);
    return known === undefined ? compiled : { ...compiled, moduleSettings: known.settings };
  }

  private applyModule(module: ResolvedModule): void {
    this.deps.modules.apply(module);
    const known = this.deps.modules.peek(module.settings?.id ?? '');
    if (known === undefined) return;
    const { settings } = known;
    for (const entry of this.byId.values()) {
      const { compiled } = entry;
      if (compiled?.moduleSettings?.id !== settings.id) continue;
      if (JSON.stringify(compiled.moduleSettings) === JSON.stringify(settings)) continue;
      entry.compiled = { ...compiled, moduleSettings: settings };
    }
  }

  private apply(change: CatalogChange): void {
    if (change.change?.$case === 'program') {
      const resolved = change.change.value;
      const before = this.byId.get(resolved.programId);
      if (before === undefined || resolved.revision >= before.resolved.revision)
        this.put({ resolved, compiled: undefined });
    }
    if (change.change?.$case === 'module') this.applyModule(change.change.value);
    if (change.change?.$case === 'languageModel') this.deps.languageModels.apply(change.change.value);
    if (change.revision > this.revision) this.revision = change.revision;
  }
}

/** True for the reason of a question that the registry could not answer because it, or its database, is away. */
export function isRegistryAway(reason: string): boolean {
  return reason === 'SERVICE_UNAVAILABLE' || reason === 'DATABASE_UNAVAILABLE';
}

function isSame(a: ResolvedProgram, b: ResolvedProgram): boolean {
  return (
    a.status === b.status &&
    a.version === b.version &&
    a.servingVersion === b.servingVersion &&
    a.slug === b.slug &&
    a.name === b.name &&
    a.deleted === b.deleted &&
    a.errorMessage === b.errorMessage &&
    policyText(a) === policyText(b) &&
    a.preparation?.state === b.preparation?.state &&
    a.preparation?.dspyProgramId === b.preparation?.dspyProgramId &&
    a.preparation?.nativeFault === b.preparation?.nativeFault &&
    a.preparation?.createTime?.getTime() === b.preparation?.createTime?.getTime() &&
    (a.preparation?.promptPlan === undefined) === (b.preparation?.promptPlan === undefined)
  );
}

function policyText({ servingPolicy }: ResolvedProgram): string {
  return servingPolicy === undefined
    ? ''
    : Buffer.from(ServingPolicy.encode(servingPolicy).finish()).toString('latin1');
}

function notFound(program: string): AppError {
  return new AppError('PROGRAM_NOT_FOUND', `There is no program \`${program.slice(0, 100)}\``, {
    metadata: { resource: program.slice(0, 100) },
  });
}
