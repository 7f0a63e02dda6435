import { eventually } from '@signet/kit/testing/eventually.ts';
import { type ExecutionEvent, ExecutionStatus as status } from '@signet/proto/gen/signet/v1/execution.ts';
import { ExecutionServiceService as executions } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { RuntimeServiceService as runtime, StreamProgramRequest } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { describe, expect, it } from 'vitest';
import { callerContext, json, plain, read } from '../test-support/executor.ts';
import { failing, taking } from '../test-support/scripted-engine.ts';
import { cancel } from '../test-support/use-executor.ts';
import { ref, step, steps, usePipelines } from '../test-support/use-pipelines.ts';

const { test, engine, put, run, tree } = usePipelines();

describe('RunProgram on a pipeline', () => {
  it('PRG-21 PRG-22 EXE-10 runs its steps in order as executions below one of its own', async () => {
    const program = put(
      [step('first'), step('second', { input: { x: ref('steps.first.first') }, needs: ['first'] })],
      ref('steps.second'),
    );
    const result = await run(program);
    expect(plain(result.outputs)).toEqual({ second: 'hello' });
    const made = await tree(result.executionId);
    expect(made.execution).toMatchObject({ status: status.EXECUTION_STATUS_COMPLETED, detached: true, program });
    expect(made.execution!.metrics).toMatchObject({
      tokens_in: 20,
      tokens_out: 10,
      lm_calls: 2,
      steps: 2,
      degraded: false,
    });
    expect(made.children.map(({ execution }) => [execution!.step, execution!.status])).toEqual([
      ['first', status.EXECUTION_STATUS_COMPLETED],
      ['second', status.EXECUTION_STATUS_COMPLETED],
    ]);
    expect(made.children[0]!.execution!.parentExecutionId).toBe(result.executionId);
    expect(new Set(made.children.map(({ execution }) => execution!.traceId))).toEqual(new Set([result.traceId]));
  });

  it('PIP-03 runs what needs nothing of each other at the same time', async () => {
    for (const name of ['a', 'b', 'c']) engine.acts.set(name, taking(80));
    const group = { id: 'retrieval', type: 'group', steps: [step('a'), step('b'), step('c')] };
    const program = put([group, step('d')], { found: ref('steps.retrieval'), d: ref('steps.d.d') });
    expect(plain((await run(program)).outputs)).toEqual({
      found: { a: { a: 'hello' }, b: { b: 'hello' }, c: { c: 'hello' } },
      d: 'hello',
    });
    expect(engine.running.max).toBe(4);
  });

  it('PIP-03 holds a group to its concurrency and its least number of successes', async () => {
    engine.acts.set('a', taking(20)).set('b', failing('LM_ERROR')).set('c', taking(20));
    const members = [step('a'), step('b'), step('c')];
    const group = { id: 'g', type: 'group', max_concurrency: 1, steps: members };
    const enough = put([{ ...group, min_success: 2 }], ref('steps.g'));
    expect(plain((await run(enough)).outputs)).toEqual({ a: { a: 'hello' }, c: { c: 'hello' } });
    expect(engine.running.max).toBe(1);
    const tooFew = put([{ ...group, min_success: 3 }], ref('steps.g'));
    await expect(run(tooFew)).rejects.toMatchObject({ reason: 'LM_ERROR', metadata: { step: 'g' } });
    const all = put([group], ref('steps.g'));
    await expect(run(all)).rejects.toMatchObject({ reason: 'LM_ERROR', metadata: { step: 'b' } });
  });

  it('PIP-07 runs the compensation of a step that failed and marks the run', async () => {
    engine.acts.set('generate', failing('LM_UNAVAILABLE'));
    const text = "I apologize, but I'm unable to process this request at the moment.";
    const fallback = { id: 'fallback_response', type: 'function', function: 'value', input: { response: text } };
    const program = put([step('generate', { on_error: 'compensate', compensate: fallback })], ref('steps.generate'));
    const result = await run(program);
    expect(plain(result.outputs)).toEqual({ response: text });
    expect(result.degraded).toBe(true);
    const made = await tree(result.executionId);
    expect(made.execution!.metrics).toMatchObject({ degraded: true });
    expect(steps(made)).toEqual(['fallback_response', 'generate']);
    expect(made.children.find(({ execution }) => execution!.step === 'fallback_response')!.execution).toMatchObject({
      ...{ program: 'function:value', programId: '', status: status.EXECUTION_STATUS_COMPLETED },
    });
  });

  it('PIP-07 undoes what ended well in reverse when the run fails, and tells the first failure', async () => {
    engine.acts.set('c', failing('LM_ERROR')).set('undo_b', failing('MODULE_FAILED'));
    const undo = (id: string, of: string) => step(id, { input: { x: ref(`steps.${of}.${of}`) } });
    const program = put(
      [
        step('a', { undo: undo('undo_a', 'a') }),
        step('b', { needs: ['a'], undo: undo('undo_b', 'b') }),
        step('c', { needs: ['b'], undo: undo('undo_c', 'b') }),
      ],
      ref('steps.c'),
    );
    const error = await run(program).catch((thrown) => thrown);
    expect(error).toMatchObject({ reason: 'LM_ERROR', metadata: { step: 'c' } });
    expect(engine.begun).toEqual(['a', 'b', 'c', 'undo_b', 'undo_a']);
    const made = await tree(error.metadata.executionId);
    expect(made.execution).toMatchObject({ status: status.EXECUTION_STATUS_FAILED, error: { reason: 'LM_ERROR' } });
    expect(steps(made)).toEqual(['a', 'b', 'c', 'undo_a', 'undo_b']);
  });

  it('leaves out a step whose condition is false, and one whose failure counts for nothing', async () => {
    engine.acts.set('b', failing('LM_ERROR'));
    const program = put(
      [
        step('a', { when: { $cel: 'size(input.x) > 100' } }),
        step('b', { on_error: 'skip' }),
        step('c', { needs: ['a', 'b'] }),
      ],
      { a: ref('steps.a'), b: ref('steps.b'), c: ref('steps.c.c') },
    );
    expect(plain((await run(program)).outputs)).toEqual({ a: null, b: null, c: 'hello' });
    expect(engine.begun).not.toContain('a');
  });

  it('tries a step anew so often as it says, each try an execution', async () => {
    engine.acts.set('a', failing('LM_UNAVAILABLE', 2));
    const result = await run(put([step('a', { retries: 2 })], ref('steps.a')));
    expect(plain(result.outputs)).toEqual({ a: 'hello' });
    expect(steps(await tree(result.executionId))).toEqual(['a', 'a', 'a']);
  });

  it('ends every step with its deadline, with its own time, and with a cancel', async () => {
    engine.acts.set('a', taking(60_000)).set('b', taking(60_000));
    const both = put([step('a'), step('b')], ref('steps.a'));
    const late = await run(both, { executionOptions: { timeoutMs: 100n } as never }).catch((thrown) => thrown);
    expect(late).toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    const made = await tree(late.metadata.executionId);
    expect(made.children.map(({ execution }) => execution!.error!.reason)).toEqual([
      'DEADLINE_EXCEEDED',
      'DEADLINE_EXCEEDED',
    ]);
    const short = put([step('a', { timeout_ms: 50, on_error: 'skip' })], { a: ref('steps.a') });
    expect(plain((await run(short)).outputs)).toEqual({ a: null });
    const running = run(both).catch((thrown) => thrown);
    const parent = await eventually(async () => {
      const { rows } = await test.sql.query(
        `select parent_id from executor.executions where status = 'running' and parent_id is not null`,
      );
      expect(rows).toHaveLength(2);
      return rows[0].parent_id as string;
    });
    expect((await cancel(test, parent)).status).toBe(status.EXECUTION_STATUS_CANCELLED);
    expect(await running).toMatchObject({ reason: 'CANCELLED' });
    const after = await tree(parent);
    expect(after.children.map(({ execution }) => execution!.status)).toEqual([5, 5]);
  });

  it('refuses inputs that do not fit with one FAILED row and no step', async () => {
    const error = await run(put([step('a')], ref('steps.a')), { inputs: json({ x: 1 }) }).catch((thrown) => thrown);
    expect(error).toMatchObject({ reason: 'INPUT_INVALID' });
    expect((await tree(error.metadata.executionId)).children).toEqual([]);
    expect((await read(test, error.metadata.executionId)).status).toBe(status.EXECUTION_STATUS_FAILED);
  });

  it('fails with the step whose expression fails on what there is', async () => {
    const program = put([step('a', { input: { x: { $cel: 'string(int(input.x))' } } })], ref('steps.a'));
    await expect(run(program)).rejects.toMatchObject({ reason: 'MODULE_FAILED', metadata: { step: 'a' } });
  });

  it('PIP-08 tells of each step in a stream, and the text of those that make the result', async () => {
    const program = put([step('a'), step('b', { needs: ['a'], when: { $cel: 'false' } })], ref('steps.a'));
    const events: ExecutionEvent[] = [];
    const request = { program, inputs: json({ x: 'hello' }) };
    const stream = test.peer.stream(
      runtime.streamProgram,
      StreamProgramRequest.fromPartial(request as never),
      callerContext(),
    );
    for await (const event of stream) events.push(event);
    const made = await tree(events[0]!.executionId);
    const child = made.children[0]!.execution!.id;
    const told = events.flatMap(({ event }) => (event?.$case === 'step' ? [event.value] : []));
    expect(told).toEqual([
      { execution: child, step: 'a', status: 'started' },
      { execution: child, step: 'a', status: 'completed' },
      { execution: events[0]!.executionId, step: 'b', status: 'skipped' },
    ]);
    expect(events.at(-1)!.event).toMatchObject({ $case: 'result' });
    // Steps are kept a moment after they were told.
    await eventually(async () => {
      const input = { execution: events[0]!.executionId, afterSequence: 0n };
      const later = await Array.fromAsync(test.peer.stream(executions.watchExecution, input, callerContext()));
      expect(later.flatMap(({ event }) => (event?.$case === 'step' ? [event.value] : []))).toEqual(told);
    });
  });
});
