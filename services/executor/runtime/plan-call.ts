import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { type JsonValue, jsonFromPlain } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { Catalog, LookupContext } from '../catalog/catalog.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import { chooseEngine, type Engines, requireEngine } from '../engine/choose-engine.ts';
import type { Engine, LmEndpoint } from '../engine/engine.ts';
import type { RunOptions } from '../execution/execution.ts';
import { type ExecuteInput, labelsText, metadataOf } from './call-input.ts';

/** What planning a call needs. */
export type PlanDeps = {
  readonly catalog: Catalog;
  readonly engines: Engines;
  /** The language model that the environment names; undefined if it names none. */
  readonly lm: LmEndpoint | undefined;
};

/** How one call will be run; nothing of it can be refused any more. */
export type CallPlan = {
  readonly program: ServedProgram;
  readonly engine: Engine;
  readonly lm: LmEndpoint | undefined;
  readonly maxRetries: number;
  readonly timeoutMs: number;
  readonly optionsJson: string | null;
  readonly labelsJson: string | null;
  readonly metadataJson: string;
};

const timeoutAttachedMs = 60_000;
const timeoutDetachedMs = 900_000;
const timeoutMaxMs = 21_600_000;
const retriesDefault = 2;

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
  const program = known ?? (await findReady(deps, input.program, options.version ?? 0, ctx));
  const engine = requireEngine(deps.engines, chooseEngine(program.adapterType, options.engine));
  const hasOptions = Object.keys(options).length > 0;
  return {
    program,
    engine,
    lm: lmOf(deps, program, engine, options),
    maxRetries: options.max_retries ?? retriesDefault,
    timeoutMs: options.timeout_ms ?? (isDetached ? timeoutDetachedMs : timeoutAttachedMs),
    optionsJson: hasOptions ? JSON.stringify(options) : null,
    labelsJson: labelsText(input.labels),
    metadataJson: metadataText(program, hasOptions ? options : undefined, input.metadata),
  };
}

/** Plans anew what was accepted before: the program may be archived or deleted since. */
export async function planClaimed(
  deps: PlanDeps,
  claim: { programId: string; version: number; options: RunOptions },
  ctx: LookupContext,
): Promise<Omit<CallPlan, 'optionsJson' | 'labelsJson' | 'metadataJson'>> {
  const { options } = claim;
  const program = await deps.catalog.resolve(claim.programId, claim.version, ctx, true);
  const engine = requireEngine(deps.engines, chooseEngine(program.adapterType, options.engine));
  const lm = lmOf(deps, program, engine, options);
  const timeoutMs = options.timeout_ms ?? timeoutDetachedMs;
  return { program, engine, lm, maxRetries: options.max_retries ?? retriesDefault, timeoutMs };
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

async function findReady(deps: PlanDeps, name: string, version: number, ctx: LookupContext): Promise<ServedProgram> {
  const program = await deps.catalog.resolve(name, version, ctx);
  requireReady(program);
  if (version !== 0 && version !== program.servingVersion && !program.isPrepared) {
    throw new AppError('VERSION_NOT_FOUND', `Version ${version} of \`${program.slug}\` has not been prepared`, {
      metadata: { program: program.slug, version: String(version) },
    });
  }
  return program;
}

function checkOptions({ timeout_ms, max_retries, version }: RunOptions): void {
  const field = (name: string) => `execution_options.${name}`;
  if (timeout_ms !== undefined && (timeout_ms < 1 || timeout_ms > timeoutMaxMs)) {
    throw invalidField(field('timeout_ms'), `must be from 1 to ${timeoutMaxMs}`);
  }
  if (max_retries !== undefined && (max_retries < 0 || max_retries > 10)) {
    throw invalidField(field('max_retries'), 'must be from 0 to 10');
  }
  if (version !== undefined && version < 0) throw invalidField(field('version'), 'must not be negative');
}

function lmOf(deps: PlanDeps, program: ServedProgram, engine: Engine, options: RunOptions): LmEndpoint | undefined {
  const slug = options.lm ?? program.lm;
  if (slug !== '' && slug !== 'default') {
    throw new AppError('LM_NOT_FOUND', `There is no language model \`${slug.slice(0, 100)}\``, {
      metadata: { resource: slug.slice(0, 100) },
    });
  }
  if (engine.name === 'mock' || deps.lm !== undefined) return deps.lm;
  throw new AppError(
    'LM_NOT_CONFIGURED',
    'No language model is configured: set SIGNET_LM_MODEL, SIGNET_LM_API_BASE and SIGNET_LM_API_KEY',
  );
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
