import { newId } from '@signet/kit/id.ts';
import { type ExecutionEvent, ExecutionStatus as status } from '@signet/proto/gen/signet/v1/execution.ts';
import {
  ListExecutionsRequest,
  ExecutionServiceService as service,
} from '@signet/proto/gen/signet/v1/execution_service.ts';
import { describe, expect, it } from 'vitest';
import { callerContext, create, execute, json, read, wait } from '../test-support/executor.ts';
import { cancel, feedback, mockOf, plainPrograms, retry, useTestExecutor } from '../test-support/use-executor.ts';

const test = useTestExecutor(plainPrograms);

const asked = (n: number | string = 1) => json({ q: `${n}` });
const list = (request: unknown) =>
  test.peer.unary(service.listExecutions, ListExecutionsRequest.fromPartial(request as never), callerContext());

describe('reads', () => {
  it.each(['', 'x', '../../etc', newId(), newId().toUpperCase(), 'a\u0000b'])(
    'answers EXECUTION_NOT_FOUND for %j',
    async (id) => {
      const expected = { reason: 'EXECUTION_NOT_FOUND' };
      await expect(read(test, id)).rejects.toMatchObject(expected);
      await expect(wait(test, id, 10)).rejects.toMatchObject(expected);
      await expect(cancel(test, id)).rejects.toMatchObject(expected);
      await expect(retry(test, { execution: id })).rejects.toMatchObject(expected);
      await expect(
        test.peer.unary(service.deleteExecution, { execution: id, requestId: '' }, callerContext()),
      ).rejects.toMatchObject(expected);
      await expect(feedback(test, { execution: id, label: 'x' })).rejects.toMatchObject(expected);
    },
  );

  it('EXE-07 EXE-08 EXE-09 lists by program, status, label and time, page by page, newest first', async () => {
    const listed = test.registry.put({ slug: 'listed', spec: 'q: str -> a: str' });
    for (let n = 0; n < 7; n++) await execute(test, { program: 'listed', inputs: asked(n), labels: { n: `${n % 2}` } });
    await execute(test, { program: 'listed', inputs: json({}) }).catch(() => {});
    const first = await list({ program: 'listed', pageSize: 5 });
    const second = await list({ program: 'listed', pageSize: 5, pageToken: first.nextPageToken });
    expect([first.executions.length, second.executions.length, second.nextPageToken]).toEqual([5, 3, '']);
    const ids = [...first.executions, ...second.executions].map(({ id }) => id);
    expect(ids).toEqual([...ids].sort().reverse());
    const count = async (request: object) => (await list({ program: 'listed', ...request })).executions.length;
    expect(await count({ filter: 'status = failed' })).toBe(1);
    expect(await count({ filter: 'status = EXECUTION_STATUS_COMPLETED AND labels.n = "1"' })).toBe(3);
    expect(await count({ filter: 'inserted_at > "2001-01-01T00:00:00Z" AND NOT status = failed' })).toBe(7);
    expect(await count({ filter: 'inserted_at < "2001-01-01T00:00:00Z"' })).toBe(0);
    expect(await count({ status: status.EXECUTION_STATUS_FAILED })).toBe(1);
    expect(await count({ filter: `program_id = "${listed.programId}"` })).toBe(8);
    const oldest = await list({ program: 'listed', orderBy: 'inserted_at', pageSize: 1 });
    expect(oldest.executions[0]!.id).toBe(ids.at(-1));
    const recent = await test.peer.unary(service.recentExecutions, { limit: 3 }, callerContext());
    expect(recent.executions.map(({ id }) => id)).toEqual(ids.slice(0, 3));
    const foreign = list({ program: 'listed', filter: 'status = failed', pageToken: first.nextPageToken });
    await expect(foreign).rejects.toMatchObject({ reason: 'PAGE_TOKEN_INVALID' });
    const [mark] = JSON.parse(Buffer.from(first.nextPageToken, 'base64url').toString('utf8')) as string[];
    const pageToken = Buffer.from(JSON.stringify([mark, 'garbage'])).toString('base64url');
    await expect(list({ program: 'listed', pageSize: 3, pageToken })).rejects.toMatchObject({
      reason: 'PAGE_TOKEN_INVALID',
    });
  });

  it.each([
    [{ pageSize: -1 }, 'INVALID_REQUEST'],
    [{ filter: 'status == failed' }, 'FILTER_SYNTAX'],
    [{ filter: `status = 'x'; drop table executor.executions` }, 'FILTER_SYNTAX'],
    [{ orderBy: 'id; drop table x' }, 'INVALID_REQUEST'],
    [{ pageToken: 'AAAA' }, 'PAGE_TOKEN_INVALID'],
    [{ program: 'nobody' }, 'PROGRAM_NOT_FOUND'],
    [{ status: 99 }, 'INVALID_REQUEST'],
  ])('refuses to list with %j', async (request, reason) => {
    await expect(list(request)).rejects.toMatchObject({ reason });
  });

  it('EXE-08 refuses a negative limit', async () => {
    const refused = test.peer.unary(service.recentExecutions, { limit: -1 }, callerContext());
    await expect(refused).rejects.toMatchObject({ reason: 'INVALID_REQUEST' });
  });

  it('answers the present state when the time to wait is over', async () => {
    const { id } = await create(test, { program: 'slow', inputs: asked() });
    expect((await wait(test, id, 100)).status).not.toBe(status.EXECUTION_STATUS_COMPLETED);
    await cancel(test, id);
  });
});

