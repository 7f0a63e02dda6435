import { Migration } from '@mikro-orm/migrations';

/** What each result of an evaluation weighs, and which executors share a batch's places. */
export class WeightsShares018 extends Migration {
  override up(): void {
    // Results of before know no weight.
    this.addSql('alter table executor.evaluation_results add column weight double precision');
    this.addSql('alter table executor.evaluations add column weight_sum double precision not null default 0');
    this.addSql(
      `update executor.evaluations set weight_sum = result_count where status in ('pending', 'running') and result_count > 0`,
    );
    this.addSql(`alter table executor.batches add column shares jsonb not null default '[]'`);
  }

  override down(): void {
    this.addSql('alter table executor.batches drop column shares');
    this.addSql('alter table executor.evaluations drop column weight_sum');
    this.addSql('alter table executor.evaluation_results drop column weight');
  }
}
