/** An expression that cannot be read, or that failed over what it was given. The message is for whoever wrote the pipeline. */
export class ExpressionError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ExpressionError';
  }
}

/** Makes an error's text fit for a message: one line of at most 300 characters. */
export function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s+/g, ' ').toWellFormed().replaceAll('\0', '').slice(0, 300);
}
