import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { useSignet } from '../support/signet-command.ts';

// Each command is a process of its own; a busy machine takes its time to start ten of them.
vi.setConfig({ testTimeout: 120_000 });

// Nobody listens there: what is said here is said without asking anybody.
const { room, signet } = useSignet(() => ({ SIGNET_ADDRESS: '127.0.0.1:9', SIGNET_API_KEY: 'no-key' }));

describe('the command', () => {
  it('says what it can do, and how to go on', async () => {
    const help = await signet('--help');
    expect(help.code).toBe(0);
    for (const word of ['start', 'migrate', 'keys', 'programs', 'run', 'tail', 'Exit codes', 'Examples']) {
      expect(help.out).toContain(word);
    }
    const run = await signet('programs', 'create', '--help');
    expect(run.out).toMatch(/--adapter-type <python_port\|native\|mock>/);
    expect(run.out).toContain('Fails with INVALID_REQUEST');
    expect((await signet('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('completes commands and options in bash, and prints scripts for zsh and fish', async () => {
    const script = join(room, 'completion.bash');
    writeFileSync(script, (await signet('completion', 'bash')).out);
    const complete = (...words: string[]): string[] => {
      const ask = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _signet; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { stdout } = spawnSync('bash', ['-c', ask, 'bash', script, ...words], { encoding: 'utf8' });
      return stdout.split('\n').filter((word) => word !== '');
    };
    expect(complete('signet', 'prog')).toEqual(['programs']);
    expect(complete('signet', 'programs', 'in')).toEqual(['initialize']);
    expect(complete('signet', 'programs', 'create', '--adapter')).toEqual(['--adapter-type']);
    expect(complete('signet', 'keys', 're')).toContain('revoke');
    expect(complete('signet', 'run', 'qa', '--str')).toEqual(['--stream']);
    expect((await signet('completion', 'zsh')).out).toMatch(/^#compdef signet\n/);
    expect((await signet('completion', 'fish')).out).toContain(
      "complete -c signet -n '__signet_at programs' -a create",
    );
    expect((await signet('completion', 'tcsh')).code).toBe(2);
  });

  it.each([
    ['an unknown command', ['programms'], 2, /unknown command 'programms'[\s\S]*programs/],
    ['an unknown option', ['programs', 'list', '--nme', 'x'], 2, /unknown option/],
    ['a missing argument', ['programs', 'get'], 2, /missing required argument/],
    ['a value that is none', ['programs', 'list', '--page-size', 'many'], 2, /--page-size must be a number/],
    [
      'a word that is none',
      ['programs', 'list', '--status', 'sleepy'],
      2,
      /`sleepy` is none of draft, initializing, ready/,
    ],
    ['JSON that is none', ['run', 'qa', '-i', '{"a":'], 2, /the input is no JSON/],
    ['a file that is not there', ['run', 'qa', '-i', '@nothing.json'], 2, /nothing\.json cannot be read \(ENOENT\)/],
    ['a duration that is none', ['me', '--timeout', 'soon'], 2, /`soon` is no duration/],
    ['an address that is none', ['me', '--address', 'nowhere'], 2, /HOST:PORT/],
    ['a request that is none', ['call', 'GetProgram', '[1]'], 2, /must be a JSON object/],
    ['a field that is none', ['call', 'GetProgram', '{"programme": "qa"}'], 2, /programme/],
    [
      'nobody who listens',
      ['me', '--address', '127.0.0.1:9', '--timeout', '600ms'],
      5,
      /^SERVICE_UNAVAILABLE The service does not answer \(connect ECONNREFUSED 127\.0\.0\.1:9\)\n/,
    ],
  ])('tells %s in plain words and by its exit code', async (_what, args, code, message) => {
    const ended = await signet(...args);
    expect([ended.code, ended.out]).toEqual([code, '']);
    expect(ended.err).toMatch(message);
    expect(ended.err).not.toMatch(/\n\s+at /);
  });
});
