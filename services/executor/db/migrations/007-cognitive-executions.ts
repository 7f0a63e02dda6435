import { Migration } from '@mikro-orm/migrations';

/** Executions under the table name and columns of the third founding document, as a view that can be written through. */
export class CognitiveExecutions007 extends Migration {
  override up(): void {
    this.addSql(`create view executor.cognitive_executions as
      select id, program_id, module_id, parent_id as parent_execution_id, inputs as input, outputs as output, trace, metrics, duration_ms,
        status, error, create_time as inserted_at, update_time as updated_at
      from executor.executions`);
  }

  override down(): void {
    this.addSql('drop view executor.cognitive_executions');
  }
}
