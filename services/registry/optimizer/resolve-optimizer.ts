import { invalidField } from '@signet/kit/error/app-error.ts';
import { FieldChecks, type JsonRecord } from '../check/field-checks.ts';
import type { OptimizationHint } from '../module/module.ts';
import type { ModuleStore } from '../module/store.postgres.ts';
import { type Program, programNotFound } from '../program/program.ts';
import type { ProgramStore } from '../program/store.postgres.ts';
import { checkConfig, splitConfig } from './check-config.ts';
import { narrowByHints } from './narrow-by-hints.ts';
import type { Optimizer, OptimizerType } from './optimizer.ts';
import { getOptimizer } from './read-optimizers.ts';
import type { OptimizerStore } from './store.postgres.ts';

/** What a job asks for. */
export type ResolveOptimizerInput = {
  /** Id or slug; empty means the program's own, or the kind alone. */
  readonly optimizer: string;
  /** Undefined if nothing was said, null for a value that nobody knows. */
  readonly type: OptimizerType | undefined | null;
  /** Wins over what is kept, key by key. */
  readonly config: JsonRecord;
  /** Id or slug. */
  readonly program: string;
};

/** An optimizer with the settings of one job. */
export type ResolvedOptimizer = {
  /** Absent for a kind alone. */
  readonly optimizer: Optimizer | undefined;
  readonly type: OptimizerType;
  readonly config: JsonRecord;
  readonly jobDefaults: JsonRecord;
  readonly narrowed: JsonRecord;
};

type Deps = {
  readonly optimizers: OptimizerStore;
  readonly programs: ProgramStore;
  readonly modules: ModuleStore;
};

/**
 * Reads which optimizer a job means and joins its settings with the job's, within what hints of the program's module allow. Fails with
 * PROGRAM_NOT_FOUND, OPTIMIZER_NOT_FOUND and INVALID_REQUEST.
 */
export async function resolveOptimizer(deps: Deps, input: ResolveOptimizerInput): Promise<ResolvedOptimizer> {
  const program = await deps.programs.find(input.program);
  if (program === undefined) throw programNotFound(input.program);
  const optimizer = await choose(deps, input, program);
  const type = optimizer?.type ?? input.type;
  if (type === null) throw invalidField('type', 'is not a known value', 'UNKNOWN_VALUE');
  if (type === undefined) {
    throw invalidField('optimizer', 'is required: the program has none of its own; name one, or a type', 'REQUIRED');
  }
  const checks = new FieldChecks();
  const merged = { ...optimizer?.config, ...input.config };
  checkConfig(type, merged, checks);
  const { own, job } = splitConfig(merged);
  const narrowed = narrowByHints({ type, config: own, hints: await hintsOf(deps, program) }, checks);
  checks.done();
  return { optimizer, type, config: { ...own, ...narrowed }, jobDefaults: job, narrowed };
}

async function choose(
  deps: Deps,
  { optimizer, type }: ResolveOptimizerInput,
  program: Program,
): Promise<Optimizer | undefined> {
  if (optimizer !== '') {
    const found = await getOptimizer(deps, optimizer, 'optimizer');
    if (type !== undefined && type !== found.type) {
      throw invalidField('type', `is not that of the optimizer, which is ${found.type}`);
    }
    return found;
  }
  if (type !== undefined || !program.optimizerId) return undefined;
  return getOptimizer(deps, program.optimizerId, 'optimizer');
}

async function hintsOf(deps: Deps, program: Program): Promise<readonly OptimizationHint[]> {
  const { configuration } = await deps.programs.view(program);
  const moduleId = program.moduleId || configuration.registered?.id;
  const module = moduleId ? await deps.modules.find(moduleId) : undefined;
  return module?.optimizationHints ?? [];
}
