import { type AskedFields, readAskedFields, readLiteral, readType } from '../../services/local/asked-fields.ts';

/** A chat message as OpenAI's form has it; content may be a string or text parts. */
export interface ChatMessage {
  role: string;
  content: unknown;
}

const memo = new Map<string, string>();

/** Answers any prompt of DSPy's Chat and JSON adapters with values of the asked types; another prompt gets one sentence. */
export function answerPrompt(messages: ChatMessage[]): string {
  const last = textOf(messages.at(-1)?.content);
  const system = textOf(messages[0]?.content);
  const asked = readAskedFields(last);
  if (asked === undefined) return 'This is a scripted reply.';
  const key = `${JSON.stringify(asked)}\n${system}`;
  const known = memo.get(key);
  if (known !== undefined) return known;
  const text = asked.form === 'chat' ? writeChat(asked, system) : writeJson(asked, system);
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

function writeChat({ fields }: AskedFields, system: string): string {
  const sections = fields.map(({ name, type }) => {
    const value = madeUp(name, type, system);
    return `[[ ## ${name} ## ]]\n${typeof value === 'string' ? value : JSON.stringify(value)}`;
  });
  return `${sections.join('\n\n')}\n\n[[ ## completed ## ]]`;
}

function writeJson({ fields }: AskedFields, system: string): string {
  const entries = fields.map(({ name, type }) => [name, madeUp(name, type, system)]);
  return JSON.stringify(Object.fromEntries(entries));
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
  const { head, members } = readType(type);
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
      return [typed(name, members[0] ?? 'str')];
    case 'tuple':
      return members.filter((member) => member !== 'Ellipsis').map((member) => typed(name, member));
    case 'dict':
      return { key: typed(name, members[1] ?? 'str') };
    case 'Literal':
      return readLiteral(members[0] ?? "''");
    case 'Union':
    case 'Optional':
      return typed(name, members.find((member) => member !== 'NoneType') ?? 'NoneType');
    default:
      return `scripted ${name}`;
  }
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
