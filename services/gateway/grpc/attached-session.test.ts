import { Server, ServerCredentials, type ServerDuplexStream, status } from '@grpc/grpc-js';
import { AppError } from '@signet/kit/error/app-error.ts';
import { toStatusObject } from '@signet/kit/grpc/status.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import {
  type AnswerFrame,
  type AttachedSessionRequest,
  type AttachedSessionResponse,
  type CallFrame,
  ExecutorInternalServiceService,
} from '@signet/proto/gen/signet/internal/v1/executor.ts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AttachedSession, type SessionCall, type SessionOutcome } from './attached-session.ts';
import { AttachedSessions } from './attached-sessions.ts';

type Stream = ServerDuplexStream<AttachedSessionRequest, AttachedSessionResponse>;

/** A replica that answers what the test says; it greets unless it is told not to. */
class Replica {
  readonly streams: Stream[] = [];
  readonly heard: CallFrame[] = [];
  greets = true;
  address = '';
  private server = new Server();

  async start(port = 0): Promise<this> {
    this.server = new Server();
    this.server.addService(
      { attachedSession: ExecutorInternalServiceService.attachedSession },
      { attachedSession: (stream: Stream) => this.take(stream) },
    );
    const bound = await new Promise<number>((resolve, reject) =>
      this.server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) =>
        error === null ? resolve(at) : reject(error),
      ),
    );
    this.address = `127.0.0.1:${bound}`;
    return this;
  }

  answer(call: number, kind: AnswerFrame['kind']): void {
    this.streams.at(-1)!.write({ frames: [{ call, kind }], leaving: false });
  }

  /** The numbers of the calls that began. */
  get begun(): number[] {
    return this.heard.filter(({ kind }) => kind?.$case === 'start').map(({ call }) => call);
  }

  stop(): void {
    this.server.forceShutdown();
  }

  private take(stream: Stream): void {
    this.streams.push(stream);
    stream.on('data', ({ frames }: AttachedSessionRequest) => this.heard.push(...frames));
    stream.on('error', () => {});
    stream.on('end', () => stream.end());
    if (this.greets) stream.write({ frames: [], leaving: false });
  }
}

const call = (more: Partial<SessionCall> = {}): SessionCall => ({
  ...{ path: '/a.B/C', request: Buffer.from('in'), deadlineMs: Date.now() + 20_000 },
  ...{ principal: 'p', traceparent: '', prefer: '', payload: 'json', ...more },
});
const answered = (text: string): AnswerFrame['kind'] => ({
  $case: 'answer',
  value: { response: Buffer.from(text), httpStatus: '', location: '' },
});

describe('a session with a replica', () => {
  let replica: Replica;
  let session: AttachedSession;
  beforeEach(async () => {
    replica = await new Replica().start();
    session = new AttachedSession(replica.address, 'token');
    await eventually(async () => expect(session.takesCalls).toBe(true));
  });
  afterEach(() => {
    session.close();
    replica.stop();
  });

  const ask = (more?: Partial<SessionCall>) => {
    let cancel = (): void => {};
    const outcome = new Promise<SessionOutcome>((resolve) => {
      cancel = session.call(call(more), resolve);
    });
    return { outcome, cancel };
  };
  const begins = (count: number) => eventually(async () => expect(replica.begun).toHaveLength(count));
  const code = async (outcome: Promise<SessionOutcome>) => {
    const ended = await outcome;
    return ended.ok ? 'OK' : status[ended.raw.code];
  };

  test('carries many calls at once and gives each its own answer, in whatever order they come', async () => {
    const calls = [ask(), ask({ request: Buffer.from('second') }), ask()];
    await begins(3);
    const [first, second, third] = replica.begun as [number, number, number];
    replica.answer(third, answered('3'));
    replica.answer(first, answered('1'));
    const failure = new AppError('PROGRAM_NOT_FOUND', 'no such program', { metadata: { program: 'x' } });
    const [packed] = toStatusObject(failure).metadata.get('grpc-status-details-bin') as [Buffer];
    replica.answer(second, { $case: 'status', value: packed });
    const outcomes = await Promise.all(calls.map(({ outcome }) => outcome));
    expect(outcomes.map((one) => one.ok && one.response.toString())).toEqual(['1', false, '3']);
    expect(outcomes[1]).toMatchObject({ raw: { code: status.NOT_FOUND, details: 'no such program' } });
  });

  test('tells the replica of a caller who goes, and of a deadline that passes, and hears no late answer', async () => {
    const gone = ask();
    const late = ask({ deadlineMs: Date.now() + 30 });
    await begins(2);
    gone.cancel();
    gone.cancel();
    expect(await code(gone.outcome)).toBe('CANCELLED');
    expect(await code(late.outcome)).toBe('DEADLINE_EXCEEDED');
    await eventually(async () => expect(replica.heard.filter(({ kind }) => kind?.$case === 'cancel')).toHaveLength(2));
    for (const number of replica.begun) replica.answer(number, answered('late'));
    const next = ask();
    await begins(3);
    replica.answer(replica.begun.at(-1)!, answered('next'));
    expect(await next.outcome).toMatchObject({ ok: true, response: Buffer.from('next') });
  });

  test('fails its calls as lost when the replica dies, sends none of them again, and comes back by itself', async () => {
    const lost = [ask(), ask()];
    await begins(2);
    const port = Number(replica.address.split(':')[1]);
    replica.stop();
    expect(await Promise.all(lost.map(({ outcome }) => code(outcome)))).toEqual(['UNAVAILABLE', 'UNAVAILABLE']);
    expect(session.takesCalls).toBe(false);
    const second = new Replica();
    await eventually(() => second.start(port));
    await eventually(async () => expect(session.takesCalls).toBe(true));
    expect(second.heard).toEqual([]);
    const again = ask();
    await eventually(async () => expect(second.begun).toHaveLength(1));
    second.answer(second.begun[0]!, answered('again'));
    expect(await again.outcome).toMatchObject({ ok: true });
    second.stop();
  });

  test('takes nothing more once the replica says that it goes, and ends when the last answer is there', async () => {
    const running = ask();
    await begins(1);
    const [stream] = replica.streams as [Stream];
    stream.write({ frames: [], leaving: true });
    await eventually(async () => expect(session.takesCalls).toBe(false));
    let isEnded = false;
    stream.once('end', () => {
      isEnded = true;
    });
    replica.answer(replica.begun[0]!, answered('done'));
    expect(await running.outcome).toMatchObject({ ok: true });
    await eventually(async () => expect(isEnded).toBe(true));
  });

  test('gives nothing to a replica that does not greet', async () => {
    const silent = new Replica();
    silent.greets = false;
    await silent.start();
    const unheard = new AttachedSession(silent.address, 'token');
    await eventually(async () => expect(silent.streams).toHaveLength(1));
    expect(unheard.takesCalls).toBe(false);
    unheard.close();
    silent.stop();
  });

  test('is held with each replica, and they take turns; one that is away is passed over', async () => {
    const other = await new Replica().start();
    const sessions = new AttachedSessions(`${replica.address},${other.address}`, 'token');
    try {
      const turns = () => new Set(Array.from({ length: 4 }, () => sessions.next()));
      await eventually(async () => expect(turns().size).toBe(2));
      other.stop();
      await eventually(async () => expect(turns().size).toBe(1));
      expect(sessions.next()?.takesCalls).toBe(true);
    } finally {
      sessions.close();
      other.stop();
    }
    const nobody = new AttachedSessions('127.0.0.1:1', 'token');
    expect(nobody.next()).toBeUndefined();
    nobody.close();
  });
});
