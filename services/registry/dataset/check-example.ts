import { createHash } from 'node:crypto';
import { isId, newId } from '@signet/kit/id.ts';
import { type RowFault, rowBytesMax } from '@signet/rows/row-fault.ts';
import { isStorableText, JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import type { SignatureSpec } from '@signet/signature/types.ts';
import { compileChecker } from '@signet/signature/value.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import { canonicalJson } from './canonical-json.ts';
import type { SplitChooser } from './choose-split.ts';
import { splits as allSplits, type Split } from './dataset.ts';
import { fault, type GivenRow } from './given-example.ts';
import type { StagedRow } from './staging.postgres.ts';

/** A row that was checked: what is kept of it, or what is wrong with it. */
export type CheckedRow = { readonly row: Omit<StagedRow, 'rowNumber'> } | { readonly faults: readonly RowFault[] };

/** Checks rows of one import. */
export type ExampleChecker = (row: GivenRow) => CheckedRow;

const labelMax = 100;
// Within these, sums of squares of a million weights are exact enough.
const weightMin = 1e-6;
const weightMax = 1e6;
const splitNames = new Map<string, Split>([
  ...allSplits.flatMap((split) => [[split, split] as const, [`split_${split}`, split] as const]),
  ['training', 'train'],
  ['val', 'validation'],
  ['dev', 'validation'],
]);

/** Makes the checker of a dataset's examples: inputs complete, outputs as far as they are known, both by the signature's types. */
export function createExampleChecker(spec: SignatureSpec, strictMode: boolean, splits: SplitChooser): ExampleChecker {
  const checkInputs = compileChecker(spec.inputs, { strictMode, root: 'inputs' });
  const checkOutputs = compileChecker(spec.outputs, { strictMode, root: 'outputs', partial: true });
  return (given) => {
    if ('faults' in given) return given;
    const { line } = given;
    const { inputs, outputs, split, weight, label, sourceExecutionId } = given.given;
    const faults: RowFault[] = [];
    const checkedInputs = checkInputs(inputs);
    const checkedOutputs = checkOutputs(outputs);
    for (const checked of [checkedInputs, checkedOutputs]) {
      if (checked.ok) continue;
      for (const { field, reason, description } of checked.violations)
        faults.push(fault(line, field, reason, description));
    }
    const about = {
      split: readSplit(split),
      weight: readWeight(weight),
      label: readLabel(label),
      sourceExecutionId: readExecution(sourceExecutionId),
    };
    if (about.split === null) faults.push(fault(line, 'split', 'UNKNOWN_VALUE', 'must be train, validation or test'));
    if (about.weight === undefined)
      faults.push(fault(line, 'weight', 'OUT_OF_RANGE', 'must be a number from 0.000001 to 1,000,000'));
    if (about.label === undefined) {
      faults.push(fault(line, 'label', 'INVALID', `must be one line of at most ${labelMax} characters`));
    }
    if (about.sourceExecutionId === undefined) {
      faults.push(fault(line, 'source_execution_id', 'INVALID', 'must be the id of an execution'));
    }
    if (!checkedInputs.ok || !checkedOutputs.ok || faults.length > 0) return { faults };
    const texts = { inputs: writeJson(checkedInputs.values), outputs: writeJson(checkedOutputs.values) };
    // Completing by defaults may make more of a row than its file held.
    if (texts.inputs.length + texts.outputs.length > rowBytesMax) {
      return { faults: [fault(line, '', 'TOO_LONG', `the example has more than ${rowBytesMax} characters`)] };
    }
    const keyHash = createHash('sha256').update(canonicalJson(checkedInputs.values)).digest();
    return {
      row: {
        ...texts,
        id: newId(),
        keyHash,
        split: about.split ?? splits.choose(keyHash),
        isSplitGiven: splits.isGiven || Boolean(about.split),
        weight: about.weight!,
        label: about.label!,
        sourceExecutionId: about.sourceExecutionId!,
      },
    };
  };
}

// Nothing and null say nothing; null comes back for what nobody knows.
function readSplit(value: JsonValue | undefined): Split | undefined | null {
  if (value === undefined || value === null) return undefined;
  return (typeof value === 'string' ? splitNames.get(value.trim().toLowerCase()) : undefined) ?? null;
}

function readWeight(value: JsonValue | undefined): number | undefined {
  if (value === undefined || value === null) return 1;
  const weight = value instanceof JsonNumber ? value.toNumber() : 0;
  return weight >= weightMin && weight <= weightMax ? weight : undefined;
}

function readLabel(value: JsonValue | undefined): string | undefined {
  if (value === undefined || value === null) return '';
  const fits =
    typeof value === 'string' && value.length <= labelMax && isStorableText(value) && !/[\p{Cc}]/u.test(value);
  return fits ? value : undefined;
}

function readExecution(value: JsonValue | undefined): string | null | undefined {
  if (value === undefined || value === null || value === '') return null;
  return typeof value === 'string' && isId(value.toLowerCase()) ? value.toLowerCase() : undefined;
}
