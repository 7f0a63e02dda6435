import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findSidecarPython, whyNoPython } from '../support/python.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

const EXAMPLES = join(import.meta.dirname, '..', '..', 'examples');
const FIRST_BUILD_MS = 300_000;

const missing = whyNoPython();
if (missing !== undefined) console.warn(`the examples are left out: ${missing}`);

/** One example: what runs it, and why it cannot be run here. */
type Example = { readonly language: string; readonly command: readonly string[]; readonly missing?: string };

const EXAMPLE_LIST: readonly Example[] = [
  { language: 'curl', command: ['bash', 'curl/qa.sh'], missing: without('curl', '--version') },
  { language: 'typescript', command: [process.execPath, 'typescript/qa.ts'] },
  {
    language: 'python',
    command: ['python/run.sh'],
    missing: without(findSidecarPython() ?? 'python3', '-m', 'grpc_tools.protoc', '--version'),
  },
  { language: 'go', command: ['go/run.sh'], missing: without('go', 'version') ?? whyOldGo() },
  { language: 'java', command: ['java/run.sh'], missing: without('mvn', '--version') ?? without('javac', '-version') },
];
for (const { language, missing: why } of EXAMPLE_LIST)
  if (why) console.warn(`the ${language} example is left out: ${why}`);

describe.skipIf(missing !== undefined)('the examples', () => {
  let stack: Stack;
  let lm: ScriptedLm;
  beforeAll(async () => {
    lm = await startScriptedLm();
    stack = await startStack({ engines: 'python', lm: lm.url });
  });
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
  });

  for (const { language, command, missing: why } of EXAMPLE_LIST) {
    it.skipIf(why !== undefined)(
      `in ${language} creates, initializes, executes, streams, and shows wrong fields and a deadline`,
      async () => {
        const { code, lines, errors } = await run(command, {
          SIGNET_URL: `http://${stack.httpAddress}`,
          SIGNET_ADDRESS: stack.grpcAddress,
          SIGNET_KEY: stack.adminKey,
          PYTHON: findSidecarPython() ?? 'python3',
        });
        expect([code, errors]).toEqual([0, errors]);
        expect(lines).toEqual([
          expect.stringMatching(new RegExp(`^created ${language}-example`)),
          'initialized READY',
          'executed COMPLETED: scripted answer',
          'streamed state',
          expect.stringMatching(/^streamed (?:step|token)$/),
          ...lines.filter((line, at) => at > 4 && /^streamed (?:state|step|token)$/.test(line)),
          'streamed result',
          'refused INPUT_INVALID',
          '  inputs.context',
          '  inputs.question',
          'late DEADLINE_EXCEEDED',
        ]);
      },
      FIRST_BUILD_MS,
    );
  }
});

function without(command: string, ...args: string[]): string | undefined {
  const { error, status } = spawnSync(command, args, { stdio: 'ignore' });
  if (error === undefined && status === 0) return undefined;
  return `\`${[command.split('/').at(-1), ...args].join(' ')}\` does not run`;
}

// Tools of a module came with 1.24; the module says what it needs beyond that, and Go ≥ 1.21 fetches it.
function whyOldGo(): string | undefined {
  const { stdout } = spawnSync('go', ['version'], { encoding: 'utf8' });
  const minor = Number(/go1\.(\d+)/.exec(stdout)?.[1] ?? 0);
  return minor >= 24 ? undefined : `Go 1.24 or newer is needed, this is ${stdout.trim()}`;
}

type Ended = { readonly code: number | null; readonly lines: string[]; readonly errors: string };

function run([command = '', ...args]: readonly string[], given: Record<string, string>): Promise<Ended> {
  const child = spawn(command.includes('/') && !command.startsWith('/') ? join(EXAMPLES, command) : command, args, {
    cwd: EXAMPLES,
    env: { ...process.env, ...given },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const late = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), FIRST_BUILD_MS - 10_000);
  const lines: string[] = [];
  let errors = '';
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    errors += chunk;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(late);
      resolve({ code, lines, errors });
    });
  });
}
