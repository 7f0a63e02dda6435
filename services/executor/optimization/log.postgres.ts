import type { Database } from '../db/pool.ts';
import type { JobProgress, LogLine } from './optimization.ts';

/** How many lines of a job are kept: the newest ones. */
export const linesMax = 1_000;

/** What an optimizer said since it was written down last. */
export type Said = {
  /** At most `linesMax`. */
  readonly lines: readonly Omit<LogLine, 'sequence'>[];
  /** The newest one; undefined if there is none. */
  readonly progress: JobProgress | undefined;
};

/** Makes the store of what optimizers say. */
export function createJobLogStore(database: Database) {
  return {
    /** Keeps what was said under the lease of a job, and the newest lines alone; false once the lease is another's. */
    async say(id: string, token: number, { lines, progress }: Said): Promise<boolean> {
      const rows = await database.query('optimization_say', sayText, [
        ...[id, token, lines.length, progress === undefined ? null : JSON.stringify(progress)],
        JSON.stringify(lines.map(({ level, text, createTime }) => ({ level, text, create_time: createTime }))),
      ]);
      return rows.length > 0;
    },

    /** Reads the lines that are kept, those with a sequence above `after`, in order. */
    async lines(id: string, after: number): Promise<LogLine[]> {
      const rows = await database.query<{ sequence: string; level: string; text: string; create_time: Date }>(
        'optimization_lines_read',
        `select l.sequence::text, l.level, l.text, l.create_time from executor.optimization_log l
         where l.job_id = $1 and l.sequence > $2 order by l.sequence`,
        [id, after],
      );
      return rows.map(({ sequence, level, text, create_time: createTime }) => ({
        ...{ sequence: Number(sequence), level, text, createTime },
      }));
    },
  };
}

const sayText = `with job as (
  update executor.optimization_jobs j set event_sequence = j.event_sequence + $3::int + ($4::jsonb is not null)::int,
    progress = coalesce($4::jsonb, j.progress),
    progress_sequence = case when $4::jsonb is null then j.progress_sequence else j.event_sequence + $3::int + 1 end
  where j.id = $1::uuid and j.lease_token = $2::int and j.status = 'running'
  returning j.id, j.event_sequence - $3::int - ($4::jsonb is not null)::int as before),
gone as (
  delete from executor.optimization_log l using job where l.job_id = job.id and l.sequence <= (
    select k.sequence from executor.optimization_log k where k.job_id = $1::uuid
    order by k.sequence desc offset greatest(${linesMax} - $3::int, 0) limit 1)),
added as (
  insert into executor.optimization_log (job_id, sequence, level, text, create_time)
  select job.id, job.before + line.place, line.level, line.text, line.create_time
  from job, rows from (jsonb_to_recordset($5::jsonb) as (level text, text text, create_time timestamptz))
    with ordinality as line(level, text, create_time, place))
select id from job`;
