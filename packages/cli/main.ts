import { fileURLToPath } from 'node:url';
import { runSignet } from './program.ts';

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    // Who asks twice does not want to wait.
    if (stop.signal.aborted) process.exit(130);
    stop.abort();
  });
}
// A reader such as `head` may leave early.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

process.exitCode = await runSignet(
  {
    ...{ env: process.env, cwd: process.cwd(), stdout: process.stdout, stderr: process.stderr, stdin: process.stdin },
    stop: stop.signal,
  },
  fileURLToPath(new URL('../..', import.meta.url)),
  process.argv.slice(2),
);
// Standard input, once read, would hold the process.
process.stdin.unref?.();
