/** `SIGNATURE_SYNTAX`: the text cannot be read. `SIGNATURE_TYPE`: it can, but a type, name or bound is not allowed. */
export type SignatureErrorReason = 'SIGNATURE_SYNTAX' | 'SIGNATURE_TYPE';

/** A place in a spec; both count from 1, columns in characters. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** Why a signature is refused. The message begins with the place; `line` and `column` are 0 where there is no text to point into. */
export class SignatureError extends Error {
  readonly reason: SignatureErrorReason;
  readonly line: number;
  readonly column: number;

  constructor(reason: SignatureErrorReason, problem: string, position?: Position) {
    super(position ? `line ${position.line}, column ${position.column}: ${problem}` : problem);
    this.name = 'SignatureError';
    this.reason = reason;
    this.line = position?.line ?? 0;
    this.column = position?.column ?? 0;
  }
}
