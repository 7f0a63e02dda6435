import { Migration } from '@mikro-orm/migrations';

/** Who gets which version of a program, and which versions have served. */
export class ServingPolicies015 extends Migration {
  override up(): void {
    this.addSql(`alter table registry.programs add column serving_policy jsonb not null default '{}'`);
    this.addSql(`
      create table registry.program_servings (
        program_id uuid not null references registry.programs (id) on delete cascade,
        version integer not null,
        serve_time timestamptz(3) not null default now(),
        primary key (program_id, version)
      )`);
    this.addSql(`insert into registry.program_servings (program_id, version)
      select id, serving_version from registry.programs where serving_version > 0`);
    this.addSql(`
      create function registry.note_serving() returns trigger language plpgsql as $$
      begin
        insert into registry.program_servings (program_id, version) values (new.id, new.serving_version)
          on conflict (program_id, version) do update set serve_time = now();
        return null;
      end $$`);
    this.addSql(`
      create trigger programs_serving after update of serving_version on registry.programs for each row
      when (new.serving_version > 0 and new.serving_version is distinct from old.serving_version)
      execute function registry.note_serving()`);
  }

  override down(): void {
    this.addSql('drop trigger programs_serving on registry.programs');
    this.addSql('drop function registry.note_serving()');
    this.addSql('drop table registry.program_servings');
    this.addSql('alter table registry.programs drop column serving_policy');
  }
}
