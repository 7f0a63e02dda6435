import { Migration } from '@mikro-orm/migrations';

/** Programs that run a pipeline: the pipeline of each version, as it was given and as it was checked, and the modules it is made of. */
export class Pipelines012 extends Migration {
  override up(): void {
    this.addSql(`
      alter table registry.programs
        add column kind text not null default 'signature' check (kind in ('signature', 'pipeline')),
        add constraint programs_signature_check check (kind <> 'signature' or signature_module <> ''),
        add constraint programs_pipeline_check check (kind <> 'pipeline' or signature_id is null)`);
    this.addSql("create index programs_pipelines on registry.programs (create_time, id) where kind = 'pipeline'");
    this.addSql(`
      alter table registry.program_versions
        add column pipeline_spec text not null default '' check (octet_length(pipeline_spec) <= 524288),
        add column pipeline text not null default '' check (octet_length(pipeline) <= 4194304),
        add constraint program_versions_pipeline_given check ((pipeline_spec = '') = (pipeline = ''))`);
    this.addSql(`
      create table registry.program_modules (
        program_id uuid not null,
        version integer not null,
        position integer not null check (position >= 0),
        module_id uuid not null references registry.modules (id),
        primary key (program_id, version, position),
        unique (program_id, version, module_id),
        foreign key (program_id, version) references registry.program_versions (program_id, version) on delete cascade
      )`);
    this.addSql('create index program_modules_module_id on registry.program_modules (module_id)');
    this.addSql(createCheck);
    this.addSql(`
      create constraint trigger program_versions_kind after insert on registry.program_versions
      deferrable initially deferred for each row execute function registry.program_version_kind()`);
    this.addSql(`
      create or replace view registry.cognitive_programs as
        select id, name, description, variables, optimization_history, status,
          create_time as inserted_at, update_time as updated_at,
          coalesce((
            select nullif(v.pipeline_spec, '')::jsonb -> 'steps' from registry.program_versions v
            where v.program_id = p.id and v.version = p.latest_version), '[]') as pipeline
        from registry.programs p
        where delete_time is null`);
  }

  override down(): void {
    this.addSql('drop view registry.cognitive_programs');
    this.addSql(`
      create view registry.cognitive_programs as
        select id, name, description, variables, optimization_history, status,
          create_time as inserted_at, update_time as updated_at
        from registry.programs
        where delete_time is null`);
    this.addSql('drop trigger program_versions_kind on registry.program_versions');
    this.addSql('drop function registry.program_version_kind()');
    this.addSql('drop table registry.program_modules');
    this.addSql('alter table registry.program_versions drop column pipeline_spec, drop column pipeline');
    this.addSql('alter table registry.programs drop column kind');
  }
}

// Looks at the end of the transaction, when the modules stand: a row cannot check what other tables hold.
const createCheck = `
  create function registry.program_version_kind() returns trigger language plpgsql as $$
  declare
    kind text := (select p.kind from registry.programs p where p.id = new.program_id);
  begin
    if kind is null then
      return null;
    end if;
    if (kind = 'pipeline') <> (new.pipeline <> '') then
      raise exception 'a version of a % program must have a pipeline if and only if that is one', kind using errcode = '23514';
    end if;
    if kind = 'pipeline' and not exists (
      select from registry.program_modules m where m.program_id = new.program_id and m.version = new.version
    ) then
      raise exception 'a pipeline needs at least one module' using errcode = '23514';
    end if;
    return null;
  end $$`;
