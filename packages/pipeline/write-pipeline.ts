import { JsonNumber, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import type { Binding, Pipeline, Step } from './pipeline.ts';
import { hasMarks, printReference } from './read-binding.ts';
import { printFields } from './read-fields.ts';

/** Writes a pipeline in the full form of a spec, with all that was left out; reading that gives the same pipeline again. */
export function writePipeline(pipeline: Pipeline): JsonObject {
  const made = new Map<string, JsonValue>([
    ['inputs', printFields(pipeline.inputs)],
    ['steps', pipeline.steps.map(writeStep)],
    ['return', writeBinding(pipeline.return)],
  ]);
  if (pipeline.outputs.length > 0) made.set('outputs', printFields(pipeline.outputs));
  return made;
}

function writeStep(step: Step): JsonObject {
  const { id, kind, needs, when, timeoutMs, retries, onError, compensate, undo } = step;
  const made = new Map<string, JsonValue>([['id', id], ['type', kind], ...ownKeys(step)]);
  if (step.kind !== 'group') made.set('input', writeBinding(step.input));
  if (needs.length > 0) made.set('needs', [...needs]);
  if (when !== undefined) made.set('when', writeBinding(when));
  if (timeoutMs !== undefined) made.set('timeout_ms', whole(timeoutMs));
  if (retries > 0) made.set('retries', whole(retries));
  if (onError === 'skip') made.set('on_error', onError);
  if (compensate !== undefined) made.set('compensate', writeStep(compensate));
  if (undo !== undefined) made.set('undo', writeStep(undo));
  return made;
}

function ownKeys(step: Step): [string, JsonValue][] {
  switch (step.kind) {
    case 'action':
      return [
        ['resource', step.resource],
        ['action', step.action],
      ];
    case 'module':
      return [
        ['module', step.module],
        ['module_id', step.moduleId],
      ];
    case 'signature':
      return [
        ['signature', step.signature],
        ['module', step.module],
        ...(step.lm === '' ? [] : [['lm', step.lm] as [string, JsonValue]]),
        ...(step.instructions === '' ? [] : [['instructions', step.instructions] as [string, JsonValue]]),
      ];
    case 'python':
      return [
        ['module', step.module],
        ...(step.kwargs.size === 0 ? [] : [['kwargs', step.kwargs] as [string, JsonValue]]),
      ];
    case 'function':
      return [['function', step.function]];
    case 'group':
      return [
        ['max_concurrency', whole(step.maxConcurrency)],
        ...(step.minSuccess === undefined ? [] : [['min_success', whole(step.minSuccess)] as [string, JsonValue]]),
        ['steps', step.steps.map(writeStep)],
      ];
  }
}

function whole(number: number): JsonNumber {
  return new JsonNumber(String(number));
}

/** Writes a binding as a spec has it. */
export function writeBinding(binding: Binding): JsonValue {
  switch (binding.kind) {
    case 'literal':
      return hasMarks(binding.value) ? new Map([['$literal', binding.value]]) : binding.value;
    case 'ref':
      return new Map([['$ref', printReference(binding.root, binding.path)]]);
    case 'cel':
      return new Map([['$cel', binding.expression]]);
    case 'list':
      return binding.items.map(writeBinding);
    case 'object':
      return new Map([...binding.members].map(([name, member]) => [name, writeBinding(member)]));
  }
}
