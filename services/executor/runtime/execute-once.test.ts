import { newId } from '@signet/kit/id.ts';
import { describe, expect, it } from 'vitest';
import { callerContext, execute, json, plain } from '../test-support/executor.ts';
import { useTestExecutor } from '../test-support/use-executor.ts';

const test = useTestExecutor([
  { slug: 'qa', spec: 'question: str, context: list[str] = [] -> answer: str, confidence: float' },
]);
const question = json({ question: 'why?' });

describe('ExecuteProgram under a request_id', () => {
  it('makes one execution of equal calls with one request_id, and refuses another request under it', async () => {
    const request = { program: 'qa', inputs: question, requestId: newId() };
    const results = await Promise.all(Array.from({ length: 20 }, () => execute(test, request)));
    expect(new Set(results.map(({ executionId }) => executionId)).size).toBe(1);
    expect(test.mock.runs).toBe(1);
    expect(plain((await execute(test, request)).outputs)).toEqual(plain(results[0]!.outputs));
    const other = execute(test, { ...request, inputs: json({ question: 'another' }) });
    await expect(other).rejects.toMatchObject({ reason: 'IDEMPOTENCY_KEY_REUSED' });
    const stranger = { keyId: 'key-2', name: 'other', role: 'runner' } as const;
    const elsewhere = await execute(test, request, callerContext({ principal: stranger }));
    expect(elsewhere.executionId).not.toBe(results[0]!.executionId);
  });

  it('answers a repeat of a call that failed with the same failure', async () => {
    const request = { program: 'qa', inputs: json({ q: 1 }), requestId: newId() };
    const first = await execute(test, request).catch((e) => e);
    const second = await execute(test, request).catch((e) => e);
    expect(second).toMatchObject({ reason: 'INPUT_INVALID', message: first.message });
    expect(second.metadata.executionId).toBe(first.metadata.executionId);
    expect(second.fieldViolations).toEqual(first.fieldViolations);
  });
});
