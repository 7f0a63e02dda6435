import { runMain } from '@signet/kit/process/run-main.ts';
import { createGatewayApp } from './app.ts';
import { readConfig } from './config.ts';

await runMain('gateway', (env) => createGatewayApp(readConfig(env)));
