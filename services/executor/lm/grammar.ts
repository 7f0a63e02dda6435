import { type OutputField, type Type, TypeKind } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';

const itemsMax = 8;

// A line may not begin with a bracket: it would look like a header.
const rules = `line ::= [^\\x00-\\x20[] [^\\x00-\\x1f]{0,119}
string ::= "\\"" [^"\\\\\\x00-\\x1f]{0,120} "\\""
int ::= "-"? ("0" | [1-9] [0-9]{0,8})
float ::= "-"? ("0" | [1-9] [0-9]{0,5}) "." [0-9]{1,4}
scalar ::= string | float | int | "true" | "false" | "null"
`;

/**
 * Writes the GBNF grammar of a reply that DSPy's ChatAdapter can read: the outputs' headers in order, text as one line of at
 * most 120 characters, other values by type (lists and dicts as JSON of at most 8 items), and the completed marker.
 */
export function chatGrammar(outputFields: readonly OutputField[]): string {
  const sections = outputFields.map(
    (field) => `${quote(`[[ ## ${field.name} ## ]]\n`)} ${plainValue(field.type)} "\\n\\n"`,
  );
  return `root ::= ${sections.join(' ')} "[[ ## completed ## ]]"\n${rules}`;
}

/** Writes the GBNF grammar of a reply that DSPy's JSONAdapter can read: one object with the outputs in order, texts of at most 120 characters. */
export function jsonGrammar(outputFields: readonly OutputField[]): string {
  const members = outputFields.map((field) => `${quote(`${JSON.stringify(field.name)}: `)} ${jsonValue(field.type)}`);
  return `root ::= "{" ${members.join(' ", " ')} "}"\n${rules}`;
}

// A value as it stands in a section, where text and True need no quotes.
function plainValue(type: Type | undefined): string {
  switch (type?.kind) {
    case undefined:
    case TypeKind.TYPE_KIND_STR:
      return 'line';
    case TypeKind.TYPE_KIND_BOOL:
      return '("True" | "False")';
    case TypeKind.TYPE_KIND_NONE:
      return '"None"';
    case TypeKind.TYPE_KIND_LITERAL:
      return oneOf(type.valuesJson.map((value) => quote(plainLiteral(value.toString()))));
    case TypeKind.TYPE_KIND_UNION:
      return oneOf(type.args.map(plainValue));
    default:
      return jsonValue(type);
  }
}

function jsonValue(type: Type | undefined): string {
  const args = type?.args ?? [];
  switch (type?.kind) {
    case TypeKind.TYPE_KIND_STR:
      return 'string';
    case TypeKind.TYPE_KIND_INT:
      return 'int';
    case TypeKind.TYPE_KIND_FLOAT:
      return 'float';
    case TypeKind.TYPE_KIND_BOOL:
      return '("true" | "false")';
    case TypeKind.TYPE_KIND_NONE:
      return '"null"';
    case TypeKind.TYPE_KIND_LITERAL:
      return oneOf(type.valuesJson.map((value) => quote(value.toString())));
    case TypeKind.TYPE_KIND_UNION:
      return oneOf(args.map(jsonValue));
    case TypeKind.TYPE_KIND_LIST:
    case TypeKind.TYPE_KIND_SET:
    case TypeKind.TYPE_KIND_TUPLE_VARIADIC:
      return repeated('[', jsonValue(args[0]), ']');
    case TypeKind.TYPE_KIND_TUPLE:
      return `("[" ${args.map(jsonValue).join(' ", " ')} "]")`;
    case TypeKind.TYPE_KIND_DICT:
      return repeated('{', `string ": " ${jsonValue(args[1])}`, '}');
    default:
      return 'scalar';
  }
}

function repeated(open: string, item: string, close: string): string {
  return `("${open}" (${item} (", " ${item}){0,${itemsMax - 1}})? "${close}")`;
}

function oneOf(choices: string[]): string {
  return `(${choices.join(' | ')})`;
}

function plainLiteral(json: string): string {
  if (json === 'true') return 'True';
  if (json === 'false') return 'False';
  if (json === 'null') return 'None';
  return json.startsWith('"') ? (JSON.parse(json) as string) : json;
}

function quote(text: string): string {
  const inner = text.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r').replaceAll('\t', '\\t');
  return `"${inner}"`;
}
