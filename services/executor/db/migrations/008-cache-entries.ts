import { Migration } from '@mikro-orm/migrations';

/** Answers that are given again for a while; the memory of every executor stands in front of it. */
export class CacheEntries008 extends Migration {
  override up(): void {
    this.addSql(`create table executor.cache_entries (
      key bytea primary key constraint cache_entries_key check (octet_length(key) = 32),
      program_id uuid not null,
      engine text not null constraint cache_entries_engine check (engine in ('python', 'native', 'mock')),
      outputs json not null,
      expire_time timestamptz not null,
      create_time timestamptz not null default now()
    )`);
    this.addSql('create index cache_entries_expire on executor.cache_entries (expire_time)');
  }

  override down(): void {
    this.addSql('drop table executor.cache_entries');
  }
}
