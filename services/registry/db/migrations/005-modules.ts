import { Migration } from '@mikro-orm/migrations';

/** Modules, the programs behind them, and what executors last told of their workers. */
export class Modules005 extends Migration {
  override up(): void {
    this.addSql(`
      create table registry.modules (
        id uuid primary key default gen_random_uuid(),
        name text not null check (name ~ '^[A-Za-z][A-Za-z0-9_.-]{0,127}$'),
        description text not null default '',
        type text not null check (type in ('predict', 'retrieve', 'optimize', 'custom')),
        implementation text not null default 'python' check (implementation in ('native', 'python', 'hybrid')),
        state text not null default 'uninitialized'
          check (state in ('uninitialized', 'initializing', 'ready', 'executing', 'error')),
        in_flight integer not null default 0 check (in_flight >= 0),
        error_message text not null default '',
        signature_id uuid references registry.signatures (id) on delete set null,
        signature_module text not null default '',
        config jsonb not null default '{}',
        configuration jsonb not null,
        demos jsonb not null default '[]',
        python_module text not null default '',
        native_module text not null default '',
        routing_strategy text not null default 'performance_based'
          check (routing_strategy in ('native_first', 'python_first', 'performance_based')),
        cache_ttl integer not null default 300 check (cache_ttl > 0),
        optimization_hints jsonb not null default '[]',
        performance_metrics jsonb not null default '{}',
        generation integer not null default 1,
        labels jsonb not null default '{}',
        catalog_revision bigint not null default 0,
        row_version integer not null default 1,
        create_time timestamptz(3) not null default now(),
        update_time timestamptz(3) not null default now(),
        delete_time timestamptz(3),
        check ((state = 'executing') = (in_flight > 0)),
        check (implementation = 'native' or python_module <> ''),
        check (implementation = 'python' or native_module <> '')
      )`);
    this.addSql('create unique index modules_name_key on registry.modules (name) where delete_time is null');
    this.addSql('create index modules_signature_id on registry.modules (signature_id)');
    this.addSql('create index modules_create_time on registry.modules (create_time, id)');
    this.addSql('create index modules_catalog_revision on registry.modules (catalog_revision)');
    this.addSql('alter table registry.programs add column module_id uuid references registry.modules (id)');
    this.addSql('create index programs_module_id on registry.programs (module_id) where module_id is not null');
    this.addSql(`
      create table registry.backend_reports (
        executor text primary key,
        workers integer not null,
        modules jsonb not null,
        report_time timestamptz(3) not null default now()
      )`);
  }

  override down(): void {
    this.addSql('drop table registry.backend_reports');
    this.addSql('alter table registry.programs drop column module_id');
    this.addSql('drop table registry.modules');
  }
}
