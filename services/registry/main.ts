import { runMain } from '@signet/kit/process/run-main.ts';
import { createRegistryApp } from './app.ts';
import { readConfig } from './config.ts';

await runMain('registry', (env) => createRegistryApp(readConfig(env)));
