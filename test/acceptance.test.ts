import { describe, expect, it } from 'vitest';
import { idsIn, readSuites } from './support/test-names.ts';

/** What one criterion rests on: requirements, each carried by a test's name, and suites that are there for it. */
type Ground = { readonly criterion: string; readonly ids: readonly string[]; readonly suites: readonly string[] };

const of = (criterion: string, ids: string, ...suites: string[]): Ground => ({
  criterion,
  ids: ids.split(' '),
  suites,
});

const SUCCESS: readonly Ground[] = [
  of(
    'all resources keep their data right',
    'DOM-01 SIG-01 PRG-01 EXE-01',
    'test/e2e/signatures.test.ts',
    'test/e2e/programs.test.ts',
  ),
  of(
    'signatures work with everything',
    'SIG-15 SIG-16 SIG-22',
    'test/e2e/signatures.test.ts',
    'test/e2e/python.test.ts',
  ),
  of('programs live as they should', 'PRG-04 PRG-08 PRG-09', 'test/e2e/programs.test.ts'),
  of(
    'executions are tracked whole',
    'EXE-01 EXE-05 EXE-06',
    'test/e2e/executions.test.ts',
    'test/telemetry/one-trace.test.ts',
  ),
  of('verbs handle what is complex', 'PRG-11 PRG-12 PRG-17', 'test/e2e/runtime.test.ts', 'test/e2e/python.test.ts'),
  of('interfaces are clean', 'PRG-24 QUA-01', 'test/contract/every-rpc.test.ts', 'test/contract/schemathesis.test.ts'),
  of(
    'migrations are safe',
    'MIG-01 MIG-02 MIG-03 MIG-04',
    'services/registry/db/migrate.test.ts',
    'services/executor/db/migrate.test.ts',
  ),
  of('everything is tested', 'TST-01 TST-02 TST-03', 'test/requirements.test.ts', 'test/e2e/bad-input.test.ts'),
  of('it is fast enough for models', 'QUA-05', 'test/e2e/concurrency.test.ts', 'test/faults/under-load.test.ts'),
  of(
    'it works with its surroundings',
    'ADP-01 ADP-02',
    'test/contract/reflection.test.ts',
    'test/telemetry/one-trace.test.ts',
  ),
];

const QUALITY: readonly Ground[] = [
  of('data integrity', 'EXE-05 QUA-05', 'test/e2e/concurrency.test.ts', 'test/faults/fence.test.ts'),
  of('performance', 'QUA-01', 'test/e2e/tracked.test.ts'),
  of('reliability', 'ERR-01 ERR-03', 'test/faults/kill.test.ts', 'test/faults/lost-commits.test.ts'),
  of('usability', 'PRG-24', 'test/e2e/first-minute.test.ts', 'test/e2e/bad-input.test.ts'),
  of('testability', 'TST-01', 'test/requirements.test.ts'),
  of(
    'documentation',
    'QUA-01',
    'test/docs/docs.test.ts',
    'test/e2e/docs-page.test.ts',
    'test/contract/every-rpc.test.ts',
  ),
  of('migration safety', 'MIG-03', 'services/registry/db/migrate.test.ts', 'services/executor/db/migrate.test.ts'),
];

const INTEGRATION: readonly Ground[] = [
  of('signatures validate', 'SIG-22', 'test/e2e/signatures.test.ts', 'test/e2e/bad-input.test.ts'),
  of(
    'backends are behind one port',
    'ADP-01 ADP-02 ADP-03',
    'services/executor/engine/mock.test.ts',
    'test/e2e/python.test.ts',
  ),
  of(
    'configuration decides where data is',
    'MIG-01',
    'test/e2e/platform.test.ts',
    'services/registry/db/migrate.test.ts',
  ),
  of('metrics and monitoring', 'QUA-02', 'test/telemetry/one-trace.test.ts', 'test/e2e/tracked.test.ts'),
  of('operations at once are safe', 'QUA-05', 'test/e2e/concurrency.test.ts', 'test/faults/under-load.test.ts'),
];

describe('what acceptance rests on', () => {
  const suites = readSuites();
  const named = new Set([...suites.values()].flat().flatMap(idsIn));

  it.each(SUCCESS)('QUA-06 success: $criterion', stands);
  it.each(QUALITY)('QUA-01 quality: $criterion', stands);
  it.each(INTEGRATION)('QUA-04 integration: $criterion', stands);

  it('is ten criteria, seven qualities, five points', () => {
    expect([SUCCESS.length, QUALITY.length, INTEGRATION.length]).toEqual([10, 7, 5]);
  });

  function stands({ ids, suites: wanted }: Ground): void {
    expect(ids.filter((id) => !named.has(id))).toEqual([]);
    const about = ['test/requirements.test.ts'];
    expect(wanted.filter((path) => !about.includes(path) && (suites.get(path)?.length ?? 0) < 2)).toEqual([]);
  }
});
