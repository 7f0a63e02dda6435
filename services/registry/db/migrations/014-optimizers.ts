import { Migration } from '@mikro-orm/migrations';

/** Optimizers, which of them a program uses, which job holds it, and where a version that one made comes from. */
export class Optimizers014 extends Migration {
  override up(): void {
    this.addSql(`
      create table registry.optimizers (
        id uuid primary key,
        slug text not null check (slug ~ '^[a-z][a-z0-9-]{0,62}$'),
        name text not null check (char_length(name) between 1 and 200),
        description text not null default '',
        type text not null check (type in ('labeled_few_shot', 'bootstrap', 'random_search', 'copro', 'mipro', 'simba', 'gepa',
          'infer_rules', 'beacon', 'custom')),
        config jsonb not null default '{}',
        state jsonb not null default '{}',
        labels jsonb not null default '{}',
        row_version integer not null default 1,
        create_time timestamptz(3) not null default now(),
        update_time timestamptz(3) not null default now(),
        delete_time timestamptz(3)
      )`);
    this.addSql('create unique index optimizers_slug_key on registry.optimizers (slug) where delete_time is null');
    this.addSql('create index optimizers_create_time on registry.optimizers (create_time, id)');
    this.addSql(`
      create trigger optimizers_audit after insert or update or delete on registry.optimizers
      for each row execute function registry.audit_write('optimizer', 'slug', 'state')`);
    this.addSql(`
      alter table registry.programs
        add column optimizer_id uuid references registry.optimizers (id),
        add column optimizing_job uuid`);
    this.addSql(`
      alter table registry.program_versions
        add column lineage jsonb,
        add column optimizing_job uuid,
        add column score_before double precision check (score_before between 0 and 1),
        add column score_after double precision check (score_after between 0 and 1)`);
    // A job makes one version, however often it is asked to.
    this.addSql(`create unique index program_versions_optimizing_job_key on registry.program_versions (optimizing_job)
      where optimizing_job is not null`);
  }

  override down(): void {
    this.addSql(`alter table registry.program_versions drop column lineage, drop column optimizing_job,
      drop column score_before, drop column score_after`);
    this.addSql('alter table registry.programs drop column optimizer_id, drop column optimizing_job');
    this.addSql('drop table registry.optimizers');
  }
}
