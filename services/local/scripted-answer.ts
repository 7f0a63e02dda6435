/** What a scripted model has to fill: the fields that the prompt asks for, in order, and in which of DSPy's two forms. */
export type AskedFields = { form: 'chat' | 'json'; fields: { name: string; type: string }[] };

const CHAT =
  /Respond with the corresponding output fields, starting with the field (.*), and then ending with the marker for/s;
const JSON_FORM = /Respond with a JSON object in the following order of fields: (.*)\./s;
const FIELD = /`(?:\[\[ ## )?([^`]+?)(?: ## \]\])?`(?: \(must be formatted as a valid Python (.*?)\))?(?=, then `|$)/gs;

/** Reads the output fields out of the reminder that DSPy's adapters put at the end of the last user message. */
export function readAskedFields(prompt: string): AskedFields | undefined {
  const tail = prompt.slice(-16_384);
  const json = tail.slice(tail.lastIndexOf('Respond with a JSON object')).match(JSON_FORM);
  const chat = tail.slice(tail.lastIndexOf('Respond with the corresponding')).match(CHAT);
  const found = json ?? chat;
  if (!found) return undefined;
  const fields = [...(found[1] ?? '').matchAll(FIELD)].map(([, name = '', type = 'str']) => ({ name, type }));
  return { form: json ? 'json' : 'chat', fields };
}

/** Answers a prompt in the form that it asks for. Text says that no model thought about it; typed values are the plainest of their type. */
export function answerPrompt(prompt: string): string {
  const asked = readAskedFields(prompt);
  if (!asked) return SAYING;
  const values = asked.fields.map(({ name, type }) => [name, plainValue(type)] as const);
  if (asked.form === 'json') return JSON.stringify(Object.fromEntries(values));
  const sections = values.map(
    ([name, value]) => `[[ ## ${name} ## ]]\n${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${sections.join('\n\n')}\n\n[[ ## completed ## ]]\n`;
}

const SAYING = 'This is a scripted model: no language model read your question.';

/** The plainest value of a type, as DSPy names types in prompts (`list[str]`, `Literal['a', 'b']`, `Union[int, NoneType]`). */
export function plainValue(type: string): unknown {
  const bracket = type.indexOf('[');
  const head = bracket < 0 ? type : type.slice(0, bracket);
  const members = bracket < 0 ? [] : splitMembers(type.slice(bracket + 1, type.lastIndexOf(']')));
  switch (head) {
    case 'int':
      return 0;
    case 'float':
      return 0.5;
    case 'bool':
      return false;
    case 'NoneType':
      return null;
    case 'list':
    case 'set':
      return [plainValue(members[0] ?? 'str')];
    case 'dict':
      return {};
    case 'tuple':
      return members.filter((member) => member !== 'Ellipsis').map(plainValue);
    case 'Union':
    case 'Optional':
      return plainValue(members.find((member) => member !== 'NoneType') ?? 'NoneType');
    case 'Literal':
      return readLiteral(members[0] ?? "''");
    default:
      return SAYING;
  }
}

function readLiteral(text: string): unknown {
  if (text.startsWith("'") || text.startsWith('"')) return text.slice(1, -1).replaceAll(/\\(['"\\])/g, '$1');
  const words: Record<string, unknown> = { True: true, False: false, None: null };
  return text in words ? words[text] : Number(text);
}

// Commas inside quotes or brackets belong to a member.
function splitMembers(text: string): string[] {
  const pieces = text.match(/(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[[\],]|[^'"[\],]+)/g) ?? [];
  const members = [''];
  let depth = 0;
  for (const piece of pieces) {
    if (piece === '[') depth += 1;
    if (piece === ']') depth -= 1;
    if (piece === ',' && depth === 0) members.push('');
    else members[members.length - 1] += piece;
  }
  return members.map((member) => member.trim()).filter((member) => member !== '');
}
