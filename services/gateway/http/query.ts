import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import { suggest } from '@signet/signature/suggest.ts';
import type { Faults } from './codec/faults.ts';

/** The most parameters that are read. */
const parametersMax = 200;

type Tree = Map<string, JsonValue>;

/**
 * Turns a query string into the request's fields: repeated names fill lists, dots go into messages (`a.b=1`) and maps. Records a
 * fault, under the parameter's own name, for what is no field of the message.
 */
export function readQuery(desc: DescMessage, query: string, taken: readonly string[], faults: Faults): JsonObject {
  const tree: Tree = new Map();
  if (query === '') return tree;
  const pairs = query.split('&').filter((pair) => pair !== '');
  if (pairs.length > parametersMax) {
    faults.addAt('query', 'TOO_MANY', `at most ${parametersMax} parameters are taken`);
    return tree;
  }
  for (const pair of pairs) {
    const equals = pair.indexOf('=');
    const name = decodePart(equals < 0 ? pair : pair.slice(0, equals));
    const value = decodePart(equals < 0 ? '' : pair.slice(equals + 1));
    if (name === undefined || value === undefined) {
      faults.addAt(name ?? 'query', 'TEXT_INVALID', 'is not percent-encoded UTF-8');
    } else {
      const complaint = addParameter(desc, tree, name, value, taken);
      if (complaint !== undefined) faults.addAt(name, ...complaint);
    }
  }
  return tree;
}

// Why a parameter is refused: reason and description.
type Complaint = readonly [string, string] | undefined;

function addParameter(desc: DescMessage, tree: Tree, name: string, value: string, taken: readonly string[]): Complaint {
  const steps = name.split('.');
  let message = desc;
  let here = tree;
  for (let index = 0; ; index++) {
    const step = steps[index]!;
    const field = message.fields.find((one) => one.jsonName === step || one.name === step);
    const isLast = index === steps.length - 1;
    if (field === undefined) {
      const names = message.fields.filter((one) => !taken.includes(one.name)).map((one) => one.jsonName);
      return ['FIELD_UNKNOWN', `is no parameter of this request${suggest(step, names)}`];
    }
    if (index === 0 && taken.includes(field.name)) return ['FIELD_TWICE', 'is given by path or body'];
    if (field.fieldKind === 'map' && field.mapKind === 'scalar' && !isLast) {
      return addOnce(branch(here, field.jsonName), steps.slice(index + 1).join('.'), value);
    }
    if (field.fieldKind !== 'message' || isLast || isLeaf(field.message)) {
      return isLast && fitsQuery(field)
        ? addValue(here, field, value)
        : ['TYPE_MISMATCH', 'cannot be given in a query'];
    }
    message = field.message;
    here = branch(here, field.jsonName);
  }
}

function addValue(tree: Tree, field: DescField, value: string): Complaint {
  const json = textToJson(field, value);
  if (field.fieldKind !== 'list') return addOnce(tree, field.jsonName, json);
  const list = tree.get(field.jsonName);
  tree.set(field.jsonName, Array.isArray(list) ? [...list, json] : [json]);
  return undefined;
}

function addOnce(tree: Tree, key: string, value: JsonValue): Complaint {
  if (tree.has(key)) return ['FIELD_TWICE', 'is given twice'];
  tree.set(key, value);
  return undefined;
}

function branch(tree: Tree, key: string): Tree {
  const found = tree.get(key);
  if (found instanceof Map) return found as Tree;
  const made: Tree = new Map();
  tree.set(key, made);
  return made;
}

const leaves = ['google.protobuf.Timestamp', 'google.protobuf.Duration', 'google.protobuf.FieldMask'];

function isLeaf(desc: DescMessage): boolean {
  return (
    leaves.includes(desc.typeName) || desc.typeName.startsWith('google.protobuf.') || desc.typeName.endsWith('Payload')
  );
}

function fitsQuery(field: DescField): boolean {
  if (field.fieldKind === 'map') return false;
  return field.message === undefined || leaves.includes(field.message.typeName);
}

// Numbers, enums and times are taken as text by proto3's JSON mapping; booleans are not.
function textToJson(field: DescField, value: string): JsonValue {
  const isBool = field.fieldKind !== 'map' && field.scalar === ScalarType.BOOL;
  if (isBool && (value === 'true' || value === 'false')) return value === 'true';
  return value;
}

function decodePart(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}