describe('WatchExecution', () => {
  const watch = async (execution: string, afterSequence = 0n, ctx = callerContext()) => {
    const events: ExecutionEvent[] = [];
    for await (const event of test.peer.stream(service.watchExecution, { execution, afterSequence }, ctx))
      events.push(event);
    return events;
  };
  const shape = ({ sequence, event }: ExecutionEvent) =>
    `${sequence} ${event?.$case}${event?.$case === 'state' ? ` ${event.value.status}` : ''}`;

  it('tells the states of an ended execution from the beginning or from after a sequence', async () => {
    const { executionId } = await execute(test, { program: 'qa', inputs: asked() });
    const events = await watch(executionId);
    expect(events.map(shape)).toEqual(['1 state 1', '2 state 2', '3 state 3', '4 result']);
    expect((await watch(executionId, 2n)).map(shape)).toEqual(['3 state 3', '4 result']);
    expect(await watch(executionId, 4n)).toEqual([]);
  });

  it('tells a failure as the last event', async () => {
    const error = await execute(test, { program: 'qa', inputs: json({}) }).catch((e) => e);
    const last = (await watch(error.metadata.executionId)).at(-1)!.event;
    expect(last).toMatchObject({ $case: 'error', value: { code: 3, message: error.message } });
  });

  it('keeps the steps of a detached execution that nobody watched', async () => {
    const { id } = await create(test, { program: 'qa', inputs: asked('unwatched') });
    await wait(test, id);
    await expect.poll(async () => (await watch(id)).filter(({ event }) => event?.$case === 'step').length).toBe(2);
    expect((await watch(id)).some(({ event }) => event?.$case === 'token')).toBe(false);
  });

  it('tells what happens to one that runs, its text included, in order', async () => {
    test.registry.put({ slug: 'watched', spec: 'q: str -> a: str', configuration: mockOf({ latency_ms: 400 }) });
    const { id } = await create(test, { program: 'watched', inputs: asked() });
    const events = await watch(id);
    const sequences = events.map(({ sequence }) => Number(sequence));
    expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
    expect(events.at(-1)?.event?.$case).toBe('result');
    const again = await watch(id);
    expect(again.map(shape).filter((line) => line.includes('step'))).toEqual(
      events.map(shape).filter((line) => line.includes('step')),
    );
  });

  it('refuses a negative sequence and ends with its caller', async () => {
    const { id } = await create(test, { program: 'slow', inputs: asked() });
    await expect(watch(id, -1n)).rejects.toMatchObject({ reason: 'INVALID_REQUEST' });
    const controller = new AbortController();
    const watching = watch(id, 0n, callerContext({ signal: controller.signal })).catch((e) => e);
    setTimeout(() => controller.abort(), 100);
    expect(await watching).toBeInstanceOf(Error);
    await cancel(test, id);
  });
});
