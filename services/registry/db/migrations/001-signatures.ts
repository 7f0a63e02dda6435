import { Migration } from '@mikro-orm/migrations';

/** Signatures, their append-only snapshots, and what the workers' signature modules declare. */
export class Signatures001 extends Migration {
  override up(): void {
    this.addSql(`
      create table registry.signatures (
        id uuid primary key default gen_random_uuid(),
        name text not null check (char_length(name) between 1 and 200),
        module text not null check (module ~ '^[A-Z][a-zA-Z0-9_.]*$'),
        spec text not null,
        inputs jsonb not null default '[]',
        outputs jsonb not null default '[]',
        description text not null default '',
        version text not null default '1.0.0',
        status text not null default 'draft' check (status in ('draft', 'active', 'deprecated')),
        metadata jsonb not null default '{}',
        strict_mode boolean not null default true,
        ml_types jsonb not null default '[]',
        complexity integer not null,
        labels jsonb not null default '{}',
        row_version integer not null default 1,
        create_time timestamptz(3) not null default now(),
        update_time timestamptz(3) not null default now()
      )`);
    this.addSql('create unique index signatures_module_key on registry.signatures (module)');
    this.addSql('create index signatures_name on registry.signatures (name)');
    this.addSql('create index signatures_status on registry.signatures (status)');
    this.addSql('create index signatures_create_time on registry.signatures (create_time, id)');
    this.addSql(`
      create table registry.signature_versions (
        id uuid primary key default gen_random_uuid(),
        signature_id uuid not null references registry.signatures (id) on delete cascade,
        revision integer not null check (revision > 0),
        snapshot jsonb not null,
        create_time timestamptz(3) not null default now(),
        unique (signature_id, revision)
      )`);
    this.addSql(`
      create table registry.signature_modules (
        name text primary key check (name ~ '^[A-Z][a-zA-Z0-9_.]*$'),
        spec text not null default '',
        description text not null default '',
        error text not null default '',
        update_time timestamptz(3) not null default now()
      )`);
  }

  override down(): void {
    this.addSql('drop table registry.signature_modules');
    this.addSql('drop table registry.signature_versions');
    this.addSql('drop table registry.signatures');
  }
}
