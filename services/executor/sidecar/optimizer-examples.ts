import type { OptimizeRequest } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';

const examplesPerFrame = 500;
const frameBytesMax = 1_048_576;

/** An example as an optimizer is given it; the texts are JSON objects. */
export type OptimizerExample = { readonly id: string; readonly inputsJson: string; readonly outputsJson: string };

/** Examples to learn from, and to compare candidates by. */
export type OptimizerExamples = {
  readonly train: readonly OptimizerExample[];
  readonly val: readonly OptimizerExample[];
};

/** What the executor says to an optimizer's process. */
export type Say = NonNullable<OptimizeRequest['kind']>;

/** Examples as frames of a bounded size, in their order. */
export function* framesOf(examples: OptimizerExamples): Generator<Say> {
  for (const split of ['train', 'val'] as const) {
    let batch: OptimizerExample[] = [];
    let sizeBytes = 0;
    for (const example of examples[split]) {
      batch.push(example);
      sizeBytes += example.inputsJson.length + example.outputsJson.length;
      if (batch.length < examplesPerFrame && sizeBytes < frameBytesMax) continue;
      yield frameOf(split, batch);
      batch = [];
      sizeBytes = 0;
    }
    if (batch.length > 0) yield frameOf(split, batch);
  }
}

function frameOf(split: 'train' | 'val', batch: readonly OptimizerExample[]): Say {
  const examples = batch.map(({ id, inputsJson, outputsJson }) => ({
    id,
    inputsJson: Buffer.from(inputsJson),
    outputsJson: Buffer.from(outputsJson),
  }));
  return { $case: 'examples', value: { split, examples } };
}
