import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import {
  type CompileProgramResponse,
  type Dialect,
  type ParseCompletionResponse,
  type ProgramDefinition,
  type RenderPromptResponse,
  SidecarServiceClient,
  WorkerState,
} from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { startPythonSidecar } from '../support/python-sidecar.ts';
import { createSessionRuns, type SessionRuns } from './session-runs.ts';

const WORKERS = 2;
const READY_MS = 60_000;
const CALL_MS = 30_000;
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

/** A sidecar of one run's own. */
export type Sidecar = {
  readonly dialect: Dialect;
  compile(program: ProgramDefinition): Promise<CompileProgramResponse>;
  parse(
    program: ProgramDefinition,
    predictor: string,
    adapter: string,
    reply: string,
  ): Promise<ParseCompletionResponse>;
  render(program: ProgramDefinition, predictor: string, adapter: string, inputs: string): Promise<RenderPromptResponse>;
  /** Runs a program on a worker, with a script in place of the model. */
  readonly run: SessionRuns['run'];
  /** Ends it and waits until it has ended. */
  close(): Promise<void>;
};

/** Starts a sidecar on a free port and waits until a worker takes calls. */
export async function startSidecar(): Promise<Sidecar> {
  const process = await startPythonSidecar({ workers: WORKERS });
  const client = new SidecarServiceClient(process.address, credentials.createInsecure(), {
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  });
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${process.token}`);
  const call = <T>(start: (done: (error: ServiceError | null, response: T) => void) => void): Promise<T> =>
    new Promise((resolve, reject) => start((error, response) => (error === null ? resolve(response) : reject(error))));
  const until = (): { deadline: number } => ({ deadline: Date.now() + CALL_MS });
  const sessions = createSessionRuns(process);
  const close = async (): Promise<void> => {
    sessions.close();
    client.close();
    await process.stop();
  };
  try {
    return {
      dialect: await becomeReady(() => call((done) => client.getPool({ soloWaiting: 0 }, metadata, until(), done))),
      compile: (program) => call((done) => client.compileProgram({ program }, metadata, until(), done)),
      parse: (program, predictor, promptAdapter, reply) =>
        call((done) => {
          const replyJson = Buffer.from(JSON.stringify(reply));
          client.parseCompletion({ program, predictor, promptAdapter, replyJson }, metadata, until(), done);
        }),
      render: (program, predictor, promptAdapter, inputs) =>
        call((done) => {
          const inputsJson = Buffer.from(inputs);
          client.renderPrompt({ program, predictor, promptAdapter, inputsJson }, metadata, until(), done);
        }),
      run: sessions.run,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

type Pool = { readonly workers: readonly { readonly state: WorkerState }[]; readonly dialect?: Dialect | undefined };

async function becomeReady(look: () => Promise<Pool>): Promise<Dialect> {
  const deadline = Date.now() + READY_MS;
  for (;;) {
    const { workers, dialect } = await look();
    const ready = workers.filter(({ state }) => state === WorkerState.WORKER_STATE_READY);
    if (ready.length === workers.length && workers.length > 0 && dialect !== undefined) return dialect;
    if (Date.now() > deadline) throw new Error('the sidecar has no worker after a minute');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
