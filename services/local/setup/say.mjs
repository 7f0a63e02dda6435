import process from 'node:process';

/** A reason to stop that the person at the keyboard can act on: shown as this one line, without a stack. */
export class SetupError extends Error {}

/** Runs a step that may take longer than a second and shows that it goes on: a counting line on a terminal, a line each ten seconds elsewhere. */
export async function withProgress(what, work) {
  const begun = performance.now();
  const seconds = () => Math.round((performance.now() - begun) / 1000);
  const terminal = process.stderr.isTTY === true;
  process.stderr.write(terminal ? `  ${what} …` : `  ${what} …\n`);
  const timer = setInterval(
    () => process.stderr.write(terminal ? `\r  ${what} … ${seconds()} s` : `  ${what} … ${seconds()} s\n`),
    terminal ? 1_000 : 10_000,
  );
  try {
    const result = await work();
    process.stderr.write(terminal ? `\r  ${what}: ${seconds()} s\u001b[K\n` : `  ${what}: done in ${seconds()} s\n`);
    return result;
  } catch (error) {
    if (terminal) process.stderr.write('\n');
    throw error;
  } finally {
    clearInterval(timer);
  }
}

/** Says one line to the person at the keyboard. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}
