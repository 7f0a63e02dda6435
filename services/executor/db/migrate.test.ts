import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { newId } from '@signet/kit/id.ts';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { createTestDatabase } from '../../../test/support/database.ts';
import { migrate } from './migrate.ts';

const count = readdirSync(join(import.meta.dirname, 'migrations')).length;
const shapeSql = `select c.table_name, c.column_name, c.data_type, c.is_nullable, c.column_default from information_schema.columns c
  where c.table_schema = 'executor' and c.table_name <> 'migrations' order by 1, 2`;

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

const fill = `insert into executor.executions (id, program_id, slug, version, engine, detached, inputs, executed_at)
  values ('${newId()}', '${newId()}', 'qa', 1, 'mock', true, '{}', now());
  insert into executor.program_stats (program_id, execution_count, last_attempt_at) values ('${newId()}', 1, now())`;

describe('migrations of the executor', () => {
  it('MIG-03 go up, down and up again on an empty database and leave the same shape', async () => {
    const database = await createTestDatabase([]);
    expect((await migrate(database.url, 'up')).executed).toHaveLength(count);
    const first = await query(database.url, shapeSql);
    expect((await migrate(database.url, 'down', { steps: 1 })).pending).toHaveLength(1);
    expect((await migrate(database.url, 'down', { steps: 'all' })).executed).toHaveLength(count - 1);
    expect((await migrate(database.url, 'down', { steps: 'all' })).executed).toEqual([]);
    expect(await query(database.url, shapeSql)).toEqual([]);
    await migrate(database.url, 'up');
    expect(await query(database.url, shapeSql)).toEqual(first);
    expect((await migrate(database.url, 'status')).pending).toEqual([]);
    await database.drop();
  });

  it('MIG-03 refuse to lose rows, and do it when told to', async () => {
    const database = await createTestDatabase([]);
    await migrate(database.url, 'up');
    const shape = await query(database.url, shapeSql);
    await query(database.url, fill);
    await expect(migrate(database.url, 'down', { steps: 'all' })).rejects.toMatchObject({ reason: 'STATE_FORBIDS' });
    expect(await query(database.url, 'select count(*)::int as n from executor.executions')).toEqual([{ n: 1 }]);
    await migrate(database.url, 'down', { steps: 'all', loseData: true });
    await migrate(database.url, 'up');
    expect(await query(database.url, shapeSql)).toEqual(shape);
    await database.drop();
  });

  it('MIG-03 run once although several processes start at the same time', async () => {
    const database = await createTestDatabase([]);
    const reports = await Promise.all([1, 2, 3].map(() => migrate(database.url, 'up')));
    expect(reports.flatMap(({ executed }) => executed)).toHaveLength(count);
    await database.drop();
  });
});
