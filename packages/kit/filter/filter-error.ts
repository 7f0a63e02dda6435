import { AppError } from '../error/app-error.ts';

/** A FILTER_SYNTAX that points at a column of the filter, from 1; the column is also in the metadata as `position`. */
export function filterError(at: number, problem: string): AppError {
  return new AppError('FILTER_SYNTAX', `filter, column ${at}: ${problem}`, {
    metadata: { field: 'filter', position: String(at) },
    fieldViolations: [{ field: 'filter', reason: 'FILTER_SYNTAX', description: `column ${at}: ${problem}` }],
  });
}

/** Shows a piece of a filter in a message: at most 40 characters, what cannot be printed escaped. */
export function shown(text: string): string {
  const short = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  return `\`${short.replace(/[\p{C}]/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)}\``;
}
