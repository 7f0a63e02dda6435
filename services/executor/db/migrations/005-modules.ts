import { Migration } from '@mikro-orm/migrations';

/** The registered module that an execution ran. */
export class Modules005 extends Migration {
  override up(): void {
    this.addSql(
      `alter table executor.executions add column module_id uuid, add column module_name text not null default ''`,
    );
    this.addSql('create index executions_module on executor.executions (module_id, id) where module_id is not null');
  }

  override down(): void {
    this.addSql('drop index executor.executions_module');
    this.addSql('alter table executor.executions drop column module_name, drop column module_id');
  }
}
