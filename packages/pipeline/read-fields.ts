import { isArray, isObject, type JsonValue } from '@signet/signature/json.ts';
import { fromParsedSpec } from '@signet/signature/parsed-spec.ts';
import { parseSpec } from '@signet/signature/parser.ts';
import { printField } from '@signet/signature/print.ts';
import { SignatureError } from '@signet/signature/signature-error.ts';
import type { Field } from '@signet/signature/types.ts';
import { at, type Faults } from './fault.ts';

// Stands on the other side, where the language wants at least one field; nobody else calls a field so.
const other = 'signet_other_side';

/**
 * Reads `inputs` or `outputs` of a spec: a text in the syntax of signatures (`query: str, k: int = 3`), a list of names, texts or fields
 * (`{name, type, description, default, optional}`), or an object of names and types. Undefined if it cannot be read.
 */
export function readFields(given: JsonValue, path: string, faults: Faults): Field[] | undefined {
  try {
    if (typeof given === 'string') return plain(parseSide(given));
    if (isArray(given)) return given.flatMap((item, index) => readListed(item, at(path, index)));
    if (isObject(given)) return plain([...given].flatMap(([name, type]) => readNamed(name, type)));
  } catch (error) {
    if (!(error instanceof SignatureError)) throw error;
    // One side alone has no arrow behind it.
    const message = error.message.replace('`->` between inputs and outputs', '`:` or `,`');
    faults.add(path, 'SIGNATURE_INVALID', message);
    return undefined;
  }
  faults.add(
    path,
    'INVALID',
    'must be a text such as `query: str, k: int = 3`, a list, or an object of names and types',
  );
  return undefined;

  function readListed(item: JsonValue, itemPath: string): readonly Field[] {
    if (typeof item === 'string') return plain(parseSide(item));
    if (isObject(item)) return plain(fromParsed([item]));
    faults.add(itemPath, 'INVALID', 'must be a text or an object with `name` and `type`');
    return [];
  }
}

/** Writes fields in the syntax of signatures. */
export function printFields(fields: readonly Field[]): string {
  return fields.map(printField).join(', ');
}

function parseSide(text: string): readonly Field[] {
  return text.trim() === '' ? [] : parseSpec(`${text} -> ${other}`).inputs;
}

function readNamed(name: string, type: JsonValue): readonly Field[] {
  const field = isObject(type)
    ? new Map([...type, ['name', name]])
    : new Map([
        ['name', name],
        ['type', type],
      ]);
  return fromParsed([field]);
}

function fromParsed(inputs: readonly JsonValue[]): readonly Field[] {
  return fromParsedSpec(
    new Map<string, JsonValue>([
      ['inputs', inputs],
      ['outputs', [new Map([['name', other]])]],
    ]),
  ).inputs;
}

// What a registered type stands for is all that counts, also where that type is not loaded.
function plain(fields: readonly Field[]): Field[] {
  return fields.map(({ registered: _, ...field }) => field);
}
