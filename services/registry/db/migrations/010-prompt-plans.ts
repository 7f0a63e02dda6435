import { Migration } from '@mikro-orm/migrations';

/** What the native engine serves a version from, or why it cannot. */
export class PromptPlans010 extends Migration {
  override up(): void {
    this.addSql(`
      alter table registry.program_preparations
        add column plan_json text not null default '' check (octet_length(plan_json) <= 8388608),
        add column native_fault text not null default ''`);
  }

  override down(): void {
    this.addSql('alter table registry.program_preparations drop column plan_json, drop column native_fault');
  }
}
