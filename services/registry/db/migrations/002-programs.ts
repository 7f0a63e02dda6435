import { Migration } from '@mikro-orm/migrations';

/** Programs, their append-only versions and preparations, and the one counter that orders what executors cache. */
export class Programs002 extends Migration {
  override up(): void {
    this.addSql(`
      create table registry.catalog_revision (
        id integer primary key default 1 check (id = 1),
        revision bigint not null
      )`);
    this.addSql('insert into registry.catalog_revision (revision) values (0)');
    this.addSql(`
      create table registry.programs (
        id uuid primary key default gen_random_uuid(),
        slug text not null check (slug ~ '^[a-z][a-z0-9-]{0,62}$'),
        name text not null check (char_length(name) between 1 and 200),
        description text not null default '',
        status text not null default 'draft'
          check (status in ('draft', 'initializing', 'ready', 'optimizing', 'error', 'archived')),
        adapter_type text not null default 'python_port' check (adapter_type in ('python_port', 'native', 'mock')),
        signature_id uuid references registry.signatures (id) on delete set null,
        signature_module text not null,
        variables jsonb not null default '{}',
        optimization_history jsonb not null default '[]',
        dspy_program_id text not null default '',
        error_message text not null default '',
        serving_version integer not null default 0,
        latest_version integer not null default 1,
        fencing_token bigint not null default 0,
        transition_until timestamptz(3),
        quick_key text,
        labels jsonb not null default '{}',
        catalog_revision bigint not null default 0,
        row_version integer not null default 1,
        create_time timestamptz(3) not null default now(),
        update_time timestamptz(3) not null default now(),
        delete_time timestamptz(3),
        check (status <> 'ready' or serving_version > 0)
      )`);
    this.addSql('create unique index programs_slug_key on registry.programs (slug) where delete_time is null');
    this.addSql(`create unique index programs_quick_key on registry.programs (quick_key)
      where delete_time is null and status <> 'archived'`);
    this.addSql('create index programs_name on registry.programs (name)');
    this.addSql('create index programs_status on registry.programs (status)');
    this.addSql('create index programs_signature_id on registry.programs (signature_id)');
    this.addSql('create index programs_create_time on registry.programs (create_time, id)');
    this.addSql('create index programs_catalog_revision on registry.programs (catalog_revision)');
    this.addSql(`create index programs_transition_until on registry.programs (transition_until)
      where status in ('initializing', 'optimizing')`);
    this.addSql(`
      create table registry.program_versions (
        id uuid primary key default gen_random_uuid(),
        program_id uuid not null references registry.programs (id) on delete cascade,
        version integer not null check (version > 0),
        signature jsonb not null,
        configuration jsonb not null,
        demos jsonb not null default '[]',
        parent_version integer not null default 0,
        source text not null check (source in ('create', 'update', 'optimize')),
        create_time timestamptz(3) not null default now(),
        unique (program_id, version)
      )`);
    this.addSql(`
      create table registry.program_preparations (
        id uuid primary key default gen_random_uuid(),
        version_id uuid not null references registry.program_versions (id) on delete cascade,
        dialect jsonb not null default '{}',
        dialect_hash text not null,
        state text not null check (state in ('ready', 'error')),
        dspy_program_id text not null default '',
        error_message text not null default '',
        create_time timestamptz(3) not null default now(),
        unique (version_id, dialect_hash)
      )`);
  }

  override down(): void {
    this.addSql('drop table registry.program_preparations');
    this.addSql('drop table registry.program_versions');
    this.addSql('drop table registry.programs');
    this.addSql('drop table registry.catalog_revision');
  }
}
