/** What a scripted model has to fill: the fields that the prompt asks for, in order, and in which of DSPy's two forms. */
export type AskedFields = { form: 'chat' | 'json'; fields: { name: string; type: string }[] };

const CHAT =
  /Respond with the corresponding output fields, starting with the field (.*), and then ending with the marker for/s;
const JSON_FORM = /Respond with a JSON object in the following order of fields: (.*)\./s;
const FIELD = /`(?:\[\[ ## )?([^`]+?)(?: ## \]\])?`(?: \(must be formatted as a valid Python (.*?)\))?(?=, then `|$)/gs;

/** Reads the output fields out of the reminder that DSPy's adapters put at the end of the last user message. */
export function readAskedFields(prompt: string): AskedFields | undefined {
  const tail = prompt.slice(-16_384);
  const jsonAt = tail.lastIndexOf('Respond with a JSON object');
  const chatAt = tail.lastIndexOf('Respond with the corresponding');
  const form = jsonAt > chatAt ? 'json' : 'chat';
  // The last one is the reminder: inputs before it may hold the other one's words.
  const found = form === 'json' ? tail.slice(jsonAt).match(JSON_FORM) : tail.slice(chatAt).match(CHAT);
  if (!found) return undefined;
  const fields = [...(found[1] ?? '').matchAll(FIELD)].map(([, name = '', type = 'str']) => ({ name, type }));
  return { form, fields };
}

/** A type as DSPy names types in prompts (`list[str]`, `Literal['a', 'b']`, `Union[int, NoneType]`): its head, and what stands in its brackets. */
export function readType(type: string): { head: string; members: string[] } {
  const bracket = type.indexOf('[');
  if (bracket < 0) return { head: type, members: [] };
  return { head: type.slice(0, bracket), members: splitMembers(type.slice(bracket + 1, type.lastIndexOf(']'))) };
}

/** The value that a member of a `Literal` stands for. */
export function readLiteral(text: string): unknown {
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
