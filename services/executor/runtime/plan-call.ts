import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { isStorableText, type JsonValue, jsonFromPlain } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import { cachedEngine } from '../cache/cached-engine.ts';
import type { ResultCache } from '../cache/result-cache.ts';
import type { Catalog, LookupContext } from '../catalog/catalog.ts';
import type { LanguageModels } from '../catalog/language-models.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import type { Engines } from '../engine/choose-engine.ts';
import type { Engine, LmEndpoint } from '../engine/engine.ts';
import type { Router } from '../engine/router.ts';
import type { RunOptions } from '../execution/execution.ts';
import type { Claim } from '../execution/lease.postgres.ts';
import type { PlanRefresher } from '../native/plan-refresher.ts';
import { undoIds } from '../pipeline/all-steps.ts';
import type { Pipelines } from '../pipeline/pipelines.ts';
import { shareOf } from '../serving/serving-plan.ts';
import { chooseShadow, chooseShadowAgain } from '../shadow/choose-shadow.ts';
import { type ExecuteInput, labelsText, metadataOf } from './call-input.ts';

/** What planning a call needs. */
export type PlanDeps = {
  readonly catalog: Catalog;
  readonly engines: Engines;
  readonly router: Router;
  readonly plans: PlanRefresher;
  readonly cache: ResultCache;
  readonly languageModels: LanguageModels;
  readonly pipelines: Pipelines;
};

/** How one call will be run; nothing of it can be refused any more. */
export type CallPlan = {
  readonly program: ServedProgram;
  readonly engine: Engine;
  /** Runs it once more after the answer, for comparison; undefined if nobody asked for that. */
  readonly shadow: Engine | undefined;
  readonly lm: LmEndpoint | undefined;
  readonly maxRetries: number;
  readonly timeoutMs: number;
  readonly optionsJson: string | null;
  readonly labelsJson: string | null;
  readonly metadataJson: string;
};

const cacheTtlDefaultMs = 300_000;
const timeoutAttachedMs = 60_000;
const timeoutDetachedMs = 900_000;
const timeoutMaxMs = 21_600_000;
/** How often a failed LM call is repeated where nobody says. */
export const retriesDefault = 2;

/**
 * Finds the program, makes sure that it serves, and decides how the call is run. Fails with PROGRAM_NOT_FOUND, PROGRAM_NOT_READY,
 * VERSION_NOT_FOUND, LM_NOT_FOUND, LM_NOT_CONFIGURED, ENGINE_UNAVAILABLE and INVALID_REQUEST; none of them makes a row.
 */
export async function planCall(
  deps: PlanDeps,
  input: Omit<ExecuteInput, 'inputs' | 'requestId'>,
  ctx: LookupContext,
  isDetached = false,
): Promise<CallPlan> {
  checkOptions(input.options);
  const { options } = input;
  const known = options.version === undefined ? deps.catalog.peek(input.program) : undefined;
  const found = known ?? (await findReady(deps, input.program, options.version ?? 0, ctx));
  const program = found.serving === undefined ? found : await versionFor(deps, found, options, ctx);
  if (program.pipeline === undefined) deps.plans.look(program);
  const engine = engineFor(deps, program, options, ctx.principal);
  const hasOptions = Object.keys(options).length > 0;
  return {
    program,
    engine,
    shadow: chooseShadow(deps.engines, program, options),
    lm: lmNow(deps, program, options) ?? (await findLm(deps, program, engine, options, ctx)),
    maxRetries: options.max_retries ?? retriesDefault,
    timeoutMs: options.timeout_ms ?? (isDetached ? timeoutDetachedMs : timeoutAttachedMs),
    optionsJson: optionsText(program, hasOptions ? options : undefined),
    labelsJson: labelsText(input.labels),
    metadataJson: metadataText(program, hasOptions ? options : undefined, input.metadata),
  };
}

/** Plans anew what was accepted before: the program may be archived or deleted since. */
export async function planClaimed(
  deps: PlanDeps,
  claim: Pick<Claim, 'programId' | 'version' | 'module' | 'options' | 'keyId'>,
  ctx: LookupContext,
): Promise<Omit<CallPlan, 'optionsJson' | 'labelsJson' | 'metadataJson'>> {
  const { options, keyId } = claim;
  const step = await deps.pipelines.planClaimed(claim, ctx);
  if (step !== undefined) return step;
  const program = await deps.catalog.resolve(claim.programId, claim.version, ctx, true);
  if (program.pipeline === undefined) deps.plans.look(program);
  const principal = keyId === '' ? undefined : ({ keyId, name: '', role: 'runner' } as const);
  const engine = engineFor(deps, program, options, principal);
  const shadow = chooseShadowAgain(deps.engines, program, options);
  const lm = lmNow(deps, program, options) ?? (await findLm(deps, program, engine, options, ctx));
  const timeoutMs = options.timeout_ms ?? timeoutDetachedMs;
  return { program, engine, shadow, lm, maxRetries: options.max_retries ?? retriesDefault, timeoutMs };
}

/** The engine of a call, behind the cache where that is wished: a module's answers are kept unless the call says no, a program's if it says so. */
function engineFor(
  deps: PlanDeps,
  program: ServedProgram,
  options: RunOptions,
  principal: LookupContext['principal'],
): Engine {
  if (program.pipeline !== undefined) return deps.pipelines.engine({ program, options, principal });
  const engine = deps.router.choose(program, options);
  const isWanted = options.cache ?? program.moduleSettings !== undefined;
  // A comparison needs two runs.
  if (!isWanted || options.shadow !== undefined) return engine;
  const ttlMs = program.moduleSettings?.cacheTtlMs ?? cacheTtlDefaultMs;
  return cachedEngine(deps.cache, engine, {
    ttlMs,
    keyId: options.cache_scope === 'key' ? (principal?.keyId ?? '') : '',
  });
}

