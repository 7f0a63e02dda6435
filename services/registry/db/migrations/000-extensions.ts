import { Migration } from '@mikro-orm/migrations';

/**
 * Installs `uuid-ossp` and `citext` where that is allowed, and remembers which it installed itself; where it is not allowed the
 * schema does without them. Down removes only those, unless something else came to need them.
 */
export class Extensions000 extends Migration {
  override up(): void {
    this.addSql('create table registry.installed_extensions (name text primary key)');
    this.addSql(`
      do $body$
      declare wanted text;
      begin
        foreach wanted in array array['uuid-ossp', 'citext'] loop
          if not exists (select from pg_extension where extname = wanted) then
            begin
              execute format('create extension %I', wanted);
              insert into registry.installed_extensions values (wanted);
            exception
              when insufficient_privilege or undefined_file or feature_not_supported or duplicate_object or unique_violation
                then null;
            end;
          end if;
        end loop;
      end $body$`);
  }

  override down(): void {
    this.addSql(`
      do $body$
      declare installed text;
      begin
        for installed in select name from registry.installed_extensions loop
          begin
            execute format('drop extension if exists %I', installed);
          exception
            when dependent_objects_still_exist or insufficient_privilege then null;
          end;
        end loop;
      end $body$`);
    this.addSql('drop table registry.installed_extensions');
  }
}
