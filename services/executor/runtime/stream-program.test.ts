import { eventually } from '@signet/kit/testing/eventually.ts';
import { type ExecutionEvent, ExecutionStatus } from '@signet/proto/gen/signet/v1/execution.ts';
import { RuntimeServiceService as runtime, StreamProgramRequest } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { describe, expect, it } from 'vitest';
import { callerContext, json, plain, read } from '../test-support/executor.ts';
import { mockOf, useTestExecutor } from '../test-support/use-executor.ts';

const test = useTestExecutor();

describe('StreamProgram', () => {
  const stream = async (request: unknown, ctx = callerContext()) => {
    const events: ExecutionEvent[] = [];
    for await (const event of test.peer.stream(
      runtime.streamProgram,
      StreamProgramRequest.fromPartial(request as never),
      ctx,
    )) {
      events.push(event);
    }
    return events;
  };

  it('tells states, steps and text in order, then the result', async () => {
    test.registry.put({ slug: 'streamed', spec: 'q: str -> a: str, n: int' });
    const events = await stream({ program: 'streamed', inputs: json({ q: '1' }) });
    const kinds = events.map(({ event }) => event?.$case);
    expect(kinds.slice(0, 3)).toEqual(['state', 'state', 'step']);
    expect(kinds.at(-1)).toBe('result');
    const sequences = events.map(({ sequence }) => Number(sequence));
    expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
    const text = events.map(({ event }) => (event?.$case === 'token' ? event.value.text : '')).join('');
    const last = events.at(-1)!.event;
    const outputs = last?.$case === 'result' ? plain(last.value.outputs) : {};
    expect(outputs.a).toBe(text);
    expect(events.every(({ executionId }) => executionId === events[0]!.executionId)).toBe(true);
    expect((await read(test, events[0]!.executionId)).status).toBe(ExecutionStatus.EXECUTION_STATUS_COMPLETED);
  });

  it('ends with the error, after its row is written', async () => {
    test.registry.put({ slug: 'stream-fails', spec: 'q -> a', configuration: mockOf({ error: 'LM_RATE_LIMITED' }) });
    const error = await stream({ program: 'stream-fails', inputs: json({ q: '1' }) }).catch((e) => e);
    expect(error).toMatchObject({ reason: 'LM_RATE_LIMITED' });
    expect((await read(test, error.metadata.executionId)).error?.reason).toBe('LM_RATE_LIMITED');
    await expect(stream({ program: 'streamed', inputs: json({ z: 1 }) })).rejects.toMatchObject({
      reason: 'INPUT_INVALID',
    });
  });

  it('cancels the execution when the reader leaves', async () => {
    test.registry.put({ slug: 'left', spec: 'q: str -> a: str', configuration: mockOf({ latency_ms: 20_000 }) });
    const request = StreamProgramRequest.fromPartial({ program: 'left', inputs: json({ q: '1' }) as never });
    let id = '';
    for await (const event of test.peer.stream(runtime.streamProgram, request, callerContext())) {
      id = event.executionId;
      break;
    }
    await eventually(async () =>
      expect((await read(test, id)).status).toBe(ExecutionStatus.EXECUTION_STATUS_CANCELLED),
    );
  });
});
