import { Migration } from '@mikro-orm/migrations';

/** Language models; a credential is kept sealed, and a deleted one leaves a tombstone without it. */
export class LanguageModels004 extends Migration {
  override up(): void {
    this.addSql(`
      create table registry.language_models (
        id uuid primary key default gen_random_uuid(),
        slug text not null check (slug ~ '^[a-z][a-z0-9-]{0,62}$'),
        name text not null check (char_length(name) between 1 and 200),
        description text not null default '',
        provider text not null check (provider in ('openai', 'anthropic', 'gemini')),
        model text not null check (char_length(model) between 1 and 200),
        api_base text not null default '',
        parameters jsonb not null default '{}',
        capabilities jsonb not null default '{}',
        constrained text not null default 'none' check (constrained in ('none', 'grammar', 'json_schema')),
        limits jsonb not null default '{}',
        prices jsonb,
        fallbacks jsonb not null default '[]',
        labels jsonb not null default '{}',
        credential bytea,
        credential_update_time timestamptz(3),
        catalog_revision bigint not null default 0,
        row_version integer not null default 1,
        create_time timestamptz(3) not null default now(),
        update_time timestamptz(3) not null default now(),
        delete_time timestamptz(3),
        check ((credential is null) = (credential_update_time is null)),
        check (delete_time is null or credential is null)
      )`);
    this.addSql(
      'create unique index language_models_slug_key on registry.language_models (slug) where delete_time is null',
    );
    this.addSql('create index language_models_create_time on registry.language_models (create_time, id)');
    this.addSql('create index language_models_catalog_revision on registry.language_models (catalog_revision)');
  }

  override down(): void {
    this.addSql('drop table registry.language_models');
  }
}
