import { invalidField } from '@signet/kit/error/app-error.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import { readSpec } from '../signature/signature.ts';
import { writeState } from './dspy-state.ts';
import type { ProgramVersion } from './program.ts';

/**
 * What DSPy's `program.load` reads, as JSON text: the state that the version was imported from, or one that is written out of its
 * configuration. INVALID_REQUEST for a version of another module than predict and chain_of_thought that was not imported or optimized.
 */
export function exportProgramVersion(version: ProgramVersion): string {
  if (version.dspyState !== '') return version.dspyState;
  const { configuration, signature, demos, preparation } = version;
  const { module } = configuration.registered ?? configuration;
  if (module !== 'predict' && module !== 'chain_of_thought') {
    throw invalidField(
      'version',
      `is of the module ${module}, which has no state yet: only what was imported or optimized has one`,
      'MODULE_INVALID',
    );
  }
  const state = writeState({
    module,
    spec: readSpec(signature.spec, signature.mlTypes),
    instructions: configuration.instructions || signature.description,
    demos: demos.map((demo) => parseJson(demo)),
    dialect: preparation.dialect,
  });
  return writeJson(state);
}
