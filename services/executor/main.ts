import { runMain } from '@signet/kit/process/run-main.ts';
import { createExecutorApp } from './app.ts';
import { readConfig } from './config.ts';

await runMain('executor', (env) => createExecutorApp(readConfig(env)));
