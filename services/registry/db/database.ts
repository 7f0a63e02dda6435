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

/** The way to the database. Failures come out as AppError where a caller can do something about them. */
export type Database = {
  readonly orm: MikroORM;
  /** Runs a statement that is prepared once a connection under its name: the way of the hot reads. */
  read<Row extends object>(name: string, text: string, values: readonly unknown[]): Promise<Row[]>;
  /** Runs reads outside a transaction, on an entity manager of their own. */
  query<T>(work: (session: Session) => Promise<T>): Promise<T>;
  /** Runs a change in one transaction; runs it again, twice at most, when it lost to another one. */
  transaction<T>(work: (session: Session) => Promise<T>): Promise<T>;
  close(): Promise<void>;
};

const attemptMax = 3;

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
    async transaction(work) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await orm.em.fork().transactional((em) => work({ em, select }));
        } catch (error) {
          const lost = sqlCode(error) === '40001' || sqlCode(error) === '40P01';
          if (!lost || attempt >= attemptMax) throw fromSqlError(error);
        }
      }
    },
    close: () => orm.close(),
  };
}
