import { hash } from 'node:crypto';
import type { Context } from '@opentelemetry/api';
import type { Principal } from '@signet/kit/call-context.ts';
import type { Clock } from '@signet/kit/clock.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';

/** A key's owner as the registry tells it; `expireMs` in milliseconds since 1970. */
export type KnownKey = { readonly principal: Principal; readonly expireMs: number | undefined };

/** Finds whose a key is; throws KEY_INVALID or KEY_EXPIRED, or what kept it from asking. */
export type Authenticate = (key: string, trace: Context) => Promise<KnownKey>;

/** Knows the callers by their keys. */
export type KeyRing = {
  /** The caller whom a key names, if that is known at once; undefined if the registry has to be asked. Throws as `resolve`. */
  known(authorization: string | undefined): Principal | undefined;
  /**
   * The caller whom `Bearer KEY` names; throws KEY_MISSING, KEY_INVALID, KEY_EXPIRED or SERVICE_UNAVAILABLE. The question
   * belongs to the trace of the call that had to ask.
   */
  resolve(authorization: string | undefined, trace: Context): Promise<Principal>;
};

type Entry = {
  readonly freshUntilMs: number;
  readonly known: KnownKey | undefined;
  readonly refusal: AppError | undefined;
};

/** Milliseconds for which a key is taken unasked: a revoked one ends within 5 s. */
const acceptedForMs = 4000;
const refusedForMs = 1000;
const entriesMax = 10_000;

/** Makes a ring that asks at most once at a time for each key and remembers digests, never keys. */
export function createKeyRing(authenticate: Authenticate, clock: Clock): KeyRing {
  const entries = new Map<string, Entry>();
  const asking = new Map<string, Promise<Entry>>();

  const remember = (digest: string, entry: Entry): Entry => {
    entries.delete(digest);
    if (entries.size >= entriesMax) entries.delete(entries.keys().next().value!);
    entries.set(digest, entry);
    return entry;
  };
  const ask = async (key: string, digest: string, trace: Context): Promise<Entry> => {
    // Counted from before the question, so that an answer that was slow to come is not fresh for longer.
    const startMs = clock.steadyMs();
    try {
      const known = await authenticate(key, trace);
      return remember(digest, { freshUntilMs: startMs + acceptedForMs, known, refusal: undefined });
    } catch (thrown) {
      const refusal = normalizeError(thrown);
      if (refusal.reason !== 'KEY_INVALID' && refusal.reason !== 'KEY_EXPIRED') throw thrown;
      return remember(digest, { freshUntilMs: startMs + refusedForMs, known: undefined, refusal });
    } finally {
      asking.delete(digest);
    }
  };
  const open = (entry: Entry): Principal => {
    if (entry.known === undefined) throw entry.refusal;
    const { expireMs } = entry.known;
    if (expireMs !== undefined && clock.now().getTime() >= expireMs) {
      throw new AppError('KEY_EXPIRED', 'The key has expired');
    }
    return entry.known.principal;
  };
  return {
    known(authorization) {
      const entry = entries.get(digestOf(readKey(authorization)));
      return entry === undefined || clock.steadyMs() >= entry.freshUntilMs ? undefined : open(entry);
    },
    async resolve(authorization, trace) {
      const key = readKey(authorization);
      const digest = digestOf(key);
      const entry = entries.get(digest);
      if (entry !== undefined && clock.steadyMs() < entry.freshUntilMs) return open(entry);
      let question = asking.get(digest);
      if (question === undefined) {
        question = ask(key, digest, trace);
        asking.set(digest, question);
      }
      return open(await question);
    },
  };
}

function digestOf(key: string): string {
  return hash('sha256', key, 'base64');
}

function readKey(authorization: string | undefined): string {
  if (authorization === undefined || authorization.trim() === '') {
    throw new AppError('KEY_MISSING', 'A key is needed: Authorization: Bearer KEY');
  }
  const key = /^bearer +([\x21-\x7e](?:[\x20-\x7e]{0,510}[\x21-\x7e])?) *$/i.exec(authorization)?.[1];
  if (key === undefined) throw new AppError('KEY_INVALID', 'The key is not known');
  return key;
}
