import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import type { DatasetClient, DatasetVersion } from '../dataset/datasets.grpc.ts';
import type { GivenExample, OptimizationRegistry } from './registry.grpc.ts';

/** Rows that came with a request. */
export type GivenRows = {
  readonly trainingData: readonly JsonObject[];
  readonly validationData: readonly JsonObject[];
};

const rowsMax = 10_000;
// Every so many rows without examples to measure on, one is held out.
const heldOutEvery = 5;

/** Makes rows the examples of a dataset named after a job, or keeps none of them: INVALID_REQUEST names those that do not fit. */
export async function keepRows(
  deps: { readonly optimizations: OptimizationRegistry; readonly datasets: DatasetClient },
  { trainingData, validationData }: GivenRows,
  { id, program }: { readonly id: string; readonly program: ServedProgram },
  ctx: CallContext,
): Promise<DatasetVersion> {
  for (const [field, rows] of Object.entries({ training_data: trainingData, validation_data: validationData })) {
    if (rows.length > rowsMax) throw invalidField(field, `must have at most ${rowsMax} entries`, 'TOO_MANY');
  }
  const rows = [
    ...trainingData.map((row, at) => {
      const isHeldOut = validationData.length === 0 && at % heldOutEvery === heldOutEvery - 1;
      return exampleOf(program, row, isHeldOut ? 'test' : 'train');
    }),
    ...validationData.map((row) => exampleOf(program, row, 'validation')),
  ];
  const made = { slug: `optimization-${id}`.slice(0, 63), program: program.id, version: program.version };
  try {
    return await deps.datasets.resolve(await deps.optimizations.keepExamples(made, rows, ctx), 0, ctx);
  } catch (error) {
    throw error instanceof AppError && error.reason === 'INVALID_REQUEST' ? byRow(error, trainingData.length) : error;
  }
}

function exampleOf(program: ServedProgram, row: JsonObject, split: GivenExample['split']): GivenExample {
  const isInput = (name: string): boolean =>
    program.engineProgram.signature.inputs.some((field) => field.name === name);
  const part = (wanted: boolean): string => writeJson(new Map([...row].filter(([name]) => isInput(name) === wanted)));
  return { inputsJson: part(true), outputsJson: part(false), split };
}

// An import counts lines; whoever sent rows knows them by their place in two lists.
function byRow(error: AppError, trainingCount: number): AppError {
  const fieldViolations = error.fieldViolations.map((violation) => {
    const [, line, rest = ''] = /^lines\[(\d+)\](?:\.(?:inputs|outputs))?(.*)$/.exec(violation.field) ?? [];
    if (line === undefined) return violation;
    const at = Number(line) - 1;
    const row = at < trainingCount ? `training_data[${at}]` : `validation_data[${at - trainingCount}]`;
    return { ...violation, field: row + rest };
  });
  const [first] = fieldViolations;
  if (first === undefined) return error;
  const more = fieldViolations.length > 1 ? ` (and ${fieldViolations.length - 1} more)` : '';
  return new AppError('INVALID_REQUEST', `${first.field}: ${first.description}${more}`, {
    fieldViolations,
    metadata: { field: first.field },
  });
}
