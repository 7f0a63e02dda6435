import { isObject, isStorableText, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { isModuleName } from '@signet/signature/module-name.ts';
import { parseSpec } from '@signet/signature/parser.ts';
import { printSpec } from '@signet/signature/print.ts';
import { SignatureError } from '@signet/signature/signature-error.ts';
import { suggest } from '@signet/signature/suggest.ts';
import type { SignatureSpec } from '@signet/signature/types.ts';
import type { Body, Draft } from './draft.ts';
import { at, shown } from './fault.ts';
import type { Keys } from './keys.ts';
import type { StepFields } from './known.ts';
import { pipelineLimits, type StepKind } from './pipeline.ts';
import { type ReadContext, readSteps } from './read-step.ts';
import { resultFields } from './told-fields.ts';

/** The keys that each kind of step has besides those of all. */
export const bodyKeys: Readonly<Record<StepKind, readonly string[]>> = {
  action: ['resource', 'action'],
  module: ['module', 'name', 'module_id', 'signature', 'lm', 'instructions'],
  signature: ['signature', 'module', 'lm', 'instructions'],
  python: ['module', 'kwargs'],
  function: ['function', 'name'],
  group: ['steps', 'mode', 'max_concurrency', 'min_success'],
};

/** A step of which the kind is known. */
export type BodyInput = {
  readonly context: ReadContext;
  readonly keys: Keys;
  readonly kind: StepKind;
  /** As the spec writes it. */
  readonly type: string;
  readonly depth: number;
};

/** What a step runs, and the fields that it takes and gives where they are known. */
export type ReadBody = { readonly body: Body; readonly fields: Draft['fields'] };

/** Reads what a step has of its own kind and looks up what it names. */
export function readBody(input: BodyInput): ReadBody {
  switch (input.kind) {
    case 'action':
      return readAction(input);
    case 'module':
      return readModule(input);
    case 'signature':
      return readSignature(input);
    case 'python':
      return readPython(input);
    case 'function':
      return readFunction(input);
    case 'group':
      return readGroup(input);
  }
}

/** The kinds of modules that run a signature without being registered. */
const signatureModules = ['predict', 'chain_of_thought'] as const;

function readAction({ context, keys }: BodyInput): ReadBody {
  const { faults } = context;
  for (const key of ['resource', 'action']) keys.demand(key, 'so far resource `signature`, action `parse`');
  const resource = keys.text('resource');
  const action = keys.text('action');
  if (resource !== undefined && resource.toLowerCase() !== 'signature') {
    const path = at(keys.path, 'resource');
    faults.add(
      path,
      'ACTION_INVALID',
      `\`${shown(resource)}\` has no actions; \`signature\` has, and modules are steps of type module`,
    );
  } else if (action !== undefined && action !== 'parse') {
    faults.add(
      at(keys.path, 'action'),
      'ACTION_INVALID',
      `\`${shown(action)}\` is no action of a signature; there is parse`,
    );
  }
  if (!keys.has('input') && !keys.has('inputs')) keys.demand('input', 'an object with the `spec` to parse');
  return { body: { kind: 'action', resource: 'signature', action: 'parse' }, fields: parseFields };
}

const parseFields: StepFields = parseSpec('spec: str -> inputs: list, outputs: list');

function readModule(input: BodyInput): ReadBody {
  const { context, keys, type } = input;
  const { faults, known } = context;
  const key = keys.has('module') ? 'module' : 'name';
  const path = at(keys.path, key);
  if (key === 'name') keys.demand('name', 'the name of a registered module, as `module`');
  const named = keys.text(key) ?? '';
  const kind = signatureModules.find((name) => name === named);
  if (kind !== undefined) return readSignature({ ...input, kind: 'signature' });
  for (const other of ['signature', 'lm', 'instructions']) {
    if (keys.has(other)) faults.add(at(keys.path, other), 'INVALID', 'a registered module has its own');
  }
  const stated = keys.text('module_id') ?? '';
  const found = isStorableText(named) ? known.module(named, stated) : undefined;
  if (found === undefined) {
    if (known.isPython(named) && isModuleName(named)) {
      return { body: { kind: 'python', module: named, kwargs: new Map() }, fields: undefined };
    }
    if (named !== '') {
      const hint = suggest(named, [...known.moduleNames, ...signatureModules]);
      faults.add(path, 'MODULE_INVALID', `there is no module \`${shown(named)}\`${hint}`);
    }
    return { body: { kind: 'module', module: named, moduleId: '' }, fields: undefined };
  }
  if (found.fields === undefined) {
    faults.add(path, 'MODULE_INVALID', `the module \`${shown(named)}\` has no signature and cannot be executed`);
  }
  if (stated !== '' && stated !== found.id) {
    faults.add(at(keys.path, 'module_id'), 'MODULE_INVALID', `is not the id of the module \`${shown(named)}\``);
  }
  if (type !== 'module' && found.type !== '' && type !== found.type) {
    faults.add(at(keys.path, 'type'), 'MODULE_INVALID', `the module \`${shown(named)}\` is of type ${found.type}`);
  }
  return { body: { kind: 'module', module: found.name, moduleId: found.id }, fields: found.fields };
}

function readSignature({ context, keys, type }: BodyInput): ReadBody {
  const { faults, known } = context;
  const named = keys.text('module') ?? keys.text('name') ?? 'predict';
  const module = signatureModules.find((name) => name === named);
  if (module === undefined) {
    const message = `\`${shown(named)}\` runs no signature; there are ${signatureModules.join(', ')}`;
    faults.add(at(keys.path, 'module'), 'MODULE_INVALID', message);
  }
  const lm = keys.text('lm') ?? '';
  if (lm !== '' && !(isStorableText(lm) && known.isLanguageModel(lm))) {
    faults.add(at(keys.path, 'lm'), 'LM_NOT_FOUND', `there is no language model \`${shown(lm)}\``);
  }
  const instructions = keys.text('instructions') ?? '';
  if (instructions.length > 20_000)
    faults.add(at(keys.path, 'instructions'), 'TOO_LONG', 'must have at most 20000 characters');
  if (!isStorableText(instructions)) {
    faults.add(at(keys.path, 'instructions'), 'TEXT_INVALID', 'must not hold \\u0000 or half a surrogate pair');
  }
  if (known.isTrusting) {
    const signature = keys.text('signature') ?? '';
    return {
      body: { kind: 'signature', signature, module: module ?? 'predict', lm, instructions },
      fields: 'unchecked',
    };
  }
  if (type === 'signature') keys.demand('signature', 'a specification, or the id or module of a registered signature');
  const spec = readSpecOf(context, keys);
  const body = {
    kind: 'signature' as const,
    signature: spec === undefined ? '' : printSpec(spec),
    module: module ?? 'predict',
    lm,
    instructions,
  };
  // One that could not be read is at fault already: nothing is made up in its place.
  if (spec === undefined) return { body, fields: keys.has('signature') ? 'unchecked' : undefined };
  return { body, fields: { inputs: spec.inputs, outputs: resultFields(body.module, spec.outputs) } };
}

function readSpecOf({ faults, known }: ReadContext, keys: Keys): SignatureSpec | undefined {
  const text = keys.text('signature');
  if (text === undefined) return undefined;
  const path = at(keys.path, 'signature');
  if (text.includes('->')) {
    try {
      return parseSpec(text);
    } catch (error) {
      if (!(error instanceof SignatureError)) throw error;
      faults.add(path, 'SIGNATURE_INVALID', error.message);
      return undefined;
    }
  }
  const found = isStorableText(text) ? known.signature(text) : undefined;
  if (found === undefined) faults.add(path, 'SIGNATURE_INVALID', `there is no signature \`${shown(text)}\``);
  return found;
}

function readPython({ context, keys }: BodyInput): ReadBody {
  const { faults, known } = context;
  keys.demand('module', 'the name of a Python class or function, such as dspy.ColBERTv2');
  const module = keys.text('module') ?? '';
  if (module !== '' && !(isStorableText(module) && known.isPython(module))) {
    const others = `${known.pythonNames.slice(0, 10).join(', ')} and what SIGNET_PYTHON_MODULES of the sidecar names`;
    const hint = suggest(module, known.pythonNames) || `; there are ${others}`;
    faults.add(
      at(keys.path, 'module'),
      'PYTHON_INVALID',
      `\`${shown(module)}\` is not on the allow-list of Python names${hint}`,
    );
  }
  const kwargs = keys.record('kwargs') ?? new Map<string, JsonValue>();
  for (const key of kwargs.keys()) {
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(key) || key.startsWith('__')) {
      faults.add(at(at(keys.path, 'kwargs'), key), 'INVALID', 'must be a Python identifier of at most 64 characters');
    }
  }
  return { body: { kind: 'python', module, kwargs: withoutMarks(kwargs, context, keys) }, fields: undefined };
}

