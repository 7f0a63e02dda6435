import { existsSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

/** The Python that runs the sidecar: SIGNET_PYTHON, or that of the data folder's virtual environment; undefined if there is none. */
export function findSidecarPython(): string | undefined {
  const given = process.env.SIGNET_PYTHON;
  if (given) return given;
  const path = join(process.env.SIGNET_DATA_DIR ?? join(ROOT, '.signet'), 'venv', 'bin', 'python');
  return existsSync(path) ? path : undefined;
}

/** Why suites with Python are left out here; undefined where they can run. */
export function whyNoPython(): string | undefined {
  if (findSidecarPython() !== undefined) return undefined;
  return 'no virtual environment for the sidecar: run `npm test`, which makes it, or set SIGNET_PYTHON';
}
