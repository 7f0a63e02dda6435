import { Command, CommanderError } from 'commander';
import { callCommand } from './commands/call.ts';
import { completionScript } from './commands/completion.ts';
import { addContractCommands, type Run } from './commands/contract-commands.ts';
import { localCommands, runLauncher } from './commands/local.ts';
import { runCommand } from './commands/run.ts';
import { tailCommand } from './commands/tail.ts';
import { watchCommand } from './commands/watch.ts';
import { loadContract } from './contract/contract.ts';
import { exitCodeOf, exitCodes } from './exit-code.ts';
import { createPrinter } from './output/printer.ts';
import { addSharedOptions, isJsonAsked, openSession, type Session } from './session.ts';
import type { Terminal } from './terminal.ts';
import { UsageError } from './usage-error.ts';

const AFTER = `
Exit codes: 0 done, 1 failed, 2 command line not understood, 3 not found, 4 no permission, 5 unavailable or too busy,
124 deadline passed, 130 interrupted.

Examples:
  signet start                                             a whole stack on this machine
  export SIGNET_API_KEY=…                                  the key that it showed
  signet programs create --name qa --signature-spec 'question: str, context: list[str] -> answer: str, confidence: float'
  signet programs init qa
  signet run qa -i question='Who wrote it?' -i context='["Ada wrote it."]' --stream
  signet executions list --filter 'status = failed' --json
  signet tail --program qa
  signet batches upload --program qa --file rows.csv       every row of a file, nobody waits
  signet batches results ID --format csv --output results.csv
  signet programs batch-execute qa < items.ndjson          results as they finish
  signet datasets import held-out --file examples.csv      one new version of the dataset
  signet programs evaluate qa --dataset held-out --metric '{"kind":"exact_match"}'
  signet programs optimize qa --type bootstrap --dataset held-out --metric '{"kind":"exact_match"}'
  signet optimization-jobs watch ID                        until it has ended
  signet programs promote qa 2 --evaluate                  through the program's gate
`;

/** Runs the command line on a terminal and gives its exit code. `root` is the folder of the installation. */
export async function runSignet(terminal: Terminal, root: string, args: readonly string[]): Promise<number> {
  const state = { code: exitCodes.ok as number };
  const program = createProgram(terminal, root, state);
  try {
    await program.parseAsync(args, { from: 'user' });
    return state.code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    createPrinter(terminal, args.includes('--json')).failure(error);
    return exitCodeOf(error);
  }
}

function createProgram(terminal: Terminal, root: string, state: { code: number }): Command {
  const contract = loadContract();
  const run: Run = async (command, work) => {
    let session: Session | undefined;
    try {
      session = openSession(terminal, command, root);
      await work(session);
    } catch (error) {
      (session?.printer ?? createPrinter(terminal, isJsonAsked(command))).failure(error);
      state.code = exitCodeOf(error);
    } finally {
      session?.client.close();
    }
  };
  const program = addSharedOptions(new Command('signet'))
    .description('The place where DSPy programs live in production: keep, run and watch them.')
    .version('0.1.0', '-V, --version')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .helpCommand('help [command]', 'show the help of a command')
    .addHelpText('after', AFTER);
  const working = [runCommand(run), tailCommand(run), callCommand(contract, run)];
  for (const command of working) program.addCommand(command.helpGroup('Running:'));
  for (const command of localCommands(async (name, rest) => {
    state.code = await runLauncher(root, terminal, [name, ...rest]);
  })) {
    program.addCommand(command);
  }
  const executions = new Command('executions').description('work with executions').helpGroup('Resources:');
  program.addCommand(executions.addCommand(watchCommand(run)));
  addContractCommands(program, contract, run);
  program.addCommand(completionCommand(terminal, program).helpGroup('This machine:'));
  configure(program, terminal);
  return program;
}

function completionCommand(terminal: Terminal, program: Command): Command {
  return new Command('completion')
    .description('print the script that completes `signet` in a shell: source <(signet completion bash)')
    .argument('<shell>', 'bash, zsh or fish')
    .action((shell: string) => {
      try {
        terminal.stdout.write(completionScript(shell, program));
      } catch (error) {
        throw error instanceof RangeError ? new UsageError(error.message) : error;
      }
    });
}

// Settings reach only commands that are made after them, and these come from elsewhere.
function configure(command: Command, terminal: Terminal): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => void terminal.stdout.write(text),
    writeErr: (text) => void terminal.stderr.write(text),
    getOutHelpWidth: () => terminal.stdout.columns ?? 110,
    getErrHelpWidth: () => terminal.stderr.columns ?? 110,
  });
  for (const below of command.commands) configure(below, terminal);
}
