import {
  type ExecutionTree,
  ExecutionServiceService as executions,
} from '@signet/proto/gen/signet/v1/execution_service.ts';
import { RunProgramRequest, RuntimeServiceService as runtime } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { beforeEach } from 'vitest';
import type { ExecutorConfig } from '../config.ts';
import { callerContext, json } from './executor.ts';
import { createScriptedEngine } from './scripted-engine.ts';
import { useTestExecutor } from './use-executor.ts';

/** Gives a test file an executor whose engine is scripted, and what runs pipelines on it. */
export function usePipelines(config?: Partial<ExecutorConfig>) {
  const engine = createScriptedEngine();
  const test = useTestExecutor([], { engines: [engine], graceMs: 300 }, config);
  let count = 0;

  beforeEach(() => {
    engine.acts.clear();
    engine.begun.length = 0;
    engine.running.max = 0;
  });

  function put(steps: unknown[], result: unknown): string {
    const slug = `pipeline-${count++}`;
    const pipeline = { inputs: 'x: str', steps, return: result };
    test.registry.put({ slug, spec: 'x: str -> result: str', pipeline });
    return slug;
  }

  function run(program: string, more: Partial<RunProgramRequest> = {}, ctx = callerContext()) {
    const request = RunProgramRequest.fromPartial({ program, inputs: json({ x: 'hello' }), ...more } as never);
    return test.peer.unary(runtime.runProgram, request, ctx);
  }

  function tree(execution: string): Promise<ExecutionTree> {
    return test.peer.unary(executions.getExecutionTree, { execution }, callerContext());
  }

  async function running(): Promise<number> {
    const { rows } = await test.sql.query(
      `select count(*)::int as n from executor.executions where status = 'running'`,
    );
    return rows[0].n;
  }

  return { test, engine, put, run, tree, running };
}

/** The value at a path of a run. */
export const ref = (path: string) => ({ $ref: path });

/** A step that gives its input `x` back under its own name. */
export function step(id: string, more: Record<string, unknown> = {}) {
  return { id, type: 'signature', signature: `x: str -> ${id}: str`, input: { x: ref('input.x') }, ...more };
}

/** The names of the steps of a run, sorted. */
export const steps = (made: ExecutionTree) => made.children.map(({ execution }) => execution!.step).sort();
