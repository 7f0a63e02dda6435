/** Colours a text for a terminal; gives it back as it is elsewhere. */
export type Paint = (style: Style, text: string) => string;

/** What a text means. */
export type Style = 'bold' | 'dim' | 'good' | 'bad' | 'busy';

const codes: Readonly<Record<Style, string>> = { bold: '1', dim: '2', good: '32', bad: '31', busy: '33' };

/** Colours for a stream: none where it is no terminal, where NO_COLOR is set, or where the terminal is dumb. */
export function createPaint(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): Paint {
  const isColoured = stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
  return (style, text) => (isColoured ? `\u001b[${codes[style]}m${text}\u001b[0m` : text);
}

/** The style of a state by its short name. */
export function styleOf(state: string): Style {
  if (['ready', 'active', 'completed'].includes(state)) return 'good';
  if (['error', 'failed', 'cancelled', 'archived', 'deprecated'].includes(state)) return 'bad';
  return 'busy';
}
