import { eventually } from '@signet/kit/testing/eventually.ts';
import { Engine } from '@signet/proto/gen/signet/v1/common.ts';
import { ExecutionStatus } from '@signet/proto/gen/signet/v1/execution.ts';
import { ProgramStatus } from '@signet/proto/gen/signet/v1/program.ts';
import { describe, expect, it } from 'vitest';
import { callerContext, execute, json, plain, read } from '../test-support/executor.ts';
import { mockOf, useTestExecutor } from '../test-support/use-executor.ts';

const test = useTestExecutor([
  { slug: 'qa', spec: 'question: str, context: list[str] = [] -> answer: str, confidence: float' },
  { slug: 'numbers', spec: 'n: int, f: float, rest: Any = null -> answer: str' },
  { slug: 'lenient', spec: 'n: int -> answer: str', strictMode: false },
  { slug: 'slow', spec: 'q: str -> a: str', configuration: mockOf({ latency_ms: 30_000 }) },
]);

const question = json({ question: 'why?' });

async function rowCount(slug: string): Promise<number> {
  const { rows } = await test.sql.query('select count(*)::int as n from executor.executions where slug = $1', [slug]);
  return rows[0].n;
}

describe('ExecuteProgram', () => {
  it('PRG-14 EXE-13 C-4 answers with outputs that fit and leaves one completed row', async () => {
    const before = await rowCount('qa');
    const result = await execute(test, { program: 'qa', inputs: question });
    expect(result).toMatchObject({
      status: ExecutionStatus.EXECUTION_STATUS_COMPLETED,
      engine: Engine.ENGINE_MOCK,
      version: 1,
    });
    expect(result.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(plain(result.outputs)).toEqual({ answer: expect.any(String), confidence: expect.any(Number) });
    expect(await rowCount('qa')).toBe(before + 1);
    const row = await read(test, result.executionId);
    expect(row).toMatchObject({ status: result.status, program: 'qa', detached: false, attempts: 1, errorMessage: '' });
    expect(plain(row.inputs)).toEqual({ question: 'why?', context: [] });
    expect(plain(row.outputs)).toEqual(plain(result.outputs));
  });

  it('EXE-12 EXE-15 keeps metadata, metrics and trace', async () => {
    const { executionId } = await execute(test, {
      program: 'qa',
      inputs: question,
      labels: { team: 'blue' },
      metadata: { ticket: 7, adapter_type: 'mine' },
      executionOptions: {
        timeoutMs: 5000n,
        maxRetries: 1,
        engine: Engine.ENGINE_MOCK,
        version: 0,
        lm: '',
        routingStrategy: 0,
        shadow: 0,
        cacheScope: 0,
        versionLabel: '',
        stickyKey: '',
      },
    });
    const row = await read(test, executionId);
    const options = { timeout_ms: 5000, max_retries: 1, engine: 'mock' };
    expect(row.metadata).toEqual({ ticket: 7, adapter_type: 'mock', options });
    expect(row.labels).toEqual({ team: 'blue' });
    expect(row.metrics).toMatchObject({ tokens_in: 0, tokens_out: 0, lm_calls: 0, attempts: 1 });
    expect(row.trace).toEqual([expect.objectContaining({ step: 'predict', implementation: 'mock', error: null })]);
  });

  it('answers in the form in which it was asked, and reads in the one that is asked for', async () => {
    const asStruct = await execute(test, {
      program: 'qa',
      inputs: { kind: { $case: 'struct', value: { question: 'x' } } },
    });
    expect(asStruct.outputs?.kind?.$case).toBe('struct');
    const asJson = await execute(test, { program: 'qa', inputs: json({ question: 'x' }) });
    expect(asJson.outputs?.kind?.$case).toBe('json');
    expect(plain(asJson.outputs)).toEqual(plain(asStruct.outputs));
  });

  it('SIG-22 runs and stores the inputs as checked, every digit kept', async () => {
    const text = '{"n":90071992547409931234,"f":0.1000000000000000055,"rest":[1.50,{"__proto__":1e400000000000000}]}';
    const refused = execute(test, { program: 'numbers', inputs: json(text) });
    await expect(refused).rejects.toMatchObject({ reason: 'INPUT_INVALID' });
    const good = text.replace('1e400000000000000', '1e40');
    const { executionId } = await execute(test, { program: 'numbers', inputs: json(good) });
    const { rows } = await test.sql.query('select inputs::text as inputs from executor.executions where id = $1', [
      executionId,
    ]);
    expect(rows[0].inputs).toBe(good);
    const lenient = await execute(test, { program: 'lenient', inputs: json('{"n":"12","other":1}') });
    expect(plain((await read(test, lenient.executionId)).inputs)).toEqual({ n: 12 });
  });

  it('PRG-12 ERR-01 C-4 refuses inputs that do not fit with all violations, and leaves a FAILED row', async () => {
    const error = await execute(test, { program: 'qa', inputs: json({ questoin: 1, context: ['a', 2] }) }).catch(
      (e) => e,
    );
    expect(error).toMatchObject({ reason: 'INPUT_INVALID' });
    expect(error.message).toMatch(/^Input validation failed: inputs\.question: /);
    expect(error.fieldViolations.map(({ field }: { field: string }) => field)).toEqual([
      'inputs.question',
      'inputs.context[1]',
      'inputs.questoin',
    ]);
    const row = await read(test, error.metadata.executionId);
    expect(row).toMatchObject({
      status: ExecutionStatus.EXECUTION_STATUS_FAILED,
      error: { reason: 'INPUT_INVALID', category: 'input', retryable: false },
      errorMessage: error.message,
    });
    expect(test.mock.runs).toBe(0);
  });

  it.each([
    ['a NUL', '{"question":"a\\u0000b"}'],
    ['half a surrogate pair', '{"question":"\\ud800"}'],
    ['33 levels', `{"question":"q","context":${'['.repeat(33)}${']'.repeat(33)}}`],
    ['a number beyond all bounds', '{"question":1e999}'],
    ['a key twice', '{"question":"a","question":"b"}'],
    ['__proto__', '{"question":"a","__proto__":{"x":1}}'],
    ['a list', '["question"]'],
    ['no JSON', '{"question":'],
    ['nothing', ''],
    ['NaN', '{"question":NaN}'],
    ['a raw NUL', '{"question":"a\u0000b"}'],
  ])('refuses inputs with %s as INPUT_INVALID, and can show the row', async (_name, text) => {
    const error = await execute(test, { program: 'qa', inputs: json(text) }).catch((e) => e);
    expect(error).toMatchObject({ reason: 'INPUT_INVALID' });
    expect(error.fieldViolations.length).toBeGreaterThan(0);
    expect((await read(test, error.metadata.executionId)).error?.reason).toBe('INPUT_INVALID');
  });

  it('refuses inputs that are not UTF-8 as INPUT_INVALID', async () => {
    const value = Buffer.from([0x7b, 0x22, 0x71, 0x22, 0x3a, 0x22, 0xff, 0x22, 0x7d]);
    const error = await execute(test, { program: 'qa', inputs: { kind: { $case: 'json', value } } }).catch((e) => e);
    expect(error).toMatchObject({ reason: 'INPUT_INVALID' });
    expect((await read(test, error.metadata.executionId)).error?.reason).toBe('INPUT_INVALID');
  });

  it.each([
    ['no inputs', { program: 'qa' }, 'INVALID_REQUEST'],
    ['an unknown program', { program: 'nobody', inputs: question }, 'PROGRAM_NOT_FOUND'],
    [
      'a version that is not there',
      { program: 'qa', inputs: question, executionOptions: { version: 9 } },
      'VERSION_NOT_FOUND',
    ],
    ['a negative version', { program: 'qa', inputs: question, executionOptions: { version: -1 } }, 'INVALID_REQUEST'],
    ['an unknown model', { program: 'qa', inputs: question, executionOptions: { lm: 'gpt' } }, 'LM_NOT_FOUND'],
    ['11 retries', { program: 'qa', inputs: question, executionOptions: { maxRetries: 11 } }, 'INVALID_REQUEST'],
    ['a negative time', { program: 'qa', inputs: question, executionOptions: { timeoutMs: -1n } }, 'INVALID_REQUEST'],
    ['a forbidden engine', { program: 'qa', inputs: question, executionOptions: { engine: 1 } }, 'INVALID_REQUEST'],
    ['an unknown engine', { program: 'qa', inputs: question, executionOptions: { engine: 77 } }, 'INVALID_REQUEST'],
    ['a bad label', { program: 'qa', inputs: question, labels: { 'Bad Key': 'x' } }, 'INVALID_REQUEST'],
    ['a NUL in metadata', { program: 'qa', inputs: question, metadata: { a: 'x\u0000' } }, 'INVALID_REQUEST'],
    ['an unprintable request_id', { program: 'qa', inputs: question, requestId: 'a\nb' }, 'INVALID_REQUEST'],
    ['a long request_id', { program: 'qa', inputs: question, requestId: 'a'.repeat(129) }, 'INVALID_REQUEST'],
  ])('refuses %s and leaves no row', async (_name, request, reason) => {
    const before = await rowCount('qa');
    await expect(execute(test, request as never)).rejects.toMatchObject({ reason });
    expect(await rowCount('qa')).toBe(before);
  });

  it('PRG-11 EXE-14 refuses programs that are not ready, word for word, and leaves no row', async () => {
    test.registry.put({ slug: 'draft', spec: 'q -> a', status: ProgramStatus.PROGRAM_STATUS_DRAFT });
    test.registry.put({ slug: 'broken', spec: 'q -> a', status: ProgramStatus.PROGRAM_STATUS_ERROR });
    test.registry.change('broken', { errorMessage: 'no such module' });
    const refuse = (program: string) => execute(test, { program, inputs: json({ q: '1' }) });
    await expect(refuse('draft')).rejects.toMatchObject({
      reason: 'PROGRAM_NOT_READY',
      message: 'Program not ready for execution (status: draft)',
    });
    await expect(refuse('broken')).rejects.toMatchObject({ message: 'Program is in error state: no such module' });
    expect(await rowCount('draft')).toBe(0);
  });

  it('EXE-14 ERR-03 hides an unexpected failure from callers and keeps it for admins', async () => {
    test.registry.put({ slug: 'breaks', spec: 'q -> a', configuration: mockOf({ error: 'secret of the house' }) });
    const error = await execute(test, { program: 'breaks', inputs: json({ q: '1' }) }).catch((e) => e);
    expect(error).toMatchObject({ reason: 'INTERNAL', message: 'An unexpected error occurred' });
    expect(error.metadata.error_id).toMatch(/^[0-9a-f-]{36}$/);
    const id = error.metadata.executionId;
    expect((await read(test, id)).error?.traceback).toBe('');
    const seen = await read(test, id, callerContext({ role: 'admin' }));
    expect(seen.error?.traceback).toContain(
      'Execution exception: the mock engine was told to break: secret of the house',
    );
    expect(seen.status).toBe(ExecutionStatus.EXECUTION_STATUS_FAILED);
  });

  it('ends at its deadline as FAILED, whoever set it', async () => {
    const own = { program: 'slow', inputs: json({ q: '1' }), executionOptions: { timeoutMs: 100n } };
    const error = await execute(test, own as never).catch((e) => e);
    expect(error).toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    const row = await read(test, error.metadata.executionId);
    expect(row).toMatchObject({ status: ExecutionStatus.EXECUTION_STATUS_FAILED, error: { category: 'deadline' } });
    const caller = callerContext({ deadlineMs: Date.now() + 1000 });
    const late = await execute(test, { program: 'slow', inputs: json({ q: '2' }) }, caller).catch((e) => e);
    // The answer comes before the caller's own clock cuts the line: it names the execution.
    expect(late).toMatchObject({ reason: 'DEADLINE_EXCEEDED', metadata: { executionId: expect.any(String) } });
    await eventually(async () => {
      const { rows } = await test.sql.query(`select status, error ->> 'reason' as reason from executor.executions
        where slug = 'slow' order by id desc limit 1`);
      expect(rows[0]).toEqual({ status: 'failed', reason: 'DEADLINE_EXCEEDED' });
    });
  });

  it('ends as CANCELLED when its caller goes away', async () => {
    const controller = new AbortController();
    const running = execute(
      test,
      { program: 'slow', inputs: json({ q: 'gone' }) },
      callerContext({ signal: controller.signal }),
    );
    await eventually(async () => expect(test.mock.runs).toBe(1));
    controller.abort();
    await expect(running).rejects.toThrow();
    await eventually(async () => {
      const { rows } = await test.sql.query(
        `select status from executor.executions where slug = 'slow' order by id desc limit 1`,
      );
      expect(rows[0]).toEqual({ status: 'cancelled' });
    });
  });
});
