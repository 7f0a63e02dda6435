import { printType } from '@signet/signature/print.ts';
import type { Field } from '@signet/signature/types.ts';
import { everyDraft } from './draft.ts';
import type { Graph } from './link-steps.ts';
import { anyType } from './type-fit.ts';
import { type Inputs, membersOf } from './wire-inputs.ts';

/** Finds the inputs of a pipeline that states none: what steps are given of them, of the types of the fields that they go to. */
export function deriveInputs(graph: Graph, inputs: Inputs): void {
  if (inputs.isStated) return;
  for (const { input, fields } of everyDraft(graph.steps)) {
    if (fields === undefined || fields === 'unchecked') continue;
    for (const [name, binding] of membersOf(input) ?? []) {
      const field = fields.inputs.find((candidate) => candidate.name === name);
      if (field === undefined || binding.kind !== 'ref' || binding.root !== 'input' || binding.path.length !== 1)
        continue;
      addInput(String(binding.path[0]), field, inputs);
    }
  }
}

function addInput(name: string, target: Field, inputs: Inputs): void {
  const { registered: _, description: __, ...field } = { ...target, name };
  const known = inputs.fields.get(name);
  if (known === undefined) inputs.fields.set(name, field);
  else if (printType(known.type) !== printType(field.type)) {
    inputs.fields.set(name, { name, type: anyType, constraints: [] });
  }
}
