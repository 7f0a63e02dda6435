import { Migration } from '@mikro-orm/migrations';

/** Gives a key's former secret a last while, so that callers can change over. */
export class KeyRotation008 extends Migration {
  override up(): void {
    this.addSql(`
      alter table registry.api_keys
        add column former_key_hash bytea check (octet_length(former_key_hash) = 32),
        add column former_until timestamptz(3),
        add column rotate_time timestamptz(3)`);
    this.addSql('create unique index api_keys_former_key_hash_key on registry.api_keys (former_key_hash)');
  }

  override down(): void {
    this.addSql(
      'alter table registry.api_keys drop column former_key_hash, drop column former_until, drop column rotate_time',
    );
  }
}
