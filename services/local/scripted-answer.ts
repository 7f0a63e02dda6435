import { readAskedFields, readLiteral, readType } from './asked-fields.ts';

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

/** The plainest value of a type, as DSPy names types in prompts. */
export function plainValue(type: string): unknown {
  const { head, members } = readType(type);
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
