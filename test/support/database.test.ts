import pg from 'pg';
import { expect, it } from 'vitest';
import { createTestDatabase } from './database.ts';

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

it('gives each suite a database that no other one sees', async () => {
  const [one, two] = await Promise.all([createTestDatabase([]), createTestDatabase([])]);
  await query(one.url, 'create table mine (n int)');
  await expect(query(two.url, 'select * from mine')).rejects.toThrow(/does not exist/);
  await Promise.all([one.drop(), two.drop()]);
  await one.drop();
  await expect(query(one.url, 'select 1')).rejects.toThrow(/does not exist/);
});
