import { createWriteStream } from 'node:fs';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { JsonObject } from '@signet/client/json.ts';
import type { Contract, Verb } from '../contract/contract.ts';
import type { Session } from '../session.ts';
import { UsageError } from '../usage-error.ts';
import { follow } from './ask.ts';

/** Writes what a method sends to a file, or to standard output, as the bytes come and as fast as they are taken; a file that is there is replaced. */
export async function download(
  session: Session,
  contract: Contract,
  verb: Verb,
  request: JsonObject,
  path: string | undefined,
): Promise<void> {
  const { stdout, cwd } = session.terminal;
  const pieces = piecesOf(session, contract, verb, request);
  if (path === undefined || path === '-') return pipeline(pieces, stdout, { end: false });
  try {
    // What is refused leaves the file as it was.
    const first = await pieces.next();
    await pipeline(
      async function* () {
        if (!first.done) yield first.value;
        yield* pieces;
      },
      createWriteStream(resolve(cwd, path)),
    );
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall !== 'open') throw error;
    throw new UsageError(`${path} cannot be written (${code})`);
  }
}

async function* piecesOf(
  session: Session,
  contract: Contract,
  verb: Verb,
  request: JsonObject,
): AsyncGenerator<Buffer, void> {
  for await (const { data } of follow(session, contract, verb, request))
    yield Buffer.from(String(data ?? ''), 'base64');
}
