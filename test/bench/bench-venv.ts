import { join } from 'node:path';

type Lock = { readonly name: string; readonly path: string };
type Setup = { makeVenv(venv: string, locks: readonly Lock[]): Promise<void>; venvPython(venv: string): string };

const ROOT = join(import.meta.dirname, '..', '..');

/**
 * Makes the virtual environment of the comparisons, or finds it made: the sidecar's packages, and FastAPI with uvicorn and aiohttp. Gives
 * its Python. Throws with one line when it cannot be made.
 */
export async function ensureBenchVenv(dataDir: string): Promise<string> {
  // Plain JavaScript without declarations: it also runs before anything is installed.
  const setup: Setup = await import(new URL('../../services/local/setup/python.mjs', import.meta.url).href);
  const venv = join(dataDir, 'bench-venv');
  await setup.makeVenv(venv, [
    { name: 'requirements', path: join(ROOT, 'python-sidecar', 'requirements.lock') },
    { name: 'bench', path: join(import.meta.dirname, 'requirements.txt') },
  ]);
  return setup.venvPython(venv);
}
