import { eventually } from '@signet/kit/testing/eventually.ts';
import { ExecutionStatus as status } from '@signet/proto/gen/signet/v1/execution.ts';
import { RunProgramRequest, RuntimeServiceService as runtime } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { describe, expect, it } from 'vitest';
import { callerContext, json, plain, read, startTestExecutor } from '../test-support/executor.ts';
import { failing, taking } from '../test-support/scripted-engine.ts';
import { ref, step, steps, usePipelines } from '../test-support/use-pipelines.ts';

const { test, engine, put, run, tree, running } = usePipelines();

describe('a pipeline whose process is gone', () => {
  it('goes on behind what was kept when the process is lost, and runs no kept step again', async () => {
    engine.acts.set('slow', taking(60_000));
    const program = put(
      [
        step('a'),
        step('b', { needs: ['a'], input: { x: ref('steps.a.a') } }),
        step('slow', { needs: ['b'], input: { x: ref('steps.b.b') } }),
        step('last', { needs: ['slow'], input: { x: ref('steps.slow.slow') } }),
      ],
      ref('steps.last'),
    );
    const lost = run(program).catch((thrown) => thrown);
    await eventually(() => expect(engine.begun).toEqual(['a', 'b', 'slow']));
    await eventually(async () => expect(await running()).toBe(2));
    engine.acts.delete('slow');
    await test.sql.query(`update executor.executions set lease_until = now() - interval '1 second', lease_token = lease_token + 1
      where status = 'running'`);
    expect(await lost).toMatchObject({ reason: 'WORKER_LOST' });
    const id = (await lost).metadata.executionId;
    await eventually(async () => expect((await read(test, id)).status).toBe(status.EXECUTION_STATUS_COMPLETED), 15_000);
    expect(engine.begun.filter((name) => name !== 'slow')).toEqual(['a', 'b', 'last']);
    const made = await tree(id);
    expect(plain(made.execution!.outputs)).toEqual({ last: 'hello' });
    expect(made.execution).toMatchObject({ attempts: 2, workerLosses: 1 });
    expect(made.execution!.metrics).toMatchObject({ steps: 4, lm_calls: 4 });
    expect(steps(made)).toEqual(['a', 'b', 'last', 'slow']);
  });

  it('comes to the same failure, and goes on undoing, when the process is lost while a failed run is undone', async () => {
    engine.acts.set('bad', failing('LM_ERROR')).set('slow', taking(60_000)).set('undo_b', taking(60_000));
    const undo = (id: string, of: string) => step(id, { input: { x: ref(`steps.${of}.${of}`) } });
    const program = put(
      [
        step('a', { undo: undo('undo_a', 'a') }),
        step('b', { needs: ['a'], undo: undo('undo_b', 'b') }),
        step('slow', { needs: ['b'] }),
        step('bad', { needs: ['b'] }),
      ],
      ref('steps.bad'),
    );
    const lost = run(program).catch((thrown) => thrown);
    await eventually(() => expect(engine.begun).toContain('undo_b'));
    await eventually(async () => expect(await running()).toBe(2));
    engine.acts.delete('undo_b');
    await test.sql.query(`update executor.executions set lease_until = now() - interval '1 second', lease_token = lease_token + 1
      where status = 'running'`);
    const id = (await lost).metadata.executionId;
    await eventually(async () => expect((await read(test, id)).status).toBe(status.EXECUTION_STATUS_FAILED), 15_000);
    expect((await read(test, id)).error).toMatchObject({ reason: 'LM_ERROR' });
    expect(engine.begun.filter((name) => name !== 'undo_b').sort()).toEqual(['a', 'b', 'bad', 'slow', 'undo_a']);
    expect(steps(await tree(id))).toEqual(['a', 'b', 'bad', 'slow', 'undo_a', 'undo_b']);
  });

  it('is handed to another executor when its own stops, and takes its steps along', async () => {
    engine.acts.set('slow', taking(60_000));
    const program = put([step('a'), step('slow', { needs: ['a'] })], ref('steps.slow'));
    const other = await startTestExecutor(test.databaseUrl, {
      registry: test.registry,
      parts: { engines: [engine], graceMs: 50 },
    });
    const request = RunProgramRequest.fromPartial({ program, inputs: json({ x: 'hello' }) } as never);
    const left = other.peer.unary(runtime.runProgram, request, callerContext()).catch((thrown) => thrown);
    await eventually(() => expect(engine.begun).toEqual(['a', 'slow']));
    await eventually(async () => expect(await running()).toBe(2));
    engine.acts.delete('slow');
    await other.app.close();
    const { rows } = await test.sql.query('select id from executor.executions where slug = $1', [program]);
    await eventually(async () => expect((await read(test, rows[0].id)).status).toBe(status.EXECUTION_STATUS_COMPLETED));
    expect((await read(test, rows[0].id)).workerLosses).toBe(0);
    expect(engine.begun).toEqual(['a', 'slow', 'slow']);
    expect(await left).toMatchObject({ reason: expect.stringMatching(/SHUTTING_DOWN|SERVICE_UNAVAILABLE|CANCELLED/) });
    other.peer.close();
  });
});
