/** A chat message as OpenAI's form has it; content may be a string or text parts. */
export interface ChatMessage {
  role: string;
  content: unknown;
}

const chatReminder =
  /Respond with the corresponding output fields, starting with the field ([\s\S]*?), and then ending with/g;
const jsonReminder = /Respond with a JSON object in the following order of fields: ([\s\S]*?)\.\s*$/;
const memo = new Map<string, string>();

/** Answers any prompt of DSPy's Chat and JSON adapters with values of the asked types; another prompt gets one sentence. */
export function answerPrompt(messages: ChatMessage[]): string {
  const last = textOf(messages.at(-1)?.content);
  const system = textOf(messages[0]?.content);
  const json = jsonReminder.exec(last.slice(-8192));
  const chat = [...last.slice(-8192).matchAll(chatReminder)].at(-1);
  const reminder = json?.[1] ?? chat?.[1];
  if (reminder === undefined) return 'This is a scripted reply.';
  const key = `${json === null ? 'chat' : 'json'}\n${reminder}\n${system}`;
  const known = memo.get(key);
  if (known !== undefined) return known;
  const text = json === null ? writeChat(reminder, system) : writeJson(reminder, system);
  if (memo.size > 256) memo.clear();
  memo.set(key, text);
  return text;
}

/** The text of a message's content, whichever of OpenAI's two forms it has. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part) => (typeof part?.text === 'string' ? part.text : '')).join('');
}

function writeChat(reminder: string, system: string): string {
  const sections = fieldsOf(reminder).map(({ name, type }) => {
    const value = madeUp(name, type, system);
    return `[[ ## ${name} ## ]]\n${typeof value === 'string' ? value : JSON.stringify(value)}`;
  });
  return `${sections.join('\n\n')}\n\n[[ ## completed ## ]]`;
}

function writeJson(reminder: string, system: string): string {
  const entries = fieldsOf(reminder).map(({ name, type }) => [name, madeUp(name, type, system)]);
  return JSON.stringify(Object.fromEntries(entries));
}

function fieldsOf(reminder: string): { name: string; type: string }[] {
  const field =
    /`(?:\[\[ ## )?([^`\s]+?)(?: ## \]\])?`(?: \(must be formatted as a valid Python ([\s\S]*?)\)(?=, then `|$))?/g;
  return [...reminder.matchAll(field)].map((found) => ({ name: found[1]!, type: found[2] ?? 'str' }));
}

function madeUp(name: string, type: string, system: string): unknown {
  const bounds = boundsOf(name, system);
  const value = typed(name, type);
  if (typeof value === 'number') return Math.min(Math.max(value, bounds.low), bounds.high);
  if (typeof value === 'string' && !type.startsWith('Literal')) {
    return value.padEnd(bounds.shortest, '.').slice(0, bounds.longest);
  }
  if (Array.isArray(value) && value.length > 0) {
    return Array.from({ length: Math.max(1, bounds.shortest) }, () => value[0]).slice(0, bounds.longest);
  }
  return value;
}

function typed(name: string, type: string): unknown {
  const [, head = type, inner = ''] = /^(\w+)\[([\s\S]*)\]$/.exec(type) ?? [];
  const args = splitArguments(inner);
  switch (head) {
    case 'int':
      return 7;
    case 'float':
      return 0.5;
    case 'bool':
      return true;
    case 'NoneType':
      return null;
    case 'list':
    case 'set':
    case 'frozenset':
      return [typed(name, args[0] ?? 'str')];
    case 'tuple':
      return args.filter((arg) => arg !== 'Ellipsis').map((arg) => typed(name, arg));
    case 'dict':
      return { key: typed(name, args[1] ?? 'str') };
    case 'Literal':
      return literal(args[0] ?? "''");
    case 'Union':
    case 'Optional':
      return typed(name, args.find((arg) => arg !== 'NoneType') ?? 'NoneType');
    default:
      return `scripted ${name}`;
  }
}

function literal(text: string): unknown {
  if (/^['"]/.test(text)) return text.slice(1, -1).replaceAll("\\'", "'");
  if (text === 'True' || text === 'False') return text === 'True';
  return text === 'None' ? null : Number(text);
}

function splitArguments(inner: string): string[] {
  const args: string[] = [];
  let depth = 0;
  let quote = '';
  let from = 0;
  for (let at = 0; at < inner.length; at += 1) {
    const char = inner[at]!;
    if (quote !== '') {
      if (char === '\\') at += 1;
      else if (char === quote) quote = '';
    } else if (char === "'" || char === '"') quote = char;
    else if (char === '[') depth += 1;
    else if (char === ']') depth -= 1;
    else if (char === ',' && depth === 0) {
      args.push(inner.slice(from, at).trim());
      from = at + 1;
    }
  }
  if (inner.trim() !== '') args.push(inner.slice(from).trim());
  return args;
}

function boundsOf(name: string, system: string): { low: number; high: number; shortest: number; longest: number } {
  const outputs = system.slice(system.indexOf('Your output fields are:'));
  const at = outputs.indexOf(`\`${name}\` (`);
  const end = outputs.slice(at + 1).search(/\n\d+\. `|\nAll interactions/);
  const text = at < 0 ? '' : outputs.slice(at, end < 0 ? undefined : at + 1 + end);
  const bound = (label: string): number | undefined => {
    const found = new RegExp(`${label}: (-?[\\d.e+-]+)`).exec(text);
    return found === null ? undefined : Number(found[1]);
  };
  const above = bound('greater than');
  const below = bound('less than');
  return {
    low: bound('greater than or equal to') ?? (above === undefined ? -Infinity : above + 1e-3),
    high: bound('less than or equal to') ?? (below === undefined ? Infinity : below - 1e-3),
    shortest: bound('minimum length') ?? 0,
    longest: bound('maximum length') ?? 1_000_000,
  };
}
