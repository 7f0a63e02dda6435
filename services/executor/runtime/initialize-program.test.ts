import { newId } from '@signet/kit/id.ts';
import { AdapterType, Engine } from '@signet/proto/gen/signet/v1/common.ts';
import { ProgramStatus } from '@signet/proto/gen/signet/v1/program.ts';
import { QuickExecuteRequest, RuntimeServiceService as runtime } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { describe, expect, it } from 'vitest';
import { callerContext, execute, json } from '../test-support/executor.ts';
import { mockOf, useTestExecutor } from '../test-support/use-executor.ts';

const test = useTestExecutor();

describe('InitializeProgram', () => {
  const initialize = (program: string, requestId = '') =>
    test.peer.unary(runtime.initializeProgram, { program, requestId }, callerContext());
  const draft = { spec: 'q: str -> a: str', status: ProgramStatus.PROGRAM_STATUS_DRAFT };

  it('PRG-10 ADP-03 makes a draft ready under a name that is not empty', async () => {
    test.registry.put({ slug: 'to-start', ...draft });
    const program = await initialize('to-start');
    expect(program).toMatchObject({ status: ProgramStatus.PROGRAM_STATUS_READY });
    expect(program.dspyProgramId).not.toBe('');
    await expect(execute(test, { program: 'to-start', inputs: json({ q: '1' }) })).resolves.toHaveProperty(
      'executionId',
    );
  });

  it('PRG-10 answers the program in ERROR when it cannot be prepared', async () => {
    test.registry.put({ slug: 'never', ...draft, configuration: mockOf({ prepare_error: 'no such thing' }) });
    expect(await initialize('never')).toMatchObject({
      status: ProgramStatus.PROGRAM_STATUS_ERROR,
      errorMessage: 'no such thing',
    });
    test.registry.put({ slug: 'native', ...draft, adapterType: AdapterType.ADAPTER_TYPE_NATIVE });
    const native = await initialize('native');
    expect(native.errorMessage).toMatch(/^The native engine is not available yet: /);
  });

  it('QUA-05 lets one of 50 parallel calls win, and makes equal ones with a request_id one', async () => {
    test.registry.put({ slug: 'raced', ...draft });
    const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => initialize('raced')));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    test.registry.put({ slug: 'repeated', ...draft });
    const requestId = newId();
    const answers = await Promise.all(Array.from({ length: 5 }, () => initialize('repeated', requestId)));
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
  });
});

describe('QuickExecute', () => {
  const quick = (request: unknown) =>
    test.peer.unary(runtime.quickExecute, QuickExecuteRequest.fromPartial(request as never), callerContext());

  it('PRG-24 runs a signature on the mock engine, makes its program once and says which engine it was', async () => {
    const request = { signatureSpec: 'question -> answer', inputs: json({ question: '1' }) };
    const results = await Promise.all(Array.from({ length: 10 }, () => quick(request)));
    expect(new Set(results.map(({ programId }) => programId)).size).toBe(1);
    expect(results.every(({ engine }) => engine === Engine.ENGINE_MOCK)).toBe(true);
  });

  it('refuses none and both of spec and module', async () => {
    await expect(quick({ inputs: json({}) })).rejects.toMatchObject({ reason: 'INVALID_REQUEST' });
    const both = { signatureSpec: 'q -> a', signatureModule: 'A.B', inputs: json({}) };
    await expect(quick(both)).rejects.toMatchObject({ reason: 'INVALID_REQUEST' });
  });
});
