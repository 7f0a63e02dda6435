import { Migration } from '@mikro-orm/migrations';

/** Which secret key sealed what, so that it can be changed; the pepper of API keys, sealed, no longer is that key itself. */
export class SecretKeys017 extends Migration {
  override up(): void {
    this.addSql('alter table registry.language_models add column credential_key_id text');
    // Sealing anew changes nothing that anybody set.
    this.addSql('drop trigger language_models_audit on registry.language_models');
    this.addSql(`
      create trigger language_models_audit after insert or update or delete on registry.language_models
      for each row execute function registry.audit_write('language_model', 'slug', 'credential', 'credential_key_id')`);
    this.addSql(`
      create table registry.peppers (
        id uuid primary key,
        sealed bytea not null,
        key_id text not null,
        create_time timestamptz(3) not null default now()
      )`);
  }

  override down(): void {
    this.addSql('drop table registry.peppers');
    this.addSql('drop trigger language_models_audit on registry.language_models');
    this.addSql(`
      create trigger language_models_audit after insert or update or delete on registry.language_models
      for each row execute function registry.audit_write('language_model', 'slug', 'credential')`);
    this.addSql('alter table registry.language_models drop column credential_key_id');
  }
}
