/** Where a command reads and writes, so that nothing else knows the process. */
export type Terminal = {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder that relative paths start from. */
  readonly cwd: string;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly stdin: NodeJS.ReadStream;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly stop: AbortSignal;
};
