import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { CallOptions } from '@signet/client/channel.grpc.ts';
import { type Connection, connectionFromEnvironment, runningAddress } from '@signet/client/connection.ts';
import { SignetClient } from '@signet/client/signet-client.ts';
import { type Command, Option } from 'commander';
import { createPrinter, type Printer } from './output/printer.ts';
import { parseDuration } from './read-value.ts';
import type { Terminal } from './terminal.ts';
import { UsageError } from './usage-error.ts';

/** What a command that asks the service works with. */
export type Session = {
  readonly client: SignetClient;
  readonly printer: Printer;
  readonly terminal: Terminal;
  /** Deadline and end of each call. */
  readonly call: CallOptions;
};

type SharedOptions = {
  readonly address?: string;
  readonly key?: string;
  readonly tls?: boolean;
  readonly ca?: string;
  readonly timeout?: string;
  readonly json?: boolean;
};

/** Options that every command has which asks the service. */
export const sharedOptions: readonly Option[] = [
  new Option('--address <host:port>', "the gateway's gRPC door; https://… for TLS").env('SIGNET_ADDRESS'),
  new Option(
    '--key <key>',
    'the API key; better in SIGNET_API_KEY or SIGNET_API_KEY_FILE, which nobody sees in a list of processes',
  ),
  new Option('--tls', 'encrypt the connection'),
  new Option('--ca <file>', 'certificate of the authority to trust, in PEM'),
  new Option(
    '--timeout <duration>',
    'give up after this long, such as 500ms, 30s or 5m (default: 60s; none for streams)',
  ),
  new Option('--json', 'print JSON'),
];

/** Names of the shared options, as they stand in parsed options. */
export const sharedNames = new Set(sharedOptions.map((option) => option.attributeName()));

/** Gives a command the shared options. */
export function addSharedOptions(command: Command): Command {
  for (const option of sharedOptions) {
    const copy = new Option(option.flags, option.description).helpGroup('Connection and output:');
    command.addOption(copy);
  }
  return command;
}

/** Opens a session by the options of a command and of those above it, the environment, and what runs on this machine. */
export function openSession(terminal: Terminal, command: Command, root: string): Session {
  const options = { ...command.optsWithGlobals(), ...command.opts() } as SharedOptions;
  const printer = createPrinter(terminal, options.json === true);
  const timeoutMs = options.timeout === undefined ? undefined : parseDuration(options.timeout);
  try {
    const client = new SignetClient(connectionOf(terminal, options, root));
    const call = { signal: terminal.stop, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
    return { client, printer, terminal, call };
  } catch (error) {
    throw error instanceof TypeError ? new UsageError(error.message) : error;
  }
}

/** Whether a command was asked for JSON. */
export function isJsonAsked(command: Command): boolean {
  return ({ ...command.optsWithGlobals(), ...command.opts() } as SharedOptions).json === true;
}

function connectionOf(terminal: Terminal, options: SharedOptions, root: string): Connection {
  const { env, cwd } = terminal;
  const known = readKnown(env);
  // Where nothing is said, the stack of this folder is meant, else that of the installation.
  const isSaid = env.SIGNET_ADDRESS || env.SIGNET_GRPC_ADDRESS;
  const dataDirs = [resolve(cwd, env.SIGNET_DATA_DIR || '.signet'), resolve(root, env.SIGNET_DATA_DIR || '.signet')];
  const running = isSaid ? undefined : dataDirs.map(runningAddress).find((address) => address !== undefined);
  const address = options.address ?? running ?? known.address;
  const key = options.key ?? known.key;
  const tls = options.ca === undefined ? options.tls : { ca: readCa(resolve(cwd, options.ca)) };
  return { address, ...(key === undefined ? {} : { key }), ...(tls === undefined ? {} : { tls }) };
}

function readKnown(env: Terminal['env']): Connection {
  try {
    return connectionFromEnvironment(env);
  } catch (error) {
    throw new UsageError(`the file of the API key cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function readCa(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
