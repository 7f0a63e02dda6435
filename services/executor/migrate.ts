import { runMigrate } from '@signet/kit/process/run-migrate.ts';
import { migrate } from './db/migrate.ts';

await runMigrate('executor', migrate);
