import { Command } from 'commander';
import { addSharedOptions } from '../session.ts';
import type { Run } from './contract-commands.ts';
import { printEvents } from './print-events.ts';

/** `signet executions watch ID`: the events of one execution until it has ended. */
export function watchCommand(run: Run): Command {
  const command = new Command('watch')
    .summary('follow one execution until it has ended')
    .description(
      'Shows what happens to an execution until it has ended, over lost connections too. Ends with 1 if it failed.',
    )
    .argument('<execution>', 'its id')
    .option('--after-sequence <number>', 'only events after this one', Number);
  return addSharedOptions(command).action((execution: string, { afterSequence }: { afterSequence?: number }) =>
    run(command, async ({ client, printer, call }) => {
      const after = afterSequence === undefined ? {} : { afterSequence };
      await printEvents(printer, client.executions.watch(execution, { ...call, ...after }));
    }),
  );
}