/** Throws PROGRAM_NOT_READY unless the program serves calls. */
export function requireReady(program: ServedProgram): void {
  const { state } = program;
  if (state === 'ready' || state === 'optimizing') return;
  const message =
    state === 'error'
      ? `Program is in error state: ${program.errorMessage}`
      : `Program not ready for execution (status: ${state})`;
  throw new AppError('PROGRAM_NOT_READY', message, { metadata: { state, event: 'execute', program: program.slug } });
}

/** A program that serves, in the version asked for. Fails with PROGRAM_NOT_FOUND, PROGRAM_NOT_READY and VERSION_NOT_FOUND. */
export async function findReady(
  deps: Pick<PlanDeps, 'catalog'>,
  name: string,
  version: number,
  ctx: LookupContext,
): Promise<ServedProgram> {
  const program = await deps.catalog.resolve(name, version, ctx);
  requireReady(program);
  if (version !== 0 && version !== program.servingVersion && !program.isPrepared) {
    throw new AppError('VERSION_NOT_FOUND', `Version ${version} of \`${program.slug}\` has not been prepared`, {
      metadata: { program: program.slug, version: String(version) },
    });
  }
  return program;
}

// Of several that serve, the one that the call names by its label, or whose share it is in.
async function versionFor(
  deps: Pick<PlanDeps, 'catalog'>,
  found: ServedProgram,
  options: RunOptions,
  ctx: LookupContext,
): Promise<ServedProgram> {
  const { serving, id, slug } = found;
  const { version, version_label: label, sticky_key: key = ctx.principal?.keyId ?? '' } = options;
  if (serving === undefined || version !== undefined) return found;
  const chosen = label === undefined ? shareOf(serving, id, key) : serving.labels.get(label);
  if (label !== undefined && chosen === undefined) throw noSuchLabel(slug, label);
  return chosen === undefined || chosen === found.version ? found : findReady(deps, id, chosen, ctx);
}

function noSuchLabel(slug: string, label: string): AppError {
  return new AppError('VERSION_NOT_FOUND', `No version of \`${slug}\` has the label \`${label}\``, {
    metadata: { program: slug, label },
  });
}

const labelForm = /^[a-z][a-z0-9-]{0,62}$/;
const stickyMax = 128;

function checkOptions({ timeout_ms, max_retries, version, version_label, sticky_key = '' }: RunOptions): void {
  const field = (name: string) => `execution_options.${name}`;
  if (timeout_ms !== undefined && (timeout_ms < 1 || timeout_ms > timeoutMaxMs)) {
    throw invalidField(field('timeout_ms'), `must be from 1 to ${timeoutMaxMs}`);
  }
  if (max_retries !== undefined && (max_retries < 0 || max_retries > 10)) {
    throw invalidField(field('max_retries'), 'must be from 0 to 10');
  }
  if (version !== undefined && version < 0) throw invalidField(field('version'), 'must not be negative');
  if (version_label !== undefined) {
    if (version !== undefined)
      throw invalidField(field('version_label'), 'give a version or its label, not both', 'AMBIGUOUS');
    if (!labelForm.test(version_label)) throw invalidField(field('version_label'), `must match ${labelForm.source}`);
  }
  if (sticky_key.length > stickyMax || !isStorableText(sticky_key)) {
    throw invalidField(field('sticky_key'), `must be text of at most ${stickyMax} characters`);
  }
}

function lmNow(deps: PlanDeps, program: ServedProgram, options: RunOptions): LmEndpoint | undefined {
  return program.pipeline === undefined ? deps.languageModels.peek(options.lm ?? program.lm) : undefined;
}

// What memory does not have is asked for before anybody is refused. An engine that asks no model needs none, but a name must be right.
async function findLm(
  deps: PlanDeps,
  program: ServedProgram,
  engine: Engine,
  options: RunOptions,
  ctx: LookupContext,
): Promise<LmEndpoint | undefined> {
  // Each step of a pipeline has its own.
  if (program.pipeline !== undefined) return undefined;
  const slug = options.lm ?? program.lm;
  if (engine.name === 'mock' && (slug === '' || slug === 'default')) return undefined;
  return deps.languageModels.resolve(slug, ctx);
}

function optionsText({ pipeline }: ServedProgram, options: RunOptions | undefined): string | null {
  const isUndoable = pipeline !== undefined && undoIds(pipeline).size > 0;
  if (isUndoable) return JSON.stringify({ ...options, undoable: true });
  return options === undefined ? null : JSON.stringify(options);
}

const plainMetadata = new WeakMap<ServedProgram, string>();

function metadataText(program: ServedProgram, options: RunOptions | undefined, given: unknown): string {
  if (options === undefined && given === undefined) {
    let text = plainMetadata.get(program);
    if (text === undefined) {
      text = writeJson(decided(program, {}));
      plainMetadata.set(program, text);
    }
    return text;
  }
  return writeJson(new Map([...(metadataOf(given) ?? []), ...decided(program, options ?? {})]));
}

function decided(program: ServedProgram, options: RunOptions): Map<string, JsonValue> {
  return new Map<string, JsonValue>([
    ['adapter_type', program.adapterType],
    ['options', jsonFromPlain(options)],
  ]);
}
