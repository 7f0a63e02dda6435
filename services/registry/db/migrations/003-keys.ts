import { Migration } from '@mikro-orm/migrations';

/** API keys, kept as an HMAC alone, and the answers of calls that may be repeated. */
export class Keys003 extends Migration {
  override up(): void {
    this.addSql(`
      create table registry.api_keys (
        id uuid primary key default gen_random_uuid(),
        name text not null check (char_length(name) between 1 and 200),
        role text not null check (role in ('viewer', 'runner', 'editor', 'admin')),
        prefix text not null,
        key_hash bytea not null check (octet_length(key_hash) = 32),
        expire_time timestamptz(3),
        revoke_time timestamptz(3),
        labels jsonb not null default '{}',
        row_version integer not null default 1,
        create_time timestamptz(3) not null default now(),
        update_time timestamptz(3) not null default now()
      )`);
    this.addSql('create unique index api_keys_key_hash_key on registry.api_keys (key_hash)');
    this.addSql('create index api_keys_create_time on registry.api_keys (create_time, id)');
    this.addSql(`
      create table registry.idempotency (
        key_id text not null,
        method text not null,
        request_id text not null,
        request_hash text not null,
        response bytea,
        reply jsonb not null default '{}',
        create_time timestamptz(3) not null default now(),
        primary key (key_id, method, request_id)
      )`);
    this.addSql('create index idempotency_create_time on registry.idempotency (create_time)');
  }

  override down(): void {
    this.addSql('drop table registry.idempotency');
    this.addSql('drop table registry.api_keys');
  }
}
