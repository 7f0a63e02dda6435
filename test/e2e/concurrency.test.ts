import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProgram, demand, QA_INPUTS, readyProgram, uniqueName } from '../support/programs.ts';
import { query } from '../support/query.ts';
import { type Stack, startStack } from '../support/stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
});
afterAll(() => stack?.close());

const times = <T>(count: number, work: (at: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, at) => work(at)));

describe('under many callers at once', () => {
  it('QUA-05 lets one of 50 parallel initializations win', async () => {
    const { slug } = await createProgram(stack);
    const answers = await times(50, () => stack.http.post(`/v1/programs/${slug}:initialize`));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    const losers = answers.filter(({ status }) => status !== 200);
    expect(new Set(losers.map(({ status, body }) => `${status} ${body.reason}`))).toEqual(
      new Set(['409 STATE_FORBIDS']),
    );
    expect(demand(await stack.http.get(`/v1/programs/${slug}`), 200).status).toBe('PROGRAM_STATUS_READY');
  });

  it('QUA-05 counts 200 parallel executions as exactly 200', async () => {
    const { id, slug } = await readyProgram(stack);
    const answers = await times(200, () => stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS }));
    expect(new Set(answers.map((answer) => demand(answer, 200).executionId)).size).toBe(200);
    const stats = demand(await stack.http.get(`/v1/programs/${slug}/stats`), 200);
    expect(stats.executionCount).toBe('200');
    const sums = demand(await stack.http.get(`/v1/programs/${slug}/statistics`), 200);
    expect([sums.totalExecutions, sums.successfulExecutions]).toEqual(['200', '200']);
    const ends = await query(
      stack.databaseUrl,
      'select e.execution_id from executor.execution_ends e join executor.executions x on x.id = e.execution_id where x.program_id = $1',
      [id],
    );
    expect([ends.length, new Set(ends.map((row) => row.execution_id)).size]).toEqual([200, 200]);
  });

  it('QUA-05 finds or creates one signature under 50 parallel calls', async () => {
    const spec = `${uniqueName('f').replace('-', '_')} -> answer`;
    const answers = await times(50, () => stack.http.post('/v1/signatures:parse', { spec }));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(49);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
  });

  it('QUA-05 settles calls that exclude each other: archive against initialize, 20 times', async () => {
    await times(20, async () => {
      const { slug } = await createProgram(stack);
      const [initialized, archived] = await Promise.all([
        stack.http.post(`/v1/programs/${slug}:initialize`),
        stack.http.post(`/v1/programs/${slug}:archive`),
      ]);
      demand(archived, 200);
      expect([200, 404, 409]).toContain(initialized.status);
      const { status } = demand(await stack.http.get(`/v1/programs/${slug}?includeArchived=true`), 200);
      expect(status).toBe('PROGRAM_STATUS_ARCHIVED');
    });
  });

  it('QUA-05 ends an execution once when cancelling meets completing, 50 times', async () => {
    const { id, slug } = await readyProgram(stack);
    await times(50, async () => {
      const accepted = demand(await stack.http.post('/v1/executions', { program: slug, inputs: QA_INPUTS }), 202);
      const [cancelled] = await times(3, () => stack.http.post(`/v1/executions/${accepted.id}:cancel`));
      const ended = demand(await stack.http.get(`/v1/executions/${accepted.id}:wait?timeoutMs=10000`), 200);
      expect(cancelled?.status).toBe(200);
      expect(['EXECUTION_STATUS_COMPLETED', 'EXECUTION_STATUS_CANCELLED']).toContain(ended.status);
    });
    const doubles = await query(
      stack.databaseUrl,
      'select e.execution_id from executor.execution_ends e join executor.executions x on x.id = e.execution_id where x.program_id = $1 group by 1 having count(*) <> 1',
      [id],
    );
    expect(doubles).toEqual([]);
    const completed = await query(
      stack.databaseUrl,
      "select 1 from executor.executions where program_id = $1 and status = 'completed'",
      [id],
    );
    const stats = demand(await stack.http.get(`/v1/programs/${slug}/stats`), 200);
    expect(Number(stats.executionCount ?? 0)).toBe(completed.length);
  });

  it('QUA-05 refuses all but one of 20 updates that saw the same state', async () => {
    const { slug, etag } = await createProgram(stack);
    const headers = { 'if-match': String(etag) };
    const answers = await times(20, (at) =>
      stack.http.patch(`/v1/programs/${slug}`, { description: `${at}` }, { headers }),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 412)).toHaveLength(19);
  });
});
