import type { EngineName } from '@signet/client/execution.ts';
import type { JsonObject } from '@signet/client/json.ts';
import type { ExecuteOptions } from '@signet/client/programs.ts';
import { Command, Option } from 'commander';
import { withProgress } from '../output/progress.ts';
import { splitPair } from '../read-value.ts';
import { addSharedOptions, type Session } from '../session.ts';
import { UsageError } from '../usage-error.ts';
import type { Run } from './contract-commands.ts';
import { printEvents, printResult } from './print-events.ts';
import { readInputs } from './run-inputs.ts';

type RunFlags = {
  readonly input?: string[];
  readonly stream?: boolean;
  readonly detach?: boolean;
  readonly engine?: EngineName;
  readonly lm?: string;
  readonly programVersion?: string;
  readonly maxRetries?: string;
  readonly label?: string[];
  readonly requestId?: string;
};

/** `signet run PROGRAM`: runs a program with inputs from the command line. */
export function runCommand(run: Run): Command {
  const collect = (value: string, before: string[] = []): string[] => [...before, value];
  const command = new Command('run')
    .summary('run a program and show its outputs')
    .description('Runs a program once, waits, and shows its outputs.')
    .argument('<program>', 'id or slug')
    .option(
      '-i, --input <input>',
      'KEY=VALUE (read as the signature types it), KEY:=JSON, KEY=@file, an object {…}, @file.json, or - for standard input (repeatable)',
      collect,
    )
    .option('--stream', 'show text as it is written')
    .option('--detach', 'do not wait: print the execution as soon as it is committed')
    .addOption(new Option('--engine <name>', 'run on this engine').choices(['python', 'native', 'mock']))
    .option('--lm <slug>', 'ask this language model')
    .option('--program-version <number>', 'run this version instead of the serving one')
    .option('--max-retries <number>', 'how often a failed call of the model is repeated')
    .option('--label <key=value>', 'label of the execution (repeatable)', collect)
    .option('--request-id <id>', 'makes repeats of this command one, for 24 h')
    .addHelpText(
      'after',
      `
Examples:
  signet run qa -i question='Who wrote it?' -i context='["Ada wrote it."]'
  signet run qa -i @inputs.json --stream
  jq '{question: .title}' page.json | signet run qa -i - -i context:='[]' --json
  signet executions watch "$(signet run qa -i @inputs.json --detach)"
`,
    );
  return addSharedOptions(command).action((program: string, flags: RunFlags) =>
    run(command, async (session) => {
      if (flags.stream && flags.detach) throw new UsageError('--stream and --detach exclude each other');
      const inputs = await readInputs(session, program, flags.input ?? []);
      await runOnce(session, program, inputs, flags);
    }),
  );
}

async function runOnce(session: Session, program: string, inputs: JsonObject, flags: RunFlags): Promise<void> {
  const { client, printer, terminal } = session;
  const options = { ...session.call, ...runOptions(flags) };
  if (flags.stream) return printEvents(printer, client.programs.stream(program, inputs, options));
  if (flags.detach) {
    const started = await client.programs.start(program, inputs, options);
    return printer.item({ id: started.id, status: started.status }, () => started.id);
  }
  const work = (): Promise<object> => client.programs.execute(program, inputs, options);
  return printResult(printer, await withProgress(terminal.stderr, `running ${program}`, work));
}

function runOptions(flags: RunFlags): ExecuteOptions {
  const { engine, lm, requestId, label = [] } = flags;
  const labels = Object.fromEntries(label.map((pair) => splitPair(pair, '--label')));
  return {
    labels,
    ...(engine === undefined ? {} : { engine }),
    ...(lm === undefined ? {} : { lm }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(flags.programVersion === undefined ? {} : { version: count(flags.programVersion, '--program-version') }),
    ...(flags.maxRetries === undefined ? {} : { maxRetries: count(flags.maxRetries, '--max-retries') }),
  };
}

function count(text: string, name: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`${name} must be a whole number, not \`${text}\``);
  return Number(text);
}
