import { Command } from 'commander';
import { type Contract, findVerb } from '../contract/contract.ts';
import { readObject } from '../read-value.ts';
import { addSharedOptions } from '../session.ts';
import { UsageError } from '../usage-error.ts';
import { ask, follow } from './ask.ts';
import type { Run } from './contract-commands.ts';

/** `signet call METHOD [JSON]`: any method with a request in JSON; the answer is JSON. */
export function callCommand(contract: Contract, run: Run): Command {
  const command = new Command('call')
    .summary('call any method with a request in JSON')
    .description(
      'Calls any method of the contract. Inputs and outputs are plain objects, enums may be short, the answer is always JSON.',
    )
    .argument('<method>', 'such as ProgramService.ListPrograms, or ListPrograms')
    .argument('[request]', 'JSON, @file, or - for standard input', '{}')
    .addHelpText(
      'after',
      `
Examples:
  signet call ListPrograms '{"filter": "status = ready"}'
  signet call RuntimeService.ExecuteProgram @request.json
`,
    );
  return addSharedOptions(command).action((method: string, given: string) =>
    run(command, async (opened) => {
      const session = { ...opened, printer: { ...opened.printer, isJson: true } };
      const verb = findVerb(contract, method);
      if (verb === undefined) throw new UsageError(`there is no method ${method}: ${nearest(contract, method)}`);
      if (verb.bodyField !== undefined) throw new UsageError(`${method} takes rows: see its own command`);
      const request = await readObject(session.terminal, given, 'the request');
      const printer = session.printer;
      if (!verb.streams) {
        const answer = await ask(session, contract, verb, request);
        printer.json(answer);
        return;
      }
      for await (const message of follow(session, contract, verb, request)) printer.jsonLine(message);
    }),
  );
}

function nearest(contract: Contract, method: string): string {
  const words = method.split('.').at(-1)?.toLowerCase() ?? '';
  const names = contract.verbs.map(({ desc }) => `${desc.parent.name}.${desc.name}`);
  const alike = names.filter((name) => words.length > 2 && name.toLowerCase().includes(words));
  return alike.length > 0
    ? `did you mean ${alike.slice(0, 5).join(', ')}?`
    : `services are ${[...new Set(names.map((name) => name.split('.')[0]))].join(', ')}`;
}
