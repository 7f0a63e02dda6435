import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { runInForeground } from './run.mjs';
import { say } from './say.mjs';

/** Runs the tests of the TypeScript rooms, then those of the Python room. With arguments only the former, which get them. */
export async function runTests(room, args) {
  const vitest = () => inRepo(room, room.node, [bin(room, 'vitest'), 'run', ...args]);
  const pytest = () => runInForeground(room.python, ['-m', 'pytest', '-q'], { cwd: room.sidecar, env: room.env });
  return await runAll([['vitest', vitest], ...(args.length === 0 ? [['pytest', pytest]] : [])]);
}

/** Runs the tests of the stack in containers; they skip, saying why, where there is no engine. */
export async function runComposeTests(room, args) {
  return await inRepo(room, room.node, [bin(room, 'vitest'), 'run', '--config', 'vitest.compose.config.ts', ...args]);
}

/** Runs every static check and gives 1 if any of them fails. */
export async function runChecks(room) {
  const python =
    (...args) =>
    () =>
      runInForeground(room.python, ['-m', ...args], { cwd: room.sidecar, env: room.env });
  const buf =
    (...args) =>
    () =>
      runInForeground(bin(room, 'buf'), args, { cwd: join(room.root, 'proto'), env: room.env });
  return await runAll([
    ['tsc', () => inRepo(room, bin(room, 'tsc'), ['-p', '.'])],
    ['biome', () => inRepo(room, bin(room, 'biome'), ['check', '--error-on-warnings', '.'])],
    ['buf lint', buf('lint')],
    ['buf breaking', buf('breaking', '--against', 'baseline.binpb')],
    ['buf format', buf('format', '-d', '--exit-code')],
    ['generated code', () => compareGenerated(room)],
    ['ruff check', python('ruff', 'check', '.')],
    ['ruff format', python('ruff', 'format', '--check', '.')],
    ['mypy', python('mypy', '--strict', 'signet_sidecar')],
  ]);
}

/** Runs files of DSPy's cases on both engines; its own exit codes are 0, 1, 2 and 3. */
export async function runConformance(room, args) {
  const env = { ...room.env, SIGNET_PYTHON: room.env.SIGNET_PYTHON || room.python };
  return await runInForeground(room.node, [join(room.root, 'test', 'conformance', 'main.ts'), ...args], {
    cwd: process.env.INIT_CWD || process.cwd(),
    env,
  });
}

/** Generates the TypeScript and the Python from the protos. */
export async function generate(room) {
  const proto = join(room.root, 'proto');
  const code = await generateInto(room, proto);
  const script = join(room.sidecar, 'gen.sh');
  if (code !== 0 || !existsSync(script)) return code;
  return await runInForeground('sh', [script], { cwd: room.sidecar, env: { ...room.env, PYTHON: room.python } });
}

async function generateInto(room, folder) {
  const buf = (...args) => runInForeground(bin(room, 'buf'), args, { cwd: join(room.root, 'proto'), env: room.env });
  const code = await buf('generate', '-o', folder);
  return code === 0
    ? await buf('build', '--as-file-descriptor-set', '-o', join(folder, 'gen', 'descriptors.binpb'))
    : code;
}

async function compareGenerated(room) {
  const fresh = mkdtempSync(join(tmpdir(), 'signet-gen-'));
  try {
    const code = await generateInto(room, fresh);
    if (code !== 0) return code;
    const differs = await inRepo(room, 'diff', ['-rq', join(fresh, 'gen'), join(room.root, 'proto', 'gen')]);
    if (differs !== 0) say('proto/gen is not what the protos say: run `npm run gen`');
    return differs;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

async function runAll(steps) {
  const results = [];
  for (const [name, step] of steps) {
    if (process.exitCode) break;
    say(`\n— ${name}`);
    const code = await step();
    results.push([name, code]);
    // A signal ends the whole run, not one step of it.
    if (code > 128) break;
  }
  say(`\n${results.map(([name, code]) => `${code === 0 ? 'ok    ' : 'FAILED'}  ${name}`).join('\n')}`);
  return results.find(([, code]) => code !== 0)?.[1] ?? 0;
}

function bin(room, name) {
  return join(room.root, 'node_modules', '.bin', name);
}

function inRepo(room, command, args) {
  return runInForeground(command, args, { cwd: room.root, env: room.env });
}
