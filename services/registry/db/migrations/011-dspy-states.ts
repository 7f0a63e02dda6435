import { Migration } from '@mikro-orm/migrations';

/** What DSPy saved of a program, kept as it was with the version that was made of it. */
export class DspyStates011 extends Migration {
  override up(): void {
    this.addSql(`
      alter table registry.program_versions
        add column dspy_state text not null default '' check (octet_length(dspy_state) <= 8388608),
        drop constraint program_versions_source_check,
        add constraint program_versions_source_check check (source in ('create', 'update', 'optimize', 'import'))`);
  }

  override down(): void {
    this.addSql(`
      alter table registry.program_versions drop column dspy_state, drop constraint program_versions_source_check,
        add constraint program_versions_source_check check (source in ('create', 'update', 'optimize')) not valid`);
  }
}
