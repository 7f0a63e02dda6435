import { Migration } from '@mikro-orm/migrations';

/**
 * Datasets, their versions and their examples. An example belongs to all versions from `since_version` on and before `until_version`, so
 * that a version costs what it changes. Rows of an import gather in tables that a crash empties; nobody sees them before its end.
 */
export class Datasets013 extends Migration {
  override up(): void {
    this.addSql(`
      create table registry.datasets (
        id uuid primary key,
        slug text not null check (slug ~ '^[a-z][a-z0-9-]{0,62}$'),
        name text not null check (char_length(name) between 1 and 200),
        description text not null default '',
        signature_spec text not null,
        signature_id uuid,
        strict_mode boolean not null default true,
        latest_version integer not null default 0,
        example_count bigint not null default 0,
        train_count bigint not null default 0,
        validation_count bigint not null default 0,
        test_count bigint not null default 0,
        last_position bigint not null default 0,
        labels jsonb not null default '{}',
        row_version integer not null default 1,
        create_time timestamptz(3) not null default now(),
        update_time timestamptz(3) not null default now(),
        delete_time timestamptz(3)
      )`);
    this.addSql('create unique index datasets_slug_key on registry.datasets (slug) where delete_time is null');
    this.addSql('create index datasets_create_time on registry.datasets (create_time, id)');
    this.addSql(`
      create trigger datasets_audit after insert or update or delete on registry.datasets
      for each row execute function registry.audit_write('dataset', 'slug', 'last_position')`);
    this.addSql(`
      create table registry.dataset_versions (
        dataset_id uuid not null references registry.datasets (id),
        version integer not null check (version > 0),
        example_count bigint not null,
        train_count bigint not null,
        validation_count bigint not null,
        test_count bigint not null,
        added_count bigint not null,
        replaced_count bigint not null,
        removed_count bigint not null,
        duplicate_count bigint not null,
        faulty_count bigint not null,
        source text not null check (source in ('ndjson', 'csv', 'executions', 'service')),
        created_by text not null,
        note text not null default '',
        statistics jsonb,
        create_time timestamptz(3) not null default now(),
        primary key (dataset_id, version)
      )`);
    this.addSql(`
      create table registry.examples (
        id uuid primary key,
        dataset_id uuid not null references registry.datasets (id),
        position bigint not null,
        since_version integer not null,
        until_version integer check (until_version > since_version),
        split text not null check (split in ('train', 'validation', 'test')),
        key_hash bytea not null check (octet_length(key_hash) = 32),
        inputs text not null,
        outputs text not null,
        weight double precision not null check (weight > 0),
        label text not null default '',
        source_execution_id uuid
      )`);
    this.addSql('create index examples_position on registry.examples (dataset_id, position)');
    this.addSql(
      'create unique index examples_key on registry.examples (dataset_id, key_hash) where until_version is null',
    );
    this.addSql(`
      create unlogged table registry.example_imports (
        id uuid primary key,
        dataset_id uuid not null,
        touch_time timestamptz(3) not null default now()
      )`);
    this.addSql(`
      create unlogged table registry.example_staging (
        import_id uuid not null,
        row_number bigint not null,
        id uuid not null,
        split text not null,
        split_given boolean not null,
        key_hash bytea not null,
        inputs text not null,
        outputs text not null,
        weight double precision not null,
        label text not null,
        source_execution_id uuid,
        position bigint,
        primary key (import_id, row_number)
      )`);
  }

  override down(): void {
    this.addSql('drop table registry.example_staging');
    this.addSql('drop table registry.example_imports');
    this.addSql('drop table registry.examples');
    this.addSql('drop table registry.dataset_versions');
    this.addSql('drop table registry.datasets');
  }
}
