import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

const REPLY_MAX_MS = 240_000;

/** A process of the bench's own that answers each message with one message. */
export type Child = {
  readonly pid: number;
  /** Sends a message and waits for its answer; throws when the process ends, answers `{error}` or takes longer than four minutes. */
  ask<Answer>(message: object): Promise<Answer>;
  /** Ends it and waits; repeatable. */
  stop(): Promise<void>;
};

/** Starts a TypeScript file as a process that ends with this one. What it prints to stderr appears here. */
export function startChild(
  file: string,
  options: { args?: readonly string[]; execArgv?: readonly string[] } = {},
): Child {
  const child = fork(file, [...(options.args ?? [])], {
    execArgv: [...(options.execArgv ?? [])],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // A Ctrl-C in the terminal reaches the bench alone, which ends what it started.
    detached: true,
  });
  return {
    pid: child.pid ?? 0,
    ask: (message) => ask(child, file, message),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 5000);
      await ended;
      clearTimeout(late);
    },
  };
}

function ask<Answer>(child: ChildProcess, file: string, message: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const settle = (done: () => void): void => {
      clearTimeout(late);
      child.off('message', onMessage);
      child.off('exit', onExit);
      done();
    };
    const onMessage = (answer: Answer & { error?: string }): void =>
      settle(() => (answer.error === undefined ? resolve(answer) : reject(new Error(answer.error))));
    const onExit = (): void => settle(() => reject(new Error(`${file} ended`)));
    const late = setTimeout(() => settle(() => reject(new Error(`${file} does not answer`))), REPLY_MAX_MS);
    child.once('message', onMessage);
    child.once('exit', onExit);
    child.send(message, (error) => error && settle(() => reject(error)));
  });
}
