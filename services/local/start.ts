import type { LauncherConfig } from './config.ts';
import { INPUTS, PROGRAM } from './demo/question.ts';
import type { MetricsDoors } from './doors.ts';
import { type Stack, startStack } from './stack.ts';

/** `npm start`: starts the stack, says where it is and how to begin, and keeps it up until it is asked to stop. Gives the exit code. */
export async function start(config: LauncherConfig, stop: AbortSignal): Promise<number> {
  const stack = await startStack(config, (line) => process.stdout.write(`  ${line} …\n`), stop);
  process.stdout.write(`${describeStack(stack)}\n`);
  if (!stop.aborted)
    await new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve(), { once: true }));
  process.stdout.write('\n  stopping …\n');
  await stack.stop();
  process.stdout.write('  stopped\n');
  return 0;
}

/** What a newcomer needs: doors, key (the one time it can be shown), three requests to paste. */
export function describeStack(
  stack: Pick<Stack, 'doors' | 'metrics' | 'languageModel' | 'adminKey' | 'isKeyNew' | 'logsDir'>,
): string {
  const base = `http://${stack.doors.http}`;
  const key = stack.isKeyNew
    ? [`  Administrator's key, shown this once:`, '', `    export SIGNET_KEY=${stack.adminKey}`]
    : [`  SIGNET_KEY below is the administrator's key: the one shown at the first start, or your SIGNET_ADMIN_KEY.`];
  return [
    '',
    'Signet is up.',
    '',
    `  HTTP             ${base}   (${base}/docs, ${base}/openapi.json)`,
    `  gRPC             ${stack.doors.grpc}   (with reflection)`,
    ...(stack.metrics ? [`  metrics          ${metricsOf(base, stack.metrics)}`] : []),
    `  language model   ${stack.languageModel.description}`,
    `  logs             ${stack.logsDir}`,
    '',
    ...key,
    '',
    '  Three requests to begin with:',
    '',
    ...requests(base).map((request) => `    ${request}\n`),
    '  Ctrl-C stops everything; the data stays.',
  ].join('\n');
}

function metricsOf(base: string, metrics: MetricsDoors): string {
  return [base, ...Object.values(metrics).map((address) => `http://${address}`)]
    .map((door) => `${door}/metrics`)
    .join(' ');
}

function requests(base: string): string[] {
  const post = (path: string, body: object) =>
    `curl -s ${base}${path} -H "Authorization: Bearer $SIGNET_KEY" -H 'Content-Type: application/json' \\\n      -d '${JSON.stringify(body)}'`;
  return [
    post('/v1/programs', PROGRAM),
    post('/v1/programs/qa:initialize', {}),
    post('/v1/programs/qa:execute', { inputs: INPUTS }),
  ];
}
