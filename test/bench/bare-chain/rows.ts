import { randomUUID } from 'node:crypto';
import pg from 'pg';

const FLIGHT_MAX = 2;
const TABLES = `
  create schema if not exists bare;
  create table if not exists bare.starts (id uuid primary key, inputs json not null, at timestamptz not null default now());
  create table if not exists bare.ends (id uuid primary key, outputs json not null, at timestamptz not null default now())`;
const PUT_STARTS = 'insert into bare.starts (id, inputs) select * from unnest($1::uuid[], $2::json[])';
const PUT_ENDS = 'insert into bare.ends (id, outputs) select * from unnest($1::uuid[], $2::json[])';
const PUT_BOTH = `with s as (${PUT_STARTS}) insert into bare.ends (id, outputs) select * from unnest($3::uuid[], $4::json[])`;

type Start = { readonly id: string; readonly inputs: string };
type End = { readonly id: string; readonly outputs: string; readonly done: () => void };

/** Durable rows of many calls, written together whenever fewer than two writes are under way. */
export class Rows {
  private readonly pool: pg.Pool;
  private starts: Start[] = [];
  private ends: End[] = [];
  private flights = 0;

  constructor(databaseUrl: string) {
    this.pool = new pg.Pool({ connectionString: databaseUrl, max: FLIGHT_MAX });
  }

  /** Makes the tables if they are missing. */
  async prepare(): Promise<void> {
    await this.pool.query(TABLES);
  }

  /** Queues the row of a beginning; gives its id. */
  begin(inputs: string): string {
    const id = randomUUID();
    this.starts.push({ id, inputs });
    this.plan();
    return id;
  }

  /** Resolves when the row of the end is committed. */
  end(id: string, outputs: string): Promise<void> {
    return new Promise((done) => {
      this.ends.push({ id, outputs, done });
      this.plan();
    });
  }

  private plan(): void {
    if (this.flights >= FLIGHT_MAX) return;
    this.flights++;
    setImmediate(() => void this.flush());
  }

  private async flush(): Promise<void> {
    while (this.starts.length + this.ends.length > 0) {
      const [starts, ends] = [this.starts, this.ends];
      [this.starts, this.ends] = [[], []];
      const startValues = [starts.map(({ id }) => id), starts.map(({ inputs }) => inputs)];
      const endValues = [ends.map(({ id }) => id), ends.map(({ outputs }) => outputs)];
      if (ends.length === 0) await this.pool.query({ name: 'starts', text: PUT_STARTS, values: startValues });
      else if (starts.length === 0) await this.pool.query({ name: 'ends', text: PUT_ENDS, values: endValues });
      else await this.pool.query({ name: 'both', text: PUT_BOTH, values: [...startValues, ...endValues] });
      for (const { done } of ends) done();
    }
    this.flights--;
  }
}
