import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach } from 'vitest';
import type { JsonObject } from './http.ts';

const SIGNET = join(import.meta.dirname, '..', '..', 'packages', 'cli', 'bin', 'signet.mjs');

type Ended = { readonly code: number | null; readonly out: string; readonly err: string };
type Given = { readonly env?: Record<string, string>; readonly input?: string };

/** The command `signet` as processes, in a folder that is gone after the file; what a test leaves running is killed. */
export function useSignet(envOf: () => Record<string, string> = () => ({})) {
  const room = mkdtempSync(join(tmpdir(), 'signet-cli-'));
  afterAll(() => rmSync(room, { recursive: true, force: true }));
  const running = new Set<ChildProcess>();
  afterEach(() => {
    for (const child of running) child.kill('SIGKILL');
  });

  function launch(
    args: readonly string[],
    given: Given = {},
  ): { child: ChildProcess; said: { out: string }; ended: Promise<Ended> } {
    const { PATH = '', HOME = '/' } = process.env;
    const env = { PATH, HOME, ...envOf(), ...given.env };
    const child = spawn(process.execPath, [SIGNET, ...args], { cwd: room, env });
    running.add(child);
    const said = { out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      said.out += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      said.err += chunk;
    });
    // A command that ends early does not read it all.
    child.stdin.on('error', () => {});
    child.stdin.end(given.input ?? '');
    const ended = new Promise<Ended>((resolve) =>
      child.once('close', (code) => {
        running.delete(child);
        resolve({ code, ...said });
      }),
    );
    return { child, said, ended };
  }

  const signet = (...args: string[]): Promise<Ended> => launch(args).ended;

  async function demandJson(...args: string[]): Promise<JsonObject> {
    const { code, out, err } = await signet(...args, '--json');
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${err}`);
    return JSON.parse(out);
  }

  return { room, launch, signet, demandJson };
}