/** A class is made before a run is there: what it is made with cannot depend on one. */
function withoutMarks(kwargs: JsonObject, { faults }: ReadContext, keys: Keys): JsonObject {
  for (const [key, value] of kwargs) {
    if (isObject(value) && (value.has('$ref') || value.has('$cel'))) {
      faults.add(at(at(keys.path, 'kwargs'), key), 'INVALID', 'must be a constant; what depends on the run is `input`');
    }
  }
  return kwargs;
}

function readFunction({ context, keys }: BodyInput): ReadBody {
  const { faults, known } = context;
  const key = keys.has('function') ? 'function' : keys.has('name') ? 'name' : 'function';
  keys.demand(key, `one of ${known.functionNames.join(', ')}`);
  const named = keys.text(key) ?? '';
  if (named !== '' && !known.isFunction(named)) {
    const hint = suggest(named, known.functionNames) || `; there are ${known.functionNames.join(', ')}`;
    faults.add(at(keys.path, key), 'FUNCTION_INVALID', `there is no function \`${shown(named)}\`${hint}`);
  }
  return { body: { kind: 'function', function: named }, fields: undefined };
}

function readGroup({ context, keys, depth }: BodyInput): ReadBody {
  const { faults } = context;
  keys.demand('steps', 'a list of steps');
  const path = at(keys.path, 'steps');
  const given = keys.list('steps') ?? [];
  if (keys.has('steps') && given.length === 0) faults.add(path, 'REQUIRED', 'must have at least one step');
  if (depth >= pipelineLimits.groupDepthMax) {
    faults.add(path, 'TOO_MANY', `groups stand in each other at most ${pipelineLimits.groupDepthMax} deep`);
  }
  const steps = depth >= pipelineLimits.groupDepthMax ? [] : readSteps(context, given, path, 'grouped', depth + 1);
  const mode = keys.word('mode', ['async', 'sync']);
  const stated = keys.whole('max_concurrency', 1, pipelineLimits.concurrencyMax);
  const most = Math.max(1, Math.min(given.length, pipelineLimits.concurrencyMax));
  const maxConcurrency = mode === 'sync' ? 1 : (stated ?? most);
  const minSuccess = keys.whole('min_success', 0, Math.max(given.length, 0));
  return { body: { kind: 'group', steps, maxConcurrency, minSuccess }, fields: undefined };
}
