/** A reason why Signet cannot start that its operator can act on: shown as this one line, without a stack. */
export class LaunchError extends Error {
  override readonly name = 'LaunchError';
}

/** Turns faults of the operating system that have a plain cause (full disk, unwritable folder) into a LaunchError; passes others on. */
export function explainSystemError(error: unknown, where: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOSPC' || code === 'EDQUOT') return new LaunchError(`the disk is full: no space left for ${where}`);
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new LaunchError(`${where} cannot be written (${code}): give SIGNET_DATA_DIR a folder that this user owns`);
  }
  return error;
}
