import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../support/source-files.ts';

type Lock = { readonly name: string; readonly path: string };
type Setup = { makeVenv(venv: string, locks: readonly Lock[]): Promise<void>; venvPython(venv: string): string };

/** One run: where the description is, what is called, and how. */
export type SchemathesisRun = {
  /** The address of the description, or a file together with `--url` among the options. */
  readonly description: string;
  readonly key: string;
  readonly seed: number;
  /** Made-up cases for each operation, beside those that the description itself suggests. */
  readonly examples: number;
  readonly options?: readonly string[];
};

/** How a run ended; 0 means that nothing was found. */
export type SchemathesisOutcome = { readonly code: number; readonly output: string; readonly cases: number };

// Not among them: whether invalid data is refused (proto3's JSON takes null for every field) and whether valid data is taken (what fields
// demand of each other a schema does not say).
const checks = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
  'missing_required_header',
  'unsupported_method',
  'allow_header_conformance',
  'use_after_free',
  'ensure_resource_availability',
  'ignored_auth',
];

// It knows no bodies of lines by itself.
const hook = { SCHEMATHESIS_HOOKS: 'ndjson_hook', PYTHONPATH: import.meta.dirname, PYTHONDONTWRITEBYTECODE: '1' };

/** Makes the virtual environment of schemathesis, or finds it made; gives its Python. Throws with one line when it cannot be made. */
export async function ensureSchemathesis(): Promise<string> {
  // Plain JavaScript without declarations: it also runs before anything is installed.
  const setup: Setup = await import(new URL('../../services/local/setup/python.mjs', import.meta.url).href);
  const venv = join(process.env.SIGNET_DATA_DIR ?? join(ROOT, '.signet'), 'schemathesis-venv');
  await setup.makeVenv(venv, [{ name: 'schemathesis', path: join(import.meta.dirname, 'schemathesis.lock') }]);
  return setup.venvPython(venv);
}

/** Runs schemathesis in a folder of its own that goes away, with nothing of the caller's environment. */
export async function runSchemathesis(python: string, run: SchemathesisRun): Promise<SchemathesisOutcome> {
  const folder = mkdtempSync(join(tmpdir(), 'signet-schemathesis-'));
  const args = [
    ...['-m', 'schemathesis.cli', 'run', run.description, '--header', `Authorization: Bearer ${run.key}`],
    ...['--checks', checks.join(','), '--seed', String(run.seed), '--max-examples', String(run.examples)],
    ...['--suppress-health-check', 'all', '--warnings', 'off', '--request-timeout', '30', '--no-color'],
    ...(run.options ?? []),
  ];
  try {
    return await new Promise((resolve, reject) => {
      const child = spawn(python, args, {
        cwd: folder,
        env: {
          PATH: process.env.PATH ?? '',
          HOME: folder,
          NO_PROXY: '*',
          PYTHONIOENCODING: 'utf-8',
          ...hook,
          COLUMNS: '160',
        },
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: 540_000,
      });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text;
        });
      }
      child.on('error', reject);
      child.on('close', (code) => {
        resolve({ code: code ?? -1, output, cases: Number(/(\d+) generated/.exec(output)?.[1] ?? 0) });
      });
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
