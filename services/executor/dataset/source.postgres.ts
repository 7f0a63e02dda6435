import type { Database } from '../db/pool.ts';
import type { ExecutionExample } from './execution-example.ts';

/** Which executions are read as examples. `condition` is SQL with its values from $6 on. */
export type SourceQuery = {
  readonly programId: string | undefined;
  readonly condition: string;
  readonly values: readonly unknown[];
  /** True: those whose outputs somebody corrected; false: completed ones of which nobody did. */
  readonly isCorrected: boolean;
  readonly minScore: number | undefined;
  /** Empty means all. */
  readonly label: string;
  readonly requireFeedback: boolean;
};

/** Where executions are read as examples. */
export type ExampleSource = {
  /** Reads up to `limit` of them and 2 MiB, though the first one in any case, newest first and behind an id. */
  read(query: SourceQuery, limit: number, beforeId: string | undefined): Promise<ExecutionExample[]>;
};

const octetsMax = 2 * 1024 * 1024;

// The newest of each kind, as somebody may first score and later correct.
const newest = (column: string, isGiven: string): string => `(
  select f.${column} from executor.execution_feedback f where f.execution_id = executions.id and f.${isGiven}
  order by f.id desc limit 1)`;

/** Makes the source. */
export function createExampleSource(database: Database): ExampleSource {
  return {
    async read(query, limit, beforeId) {
      const { programId, condition, values, isCorrected, minScore, label, requireFeedback } = query;
      // Those with feedback are few among many: whoever asks for them alone must not wait for all the others to be looked at.
      const needsFeedback = requireFeedback || isCorrected || minScore !== undefined || label !== '';
      const text = `with page as (
        select executions.id as place, executions.id::text as execution, inputs::text as given,
          coalesce(fb_corrected, outputs::text) as expected, coalesce(fb_label, '') as label
        from executor.executions
        cross join lateral (select
          ${newest('score', 'score is not null')} as fb_score,
          ${newest('label', `label <> ''`)} as fb_label,
          ${newest('corrected_outputs::text', 'corrected_outputs is not null')} as fb_corrected) feedback
        where ($1::uuid is null or program_id = $1::uuid)
          and ($2::uuid is null or executions.id < $2::uuid)
          and ($4::float8 is null or fb_score >= $4::float8)
          and ($5::text = '' or fb_label = $5::text)
          and ${isCorrected ? `fb_corrected is not null and status in ('completed', 'failed', 'cancelled')` : `fb_corrected is null and status = 'completed'`}
          ${needsFeedback ? 'and executions.id in (select execution_id from executor.execution_feedback)' : ''}
          ${condition === '' ? '' : `and (${condition})`}
        order by executions.id desc limit $3
      )
      select execution, given, expected, label from (
        select page.*, sum(octet_length(given) + octet_length(expected)) over (
          order by place desc rows between unbounded preceding and 1 preceding) as octets_before from page
      ) measured where coalesce(octets_before, 0) < ${octetsMax} order by place desc`;
      const parameters = [programId ?? null, beforeId ?? null, limit, minScore ?? null, label, ...values];
      const rows = await database.query<{ execution: string; given: string; expected: string; label: string }>(
        '',
        text,
        parameters,
      );
      return rows.map((row) => ({
        executionId: row.execution,
        inputsJson: row.given,
        outputsJson: row.expected,
        label: row.label,
      }));
    },
  };
}
