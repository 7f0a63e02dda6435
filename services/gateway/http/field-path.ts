import type { DescMessage } from '@bufbuild/protobuf';
import type { FieldViolation } from '@signet/kit/error/app-error.ts';
import { isObject, type JsonObject, type JsonValue } from '@signet/signature/json.ts';

/**
 * Writes the path of a violation as the caller wrote the field: owners say `signature_spec`, HTTP callers `signatureSpec`
 * unless they wrote it otherwise. Inside payloads, structs and maps names are the caller's own and stay.
 */
export function violationInJson(desc: DescMessage, written: JsonObject, violation: FieldViolation): FieldViolation {
  const field = fieldPathInJson(desc, written, violation.field);
  return field === violation.field ? violation : { ...violation, field };
}

function fieldPathInJson(desc: DescMessage, written: JsonObject, path: string): string {
  let message: DescMessage | undefined = desc;
  let object: JsonValue | undefined = written;
  let made = '';
  let rest = path;
  while (message !== undefined) {
    const match = /^([a-z][a-z0-9_]*)((?:\[(?:\d+|"(?:[^"\\]|\\.)*")\])*)(\.(?=.)|$)/.exec(rest);
    const field: DescMessage['fields'][number] | undefined = message.fields.find((one) => one.name === match?.[1]);
    if (match === null || field === undefined) break;
    const name: string =
      object !== undefined && isObject(object) && object.has(field.name) ? field.name : field.jsonName;
    made += name + match[2]! + match[3]!;
    rest = rest.slice(match[0].length);
    object = object !== undefined && isObject(object) ? object.get(name) : undefined;
    message = field.fieldKind === 'message' || field.fieldKind === 'list' ? field.message : undefined;
  }
  return made + rest;
}
