import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DurablePostgres, startDurablePostgres } from '../support/durable-postgres.ts';
import { findFaults, gatherEvidence, type Told } from '../support/execution-audit.ts';
import { demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { query } from '../support/query.ts';
import { type Stack, startStack } from '../support/stack.ts';

const CALLS = 30;
const TRIES_MAX = 3;

/** The control of the fault tests: a database that acknowledges before it writes does lose executions, and the audit says which. */
describe('kill -9 of Postgres right after the answers', { timeout: 120_000 }, () => {
  let postgres: DurablePostgres;
  let stack: Stack;
  let slug = '';

  beforeAll(async () => {
    postgres = await startDurablePostgres();
    stack = await startStack({ engines: 'mock', databaseUrl: postgres.url });
    slug = String((await readyProgram(stack)).slug);
  }, 60_000);
  afterAll(async () => {
    await stack?.close();
    await postgres?.close();
  }, 60_000);

  /** Executes, kills the server as soon as all are answered, and audits what it comes back with. */
  const crash = async (): Promise<string[]> => {
    const path = `/v1/programs/${slug}:execute`;
    await eventually(async () => demand(await stack.http.post(path, { inputs: QA_INPUTS }), 200));
    const answers = await Promise.all(
      Array.from({ length: CALLS }, () => stack.http.post(path, { inputs: QA_INPUTS })),
    );
    await postgres.kill();
    const told = answers.map((answer): Told => {
      const { executionId, outputs } = demand(answer, 200);
      return { id: String(executionId), outputs };
    });
    await postgres.restart();
    return eventually(async () => findFaults(await gatherEvidence(postgres.url, told)));
  };

  it('QUA-05 loses nothing: commits come before answers', async () => {
    expect(await crash()).toEqual([]);
  });

  it('is seen to lose executions in the control that does not wait for commits', async () => {
    await query(postgres.url, 'alter database signet set synchronous_commit = off');
    await query(postgres.url, `alter system set wal_writer_delay = '10s'`);
    let lost: string[] = [];
    try {
      for (let tries = 0; tries < TRIES_MAX && lost.length === 0; tries += 1) {
        // Sessions and the server take on what was set when they begin.
        await postgres.kill();
        await postgres.restart();
        lost = (await crash()).filter((fault) => fault.endsWith('was acknowledged and is lost'));
      }
    } finally {
      await query(postgres.url, 'alter database signet reset synchronous_commit');
      await query(postgres.url, 'alter system reset wal_writer_delay');
    }
    expect(lost.length).toBeGreaterThan(0);
  });
});
