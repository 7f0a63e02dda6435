import type { EntityManager, MikroORM, PostgreSqlConnection } from '@mikro-orm/postgresql';
import type { Pool } from 'pg';
import { createOrm } from './orm.ts';
import { fromSqlError, sqlCode } from './sql-error.ts';

/** What a store works on: an entity manager, and the way of reads with real parameters. */
export type Session = {
  readonly em: EntityManager;
  /** Runs a read outside any transaction; values are `$1`, `$2` …, sent apart from the text. */
  select<Row extends object>(text: string, values: readonly unknown[]): Promise<Row[]>;
};

/** Who changes something and by which call, for the audit log. */
export type ChangedBy = {
  readonly keyId: string;
  readonly name: string;
  /** Such as `CreateProgram`. */
  readonly action: string;
  readonly traceId: string;
};

/** The way to the database. Failures come out as AppError where a caller can do something about them. */
export type Database = {
  readonly orm: MikroORM;
  /** Runs a statement that is prepared once a connection under its name: the way of the hot reads. */
  read<Row extends object>(name: string, text: string, values: readonly unknown[]): Promise<Row[]>;
  /** Runs reads outside a transaction, on an entity manager of their own. */
  query<T>(work: (session: Session) => Promise<T>): Promise<T>;
  /** Runs a change in one transaction; runs it again, twice at most, when it lost to another one. */
  transaction<T>(work: (session: Session) => Promise<T>, by?: ChangedBy): Promise<T>;
  close(): Promise<void>;
};

const attemptMax = 3;

// What the triggers of the audit log read; true: only until the transaction ends.
const sayWho = `select set_config('signet.actor_id', ?, true), set_config('signet.actor', ?, true),
  set_config('signet.action', ?, true), set_config('signet.trace_id', ?, true)`;

/** Opens the database; connections are made when they are needed and again after they broke. */
export async function openDatabase(databaseUrl: string): Promise<Database> {
  const orm = await createOrm(databaseUrl);
  const connection = orm.em.getConnection() as PostgreSqlConnection;
  const pool = (await connection.getNativeClient()) as unknown as Pool;
  // MikroORM writes values into the text of a statement; a caller's filter goes this way instead.
  const select = async <Row extends object>(text: string, values: readonly unknown[]): Promise<Row[]> =>
    (await pool.query<Row>(text, values as unknown[])).rows;
  return {
    orm,
    async read<Row extends object>(name: string, text: string, values: readonly unknown[]) {
      try {
        return (await pool.query<Row>({ name, text, values: values as unknown[] })).rows;
      } catch (error) {
        throw fromSqlError(error);
      }
    },
    async query(work) {
      try {
        return await work({ em: orm.em.fork(), select });
      } catch (error) {
        throw fromSqlError(error);
      }
    },
    async transaction(work, by) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await orm.em.fork().transactional(async (em) => {
            if (by !== undefined) await em.execute(sayWho, [by.keyId, by.name, by.action, by.traceId]);
            return work({ em, select });
          });
        } catch (error) {
          const lost = sqlCode(error) === '40001' || sqlCode(error) === '40P01';
          if (!lost || attempt >= attemptMax) throw fromSqlError(error);
        }
      }
    },
    close: () => orm.close(),
  };
}
