import { join } from 'node:path';
import { ROOT } from './source-files.ts';

/** Environment that puts the signatures of `test/fixtures/python` on the allow-list, under the names of the founding tests. */
export const USER_MODULES = {
  SIGNET_PYTHON_PATH: join(ROOT, 'test', 'fixtures', 'python'),
  SIGNET_PYTHON_MODULES: [
    'AshDSPy.ML.SignatureTest.TestSignature=seed_signatures:TwoAnswers',
    'AshDSPy.ML.ProgramTest.TestSignature=seed_signatures:OneAnswer',
    'AshDSPy.Broken=seed_signatures:Broken',
    'AshDSPy.Missing=no_such_package.at_all:Nothing',
  ].join(','),
} as const;
