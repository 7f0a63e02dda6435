import { Client, type ClientDuplexStream, credentials, Metadata, status } from '@grpc/grpc-js';
import { encodePrincipal } from '@signet/kit/call-context.ts';
import { fromRpcStatus } from '@signet/kit/grpc/status.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { Status } from '@signet/proto/gen/google/rpc/status.ts';
import {
  type AttachedSessionRequest,
  type AttachedSessionResponse,
  type CallFrame,
  type CarriedCall,
  ExecutorInternalServiceService,
} from '@signet/proto/gen/signet/internal/v1/executor.ts';
import { ExecutionResult } from '@signet/proto/gen/signet/v1/execution.ts';
import { ExecuteProgramRequest, RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { afterEach, describe, expect, it } from 'vitest';
import { internalToken, json, plain, startTestExecutor } from '../test-support/executor.ts';
import { mockOf, useTestExecutor } from '../test-support/use-executor.ts';

const programs = [
  { slug: 'qa', spec: 'q: str -> a: str' },
  { slug: 'slow', spec: 'q: str -> a: str', configuration: mockOf({ latency_ms: 60_000 }) },
  { slug: 'soon', spec: 'q: str -> a: str', configuration: mockOf({ latency_ms: 100 }) },
];
const test = useTestExecutor(programs);

/** The gateway's side of a session. */
class Session {
  readonly heard: AttachedSessionResponse[] = [];
  ended: number | undefined;
  private readonly client: Client;
  private readonly stream: ClientDuplexStream<AttachedSessionRequest, AttachedSessionResponse>;

  constructor(address: string, token = internalToken) {
    this.client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${token}`);
    const { path, requestSerialize, responseDeserialize } = ExecutorInternalServiceService.attachedSession;
    this.stream = this.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
    this.stream.on('data', (message: AttachedSessionResponse) => this.heard.push(message));
    this.stream.on('error', () => {});
    this.stream.on('status', ({ code }) => {
      this.ended = code;
    });
  }

  send(...frames: CallFrame[]): void {
    this.stream.write({ frames });
  }

  execute(call: number, program: string, more: Partial<CarriedCall> = {}): void {
    const request = ExecuteProgramRequest.fromPartial({ program, inputs: json({ q: String(call) }) });
    const value: CarriedCall = {
      path: RuntimeServiceService.executeProgram.path,
      request: Buffer.from(ExecuteProgramRequest.encode(request).finish()),
      timeoutMs: 20_000n,
      principal: encodePrincipal({ keyId: 'key-7', name: 'tester', role: 'runner' }),
      ...{ traceparent: '', prefer: '', payload: '', ...more },
    };
    this.send({ call, kind: { $case: 'start', value } });
  }

  end(): void {
    this.stream.end();
  }

  close(): void {
    this.stream.cancel();
    this.client.close();
  }

  get frames() {
    return this.heard.flatMap(({ frames }) => frames);
  }

  get isLeaving(): boolean {
    return this.heard.some(({ leaving }) => leaving);
  }

  reason(call: number): string | undefined {
    const kind = this.frames.find((frame) => frame.call === call)?.kind;
    return kind?.$case === 'status' ? fromRpcStatus(Status.decode(kind.value))?.reason : undefined;
  }
}

describe('AttachedSession', () => {
  const open: Session[] = [];
  afterEach(() => {
    for (const session of open.splice(0)) session.close();
  });
  const begin = async (address = test.app.listening.grpc!, token?: string): Promise<Session> => {
    const session = new Session(address, token);
    open.push(session);
    await eventually(async () => expect(session.heard.length > 0 || session.ended !== undefined).toBe(true));
    return session;
  };
  const frames = (session: Session, count: number) =>
    eventually(async () => expect(session.frames).toHaveLength(count));

  it('greets, answers many calls in one stream, and keeps each with who asked', async () => {
    const session = await begin();
    expect(session.heard[0]).toEqual({ frames: [], leaving: false });
    for (let call = 1; call <= 20; call++) session.execute(call, 'qa');
    await frames(session, 20);
    expect(session.frames.map(({ call }) => call).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 20 }, (_, at) => at + 1),
    );
    const { kind } = session.frames[0]!;
    const result = ExecutionResult.decode(kind?.$case === 'answer' ? kind.value.response : Buffer.alloc(0));
    expect(plain(result.outputs)).toHaveProperty('a');
    const { rows } = await test.sql.query('select key_id, status from executor.executions where id = $1', [
      result.executionId,
    ]);
    expect(rows).toEqual([{ key_id: 'key-7', status: 'completed' }]);
  });

  it('answers with the headers that a call of its own would have had', async () => {
    const session = await begin();
    session.execute(1, 'qa', { prefer: 'respond-async' });
    await frames(session, 1);
    const { kind } = session.frames[0]!;
    const answer = kind?.$case === 'answer' ? kind.value : undefined;
    expect(answer?.httpStatus).toBe('202');
    expect(answer?.location).toMatch(/^\/v1\/executions\/[0-9a-f-]{36}$/);
  });

  it('ends a call with its reason, and the stream goes on', async () => {
    const session = await begin();
    session.execute(1, 'nowhere');
    session.execute(2, 'qa', { request: Buffer.from([0xff, 0xff, 0xff]) });
    session.execute(3, 'qa', { path: '/signet.v1.RuntimeService/Nothing' });
    session.execute(4, 'slow', { timeoutMs: 150n });
    session.send({ call: 99, kind: { $case: 'cancel', value: true } }, { call: 98, kind: undefined });
    await frames(session, 4);
    expect([session.reason(1), session.reason(2), session.reason(4)]).toEqual([
      'PROGRAM_NOT_FOUND',
      'INVALID_REQUEST',
      'DEADLINE_EXCEEDED',
    ]);
    const unknown = session.frames.find(({ call }) => call === 3)?.kind;
    expect(unknown?.$case === 'status' && Status.decode(unknown.value).code).toBe(status.UNIMPLEMENTED);
    session.execute(5, 'qa');
    await frames(session, 5);
  });

  const lastOfSlow = async () =>
    (await test.sql.query(`select status from executor.executions where slug = 'slow' order by id desc limit 1`)).rows;

  it('cancels what nobody waits for any more: one call, or all of a stream that breaks', async () => {
    const session = await begin();
    session.execute(1, 'slow');
    await eventually(async () => expect(test.mock.runs).toBe(1));
    session.send({ call: 1, kind: { $case: 'cancel', value: true } });
    await eventually(async () => expect(await lastOfSlow()).toEqual([{ status: 'cancelled' }]));
    // The number is free again, and the answer is the new call's.
    session.execute(1, 'qa');
    await frames(session, 1);
    expect(session.frames[0]?.kind?.$case).toBe('answer');
    session.execute(2, 'slow');
    await eventually(async () => expect(test.mock.runs).toBe(3));
    session.close();
    await eventually(async () => expect(await lastOfSlow()).toEqual([{ status: 'cancelled' }]));
  });

  it('lets in nobody without the token', async () => {
    const stranger = await begin(undefined, 'another');
    await eventually(async () => expect(stranger.ended).toBe(status.UNAUTHENTICATED));
    expect(stranger.heard).toEqual([]);
  });

  it('tells that it goes, answers what is under way and what was on its way, and ends', async () => {
    const leaving = await startTestExecutor(test.databaseUrl, { registry: test.registry });
    const session = await begin(leaving.app.listening.grpc!);
    session.execute(1, 'soon');
    await eventually(async () => expect(leaving.mock.runs).toBe(1));
    const closed = leaving.close();
    await eventually(async () => expect(session.isLeaving).toBe(true));
    session.execute(2, 'qa');
    session.end();
    await frames(session, 2);
    expect(session.frames.every(({ kind }) => kind?.$case === 'answer')).toBe(true);
    await eventually(async () => expect(session.ended).toBe(status.OK));
    await closed;
  });
});
