import { Migration } from '@mikro-orm/migrations';

/** The tables whose changes are kept, what one of their rows is called, and the columns that never leave them. */
const audited: readonly { table: string; resource: string; nameColumn: string; hidden: readonly string[] }[] = [
  { table: 'signatures', resource: 'signature', nameColumn: 'module', hidden: [] },
  { table: 'modules', resource: 'module', nameColumn: 'name', hidden: ['performance_metrics', 'in_flight'] },
  { table: 'programs', resource: 'program', nameColumn: 'slug', hidden: ['quick_key'] },
  { table: 'language_models', resource: 'language_model', nameColumn: 'slug', hidden: ['credential'] },
  { table: 'api_keys', resource: 'api_key', nameColumn: 'name', hidden: ['key_hash', 'former_key_hash'] },
];

/**
 * Who changed what: rows that the database itself writes in the transaction of each change, so that no use case can forget it. The call
 * is known by the settings `signet.actor_id`, `signet.actor`, `signet.action` and `signet.trace_id` of the transaction.
 */
export class AuditLog007 extends Migration {
  override up(): void {
    this.addSql(`
      create table registry.audit_log (
        id uuid primary key,
        create_time timestamptz(3) not null,
        actor_id text not null,
        actor text not null,
        action text not null,
        operation text not null check (operation in ('create', 'update', 'delete')),
        resource text not null,
        resource_id uuid not null,
        resource_name text not null,
        before jsonb,
        after jsonb,
        trace_id text not null
      )`);
    this.addSql('create index audit_log_create_time on registry.audit_log (create_time, id)');
    this.addSql('create index audit_log_resource_id on registry.audit_log (resource_id, create_time)');
    this.addSql(createId);
    this.addSql(createChanged);
    this.addSql(createWrite);
    this.addSql(createRefuse);
    this.addSql(`
      create trigger audit_log_append_only before update or delete or truncate on registry.audit_log
      for each statement execute function registry.audit_refuse()`);
    for (const { table, resource, nameColumn, hidden } of audited) {
      const args = [resource, nameColumn, ...hidden].map((text) => `'${text}'`).join(', ');
      this.addSql(`
        create trigger ${table}_audit after insert or update or delete on registry.${table}
        for each row execute function registry.audit_write(${args})`);
    }
  }

  override down(): void {
    for (const { table } of audited) this.addSql(`drop trigger ${table}_audit on registry.${table}`);
    this.addSql('drop table registry.audit_log');
    this.addSql('drop function registry.audit_write()');
    this.addSql('drop function registry.audit_changed(jsonb, jsonb, text[])');
    this.addSql('drop function registry.audit_id(timestamptz)');
    this.addSql('drop function registry.audit_refuse()');
  }
}

// A UUIDv7: the milliseconds since 1970 in front of a random one. Postgres makes them itself only from 18 on.
const createId = `
  create function registry.audit_id(at timestamptz) returns uuid language sql volatile as $$
    select encode(
      set_bit(set_bit(
        overlay(uuid_send(gen_random_uuid()) placing
          substring(int8send((extract(epoch from at) * 1000)::bigint) from 3) from 1 for 6),
        52, 1), 53, 1), 'hex')::uuid
  $$`;

// What one row has that the other has not, without what is hidden and what changes with every change; large values by their hash.
const createChanged = `
  create function registry.audit_changed(old_row jsonb, new_row jsonb, hidden text[]) returns jsonb language sql immutable as $$
    select coalesce(jsonb_object_agg(key, case
        when length(value::text) <= 8192 then value
        else jsonb_build_object('bytes', octet_length(value::text), 'sha256', encode(sha256(convert_to(value::text, 'UTF8')), 'hex'))
      end), '{}')
    from jsonb_each(new_row)
    where not key = any (hidden || array['row_version', 'update_time', 'catalog_revision', 'transition_until', 'fencing_token'])
      and (old_row is null or value is distinct from old_row -> key)
  $$`;

const createWrite = `
  create function registry.audit_write() returns trigger language plpgsql as $$
  declare
    old_row jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
    new_row jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
    hidden text[] := tg_argv[2:];
    was jsonb := case when tg_op <> 'INSERT' then registry.audit_changed(new_row, old_row, hidden) end;
    is_now jsonb := case when tg_op <> 'DELETE' then registry.audit_changed(old_row, new_row, hidden) end;
    subject jsonb := coalesce(new_row, old_row);
    at timestamptz := date_trunc('milliseconds', clock_timestamp());
  begin
    if tg_op = 'UPDATE' and was = '{}' and is_now = '{}' then
      return null;
    end if;
    insert into registry.audit_log (id, create_time, actor_id, actor, action, operation, resource, resource_id, resource_name, before, after, trace_id)
    values (
      registry.audit_id(at),
      at,
      coalesce(current_setting('signet.actor_id', true), ''),
      coalesce(nullif(current_setting('signet.actor', true), ''), 'signet'),
      coalesce(current_setting('signet.action', true), ''),
      case
        when tg_op = 'INSERT' then 'create'
        when tg_op = 'DELETE' or (old_row ->> 'delete_time' is null and new_row ->> 'delete_time' is not null) then 'delete'
        else 'update'
      end,
      tg_argv[0], (subject ->> 'id')::uuid, coalesce(subject ->> tg_argv[1], ''), was, is_now,
      coalesce(current_setting('signet.trace_id', true), ''));
    return null;
  end $$`;

const createRefuse = `
  create function registry.audit_refuse() returns trigger language plpgsql as $$
  begin
    raise exception 'registry.audit_log is append-only' using errcode = '42501';
  end $$`;
