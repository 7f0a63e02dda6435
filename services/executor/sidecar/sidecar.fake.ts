import { Server, ServerCredentials, type ServerDuplexStream, type sendUnaryData, status } from '@grpc/grpc-js';
import {
  type CompileProgramResponse,
  type ExecutorFrame,
  type Field,
  type LmReply,
  OutputField,
  type SessionRequest,
  type SessionResponse,
  SidecarServiceService,
  type Start,
  Type,
  TypeKind,
  type WorkerFrame,
  WorkerState,
} from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';

/** The token that the fake asks for. */
export const fakeToken = 'fake-internal-token';

const dialect = { dspy: '3.4.1', jsonRepair: '0.64.5', pydantic: '2.14.3', python: '3.11' };
const answer = OutputField.create({ name: 'answer', text: true, type: Type.create({ kind: TypeKind.TYPE_KIND_STR }) });

/** One worker of the fake. What a run does is said by `do` in its inputs: echo, ask, hang, raise, return. */
export class FakeWorker {
  readonly name: string;
  readonly frames: NonNullable<ExecutorFrame['kind']>[] = [];
  /** Frames that came in one message. */
  readonly batches: number[] = [];
  address = '';
  state: WorkerState = WorkerState.WORKER_STATE_READY;
  /** While true it reads and says nothing, like a stopped process. */
  frozen = false;
  credit: number;
  readonly #server = new Server({ 'grpc.max_receive_message_length': -1 });
  readonly #streams = new Set<ServerDuplexStream<SessionRequest, SessionResponse>>();

  constructor(name: string, credit: number) {
    this.name = name;
    this.credit = credit;
  }

  async start(): Promise<void> {
    const session = (stream: ServerDuplexStream<SessionRequest, SessionResponse>): void => this.#serve(stream);
    this.#server.addService({ session: SidecarServiceService.session }, { session });
    this.address = await bind(this.#server);
  }

  /** Goes away without a word, as if killed. */
  kill(): void {
    this.state = WorkerState.WORKER_STATE_LOST;
    this.#server.forceShutdown();
  }

  say(...kinds: NonNullable<WorkerFrame['kind']>[]): void {
    if (this.frozen) return;
    for (const stream of this.#streams) stream.write({ frames: kinds.map((kind) => ({ kind })) });
  }

  count($case: NonNullable<ExecutorFrame['kind']>['$case']): number {
    return this.frames.filter((frame) => frame.$case === $case).length;
  }

  #serve(stream: ServerDuplexStream<SessionRequest, SessionResponse>): void {
    if (stream.metadata.get('authorization')[0] !== `Bearer ${fakeToken}`) {
      stream.emit('error', { code: status.UNAUTHENTICATED, details: 'wrong token' });
      return;
    }
    this.#streams.add(stream);
    stream.on('close', () => this.#streams.delete(stream));
    stream.on('error', () => this.#streams.delete(stream));
    stream.on('end', () => stream.end());
    stream.on('data', ({ frames }: SessionRequest) => {
      this.batches.push(frames.length);
      for (const { kind } of frames) {
        this.frames.push(kind!);
        if (kind !== undefined) this.#take(kind);
      }
    });
  }

  #take(kind: NonNullable<ExecutorFrame['kind']>): void {
    if (kind.$case === 'hello') {
      this.say({ $case: 'ready', value: { worker: this.name, pid: 4711, dialect, credit: this.credit } });
    } else if (kind.$case === 'start') {
      this.#begin(kind.value);
    } else if (kind.$case === 'cancel') {
      this.#fail(kind.value.run, 'CANCELLED');
    } else if (kind.$case === 'lmReply') {
      this.#replied(kind.value);
    }
  }

  #begin(start: Start): void {
    const { run } = start;
    const inputs = JSON.parse(start.inputsJson.toString()) as { do: string; reason?: string; predictor?: string };
    this.say({ $case: 'step', value: { run, name: 'predict', status: 'started' } });
    if (inputs.do === 'echo') this.#succeed(run, start.inputsJson);
    else if (inputs.do === 'raise') this.#fail(run, inputs.reason ?? 'MODULE_FAILED');
    else if (inputs.do === 'ask') {
      const optionsJson = start.lmOptionsJson;
      const messages = [{ role: 'user', content: 'who?' }];
      const call = { run, call: 1, predictor: 'predict', promptAdapter: 'chat', outputFields: [answer], messages };
      this.say({ $case: 'lmCall', value: { ...call, optionsJson, traceparent: '' } });
    }
  }

  #replied({ run, outcome }: LmReply): void {
    if (outcome?.$case === 'completion')
      this.#succeed(run, Buffer.from(JSON.stringify({ answer: outcome.value.text })));
    else this.#fail(run, outcome?.value.reason ?? '', outcome?.value.message);
  }

  #succeed(run: bigint, outputsJson: Buffer): void {
    this.say({ $case: 'result', value: { run, outputsJson, lmCalls: 1, ownUs: 42n } });
  }

  #fail(run: bigint, reason: string, message = `scripted ${reason}`): void {
    const error = { run, reason, message, category: 'module', pythonType: 'ValueError', retryable: false };
    this.say({ $case: 'error', value: { ...error, traceback: 'Traceback', lmCalls: 0 } });
  }
}

/** A sidecar that runs scripts in place of DSPy, over real gRPC. */
export type FakeSidecar = {
  readonly port: number;
  readonly workers: FakeWorker[];
  addWorker(name: string, credit?: number): Promise<FakeWorker>;
  close(): void;
};

/** Starts a supervisor without workers. */
export async function startFakeSidecar(): Promise<FakeSidecar> {
  const workers: FakeWorker[] = [];
  const server = new Server();
  server.addService(SidecarServiceService, {
    session: (stream: ServerDuplexStream<SessionRequest, SessionResponse>) => stream.end(),
    getPool: (_call: unknown, done: sendUnaryData<unknown>) => {
      const listed = workers.map(({ name, address, state }) => ({
        worker: name,
        pid: 4711,
        address,
        state,
        starts: 1,
      }));
      done(null, { workers: listed, moduleNames: ['Known'], dialect });
    },
    compileProgram: (
      call: { request: { program?: { module: string } } },
      done: sendUnaryData<CompileProgramResponse>,
    ) => {
      const bad = call.request.program?.module === 'nonsense';
      const error = bad ? { reason: 'MODULE_INVALID', message: 'no such module', pythonType: '' } : undefined;
      done(null, { dspyProgramId: bad ? '' : 'predict-1', dialect, error });
    },
    describeModule: (call: { request: { name: string } }, done: sendUnaryData<unknown>) => {
      const fields: Field[] = [];
      const known = call.request.name === 'Known';
      const error = known ? undefined : { reason: 'MODULE_INVALID', message: 'not on the allow-list', pythonType: '' };
      done(null, { name: call.request.name, signature: known ? { instructions: 'Do it.', fields } : undefined, error });
    },
  });
  const address = await bind(server);
  return {
    port: Number(address.split(':')[1]),
    workers,
    async addWorker(name, credit = 8) {
      const worker = new FakeWorker(name, credit);
      await worker.start();
      workers.push(worker);
      return worker;
    },
    close() {
      for (const worker of workers) worker.kill();
      server.forceShutdown();
    },
  };
}

function bind(server: Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(`127.0.0.1:${port}`) : reject(error),
    );
  });
}
