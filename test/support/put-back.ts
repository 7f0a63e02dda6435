import pg from 'pg';

/** Makes all that has ended in a stack's database look as if it had ended, and been made, so many hours earlier. */
export async function putBack(databaseUrl: string, hours: number): Promise<void> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  try {
    // What has ended does not change: only who switches the triggers off can do this.
    await client.query(`set session_replication_role = replica`);
    for (const text of texts) await client.query(text.replaceAll('$ms', String(hours * 3_600_000)));
  } finally {
    await client.end();
  }
}

const earlier = `interval '1 ms' * $ms`;
const times = (table: string, where: string): string =>
  `update executor.${table} set create_time = create_time - ${earlier}, end_time = end_time - ${earlier} where ${where}`;

// The time that stands in the id counts too.
const texts = [
  `create function pg_temp.earlier(id uuid) returns uuid language sql as $$ select (
    lpad(to_hex(('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint - $ms), 12, '0')
    || substr(replace(id::text, '-', ''), 13))::uuid $$`,
  ...['batches', 'evaluations', 'optimization_jobs'].map((table) => times(table, 'end_time is not null')),
  'update executor.evaluation_results set execution_id = pg_temp.earlier(execution_id)',
  `update executor.batch_chunks set execution_ids =
    (select array_agg(pg_temp.earlier(id) order by place) from unnest(execution_ids) with ordinality as one(id, place))`,
  ...['lm_calls', 'execution_ends', 'execution_events', 'execution_feedback'].map(
    (table) => `update executor.${table} set execution_id = pg_temp.earlier(execution_id)
      where execution_id in (select id from executor.executions where end_time is not null)`,
  ),
  times('executions', 'end_time is not null'),
  'update executor.executions set id = pg_temp.earlier(id) where end_time is not null',
];
