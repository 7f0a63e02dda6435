import { Server, ServerCredentials, type ServerDuplexStream, type sendUnaryData, status } from '@grpc/grpc-js';
import {
  CompileProgramResponse,
  type ExecutorFrame,
  type Field,
  GetPoolResponse,
  Lane,
  type LmReply,
  OutputField,
  type SessionRequest,
  type SessionResponse,
  SidecarServiceService,
  type Start,
  Type,
  TypeKind,
  Worker,
  type WorkerFrame,
  WorkerState,
} from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';

/** The token that the fake asks for. */
export const fakeToken = 'fake-internal-token';

const dialect = { dspy: '3.4.1', jsonRepair: '0.64.5', pydantic: '2.14.3', python: '3.11' };
const answer = OutputField.create({ name: 'answer', text: true, type: Type.create({ kind: TypeKind.TYPE_KIND_STR }) });

/** One worker of the fake. What a run does is said by `do` in its inputs: echo, ask, tool, hang, raise, return. */
export class FakeWorker {
  readonly name: string;
  readonly frames: NonNullable<ExecutorFrame['kind']>[] = [];
  /** Frames that came in one message. */
  readonly batches: number[] = [];
  address = '';
  state: WorkerState = WorkerState.WORKER_STATE_READY;
  /** While true it reads and says nothing, like a stopped process. */
  frozen = false;
  /** While true it sends every run back: it has as many as it takes. */
  busy = false;
  credit: number;
  readonly lane: Lane;
  readonly #server = new Server({ 'grpc.max_receive_message_length': -1 });
  readonly #streams = new Set<ServerDuplexStream<SessionRequest, SessionResponse>>();

  constructor(name: string, credit: number, lane: Lane) {
    this.name = name;
    this.lane = lane;
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

  /** Sessions that are open. */
  get sessions(): number {
    return this.#streams.size;
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
    } else if (kind.$case === 'toolReply') {
      this.#succeed(kind.value.run, Buffer.from(`{"seen":${kind.value.observationJson}}`));
    }
  }

  #begin(start: Start): void {
    const { run } = start;
    if (this.busy) {
      this.#fail(run, 'QUEUE_FULL');
      return;
    }
    const inputs = JSON.parse(start.inputsJson.toString()) as { do: string; reason?: string; predictor?: string };
    this.say({ $case: 'step', value: { run, name: 'predict', status: 'started' } });
    if (inputs.do === 'echo') this.#succeed(run, start.inputsJson);
    else if (inputs.do === 'raise') this.#fail(run, inputs.reason ?? 'MODULE_FAILED');
    else if (inputs.do === 'tool') {
      const argsJson = Buffer.from('{"term":"Ada"}');
      this.say({ $case: 'toolCall', value: { run, call: 1, tool: 'lookup', argsJson, traceparent: '' } });
    } else if (inputs.do === 'ask') {
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
  /** What executors said of runs that wait for a solo worker. */
  readonly soloWaiting: number[];
  /** The names of the allow-list whose modules may share a worker. */
  readonly sharedNames: string[];
  addWorker(name: string, credit?: number, lane?: Lane): Promise<FakeWorker>;
  close(): void;
};

/** Starts a supervisor without workers. */
export async function startFakeSidecar(): Promise<FakeSidecar> {
  const workers: FakeWorker[] = [];
  const soloWaiting: number[] = [];
  const sharedNames: string[] = [];
  const server = new Server();
  server.addService(SidecarServiceService, {
    session: (stream: ServerDuplexStream<SessionRequest, SessionResponse>) => stream.end(),
    getPool: (call: { request: { soloWaiting: number } }, done: sendUnaryData<GetPoolResponse>) => {
      soloWaiting.push(call.request.soloWaiting);
      const listed = workers.map(({ name, address, state, lane }) =>
        Worker.create({ worker: name, pid: 4711, address, state, starts: 1, lane }),
      );
      const names = { moduleNames: ['Known'], sharedModuleNames: sharedNames };
      done(null, GetPoolResponse.create({ workers: listed, ...names, dialect }));
    },
    compileProgram: (
      call: { request: { program?: { module: string } } },
      done: sendUnaryData<CompileProgramResponse>,
    ) => {
      const bad = call.request.program?.module === 'nonsense';
      const error = bad ? { reason: 'MODULE_INVALID', message: 'no such module', pythonType: '' } : undefined;
      done(null, CompileProgramResponse.create({ dspyProgramId: bad ? '' : 'predict-1', dialect, error }));
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
    soloWaiting,
    sharedNames,
    async addWorker(name, credit = 8, lane = Lane.LANE_SHARED) {
      const worker = new FakeWorker(name, credit, lane);
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
