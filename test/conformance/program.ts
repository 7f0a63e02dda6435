import { randomUUID } from 'node:crypto';
import { openPlan } from '@signet/predict/plan/open-plan.ts';
import type { PredictorPlan, PromptAdapter, PromptPlan } from '@signet/predict/plan/plan.ts';
import type { ProgramDefinition } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { EngineProgram } from '../../services/executor/engine/engine.ts';
import { nameProgram } from '../../services/executor/sidecar/program-definition.ts';
import type { Sidecar } from './sidecar-client.ts';
import type { RecordedSignature } from './signature-record.ts';

/** What stands in a program beside its signature. */
export type ProgramShape = {
  readonly demos?: readonly JsonObject[];
  readonly promptAdapter: PromptAdapter;
  readonly lmOptions?: JsonObject;
};

/** A case's program as engines take it. */
export function programOf(signature: RecordedSignature, shape: ProgramShape): EngineProgram {
  return {
    programId: 'conformance',
    slug: 'conformance',
    version: 1,
    ref: `conformance-${randomUUID()}`,
    signature: signature.spec,
    module: signature.module,
    promptAdapter: shape.promptAdapter,
    instructions: signature.instructions,
    demosJson: (shape.demos ?? []).map(writeJson),
    lmOptions: shape.lmOptions ?? new Map(),
    planJson: '',
    nativeFault: '',
  };
}

/** A case's program as the sidecar takes it, under one adapter. */
export function defineProgram(
  signature: RecordedSignature,
  demos: readonly JsonObject[],
  promptAdapter: PromptAdapter,
): ProgramDefinition {
  return nameProgram(programOf(signature, { demos, promptAdapter }), undefined).program;
}

/** The plan of a program; throws with the sidecar's words where there is none. */
export async function makePlan(sidecar: Sidecar, program: ProgramDefinition): Promise<PromptPlan> {
  const made = await sidecar.compile(program);
  if (made.error !== undefined) throw new CompileError(made.error.pythonType, made.error.message);
  if (made.planJson.length === 0) throw new Error(`no plan: ${made.planFault}`);
  return openPlan(made.planJson.toString('utf8'));
}

/** Thrown for a program that DSPy refuses to build or to show. */
export class CompileError extends Error {
  /** The Python class. */
  readonly pythonType: string;

  constructor(pythonType: string, message: string) {
    super(message);
    this.name = 'CompileError';
    this.pythonType = pythonType;
  }
}

/** The predictor whose prompt a case shows: a plain module has one. */
export function onlyPredictor(plan: PromptPlan): PredictorPlan {
  const [predictor] = plan.predictors;
  if (predictor === undefined) throw new Error('the plan has no predictor');
  return predictor;
}
