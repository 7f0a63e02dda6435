import { Migration } from '@mikro-orm/migrations';

/** Programs under the table name and columns of the third founding document, as a view that can be written through. */
export class CognitivePrograms009 extends Migration {
  override up(): void {
    this.addSql(`
      create view registry.cognitive_programs as
        select id, name, description, variables, optimization_history, status,
          create_time as inserted_at, update_time as updated_at
        from registry.programs
        where delete_time is null`);
  }

  override down(): void {
    this.addSql('drop view registry.cognitive_programs');
  }
}
