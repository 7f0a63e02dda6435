import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProgram, demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { query } from '../support/query.ts';
import { type Stack, startStack } from '../support/stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
});
afterAll(() => stack?.close());

const programs = (where: string, values: unknown[]) =>
  query(stack.databaseUrl, `select * from registry.cognitive_programs where ${where}`, values);

describe('the names of the third founding document', () => {
  it('MIG-04 show programs as cognitive_programs, those that were deleted left out', async () => {
    const { id, name } = await createProgram(stack, { description: 'Answers.' });
    const [row] = await programs('id = $1', [id]);
    expect(row).toMatchObject({ id, name, description: 'Answers.', status: 'draft', variables: {} });
    expect(row?.inserted_at).toBeInstanceOf(Date);
    demand(await stack.http.delete(`/v1/programs/${id}`), 204);
    expect(await programs('id = $1', [id])).toEqual([]);
  });

  it('MIG-04 show executions as cognitive_executions, with input and output', async () => {
    const { slug, id: programId } = await readyProgram(stack);
    const ran = demand(await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS }), 200);
    const sql = 'select * from executor.cognitive_executions where id = $1';
    const [row] = await query(stack.databaseUrl, sql, [ran.executionId]);
    expect(row).toMatchObject({ program_id: programId, status: 'completed', input: QA_INPUTS, output: ran.outputs });
    expect(row?.parent_execution_id).toBeNull();
  });

  it('MIG-04 can be written through, and hold the rules of the tables behind them', async () => {
    const { slug, id } = await readyProgram(stack);
    await query(stack.databaseUrl, 'update registry.cognitive_programs set description = $2 where id = $1', [
      id,
      'New.',
    ]);
    expect(demand(await stack.http.get(`/v1/programs/${id}`), 200).description).toBe('New.');
    const refused = query(stack.databaseUrl, `update registry.cognitive_programs set status = 'flying' where id = $1`, [
      id,
    ]);
    await expect(refused).rejects.toThrow(/check constraint/);
    const ran = demand(await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS }), 200);
    const late = query(stack.databaseUrl, `update executor.cognitive_executions set status = 'failed' where id = $1`, [
      ran.executionId,
    ]);
    await expect(late).rejects.toThrow(/has ended and does not change/);
  });
});
