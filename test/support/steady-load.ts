import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionEvent } from '@signet/proto/gen/signet/v1/execution.ts';
import {
  ExecuteProgramRequest,
  RuntimeServiceService,
  StreamProgramRequest,
} from '@signet/proto/gen/signet/v1/runtime_service.ts';
import type { Told } from './execution-audit.ts';
import { createGrpcClient, type GrpcClient } from './grpc-clients.ts';
import { createHttpClient, type HttpClient } from './http.ts';
import { demand, QA_INPUTS } from './programs.ts';
import { openSse } from './sse.ts';

const PROBE_MS = 100;

/** Where a gateway's doors are. */
export type Doors = { readonly http: string; readonly grpc: string };

/** A gateway as one who shares calls out among several sees it. */
type Gateway = { readonly doors: Doors; readonly http: HttpClient; isReady: boolean };

/**
 * Callers that execute, stream, create and wait over both doors until they are stopped. Over HTTP each call goes to a gateway that said
 * it is ready, as a load balancer would send it; over gRPC the client itself knows all gateways. No call is ever made twice.
 */
export class SteadyLoad {
  readonly told: Told[] = [];
  /** What went wrong, one line each; nothing may. */
  readonly failures: string[] = [];
  /** How many calls of each kind were answered. */
  readonly answered = new Map<string, number>();
  private readonly key: string;
  private readonly slugs: readonly string[];
  private readonly gateways: Gateway[];
  private readonly grpc: GrpcClient;
  private readonly probe: NodeJS.Timeout;
  private callers: Promise<void>[] = [];
  private isOver = false;
  private turn = 0;

  constructor(doors: readonly Doors[], key: string, slugs: readonly string[]) {
    this.key = key;
    this.slugs = slugs;
    this.gateways = doors.map((one) => ({ doors: one, http: createHttpClient(one.http, key), isReady: true }));
    this.grpc = createGrpcClient(`ipv4:${doors.map(({ grpc }) => grpc).join(',')}`, key);
    this.probe = setInterval(() => void this.look(), PROBE_MS);
  }

  /** How many calls were answered. */
  get count(): number {
    return [...this.answered.values()].reduce((sum, one) => sum + one, 0);
  }

  /** Starts so many callers; each makes one call after another. */
  start(callers: number): void {
    this.callers = Array.from({ length: callers }, (_, at) => this.call(at));
  }

  /** Lets every call come to its answer, and closes. */
  async stop(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.callers);
    clearInterval(this.probe);
    this.grpc.close();
    await Promise.all(this.gateways.map(({ http }) => http.close()));
  }

  private async call(at: number): Promise<void> {
    const kinds = [
      ['http execute', () => this.executeOverHttp()],
      ['grpc execute', () => this.executeOverGrpc()],
      ['http stream', () => this.streamOverHttp()],
      ['grpc stream', () => this.streamOverGrpc()],
      ['create and wait', () => this.createAndWait()],
    ] as const;
    for (let turn = at; !this.isOver; turn += 1) {
      const [kind, make] = kinds[turn % kinds.length]!;
      try {
        this.told.push(await make());
        this.answered.set(kind, (this.answered.get(kind) ?? 0) + 1);
      } catch (error) {
        this.failures.push(
          `${new Date().toISOString()} ${kind}: ${String(error)} ${String((error as Error).cause ?? '')}`,
        );
      }
      await delay(5);
    }
  }

  private async look(): Promise<void> {
    await Promise.all(
      this.gateways.map(async (gateway) => {
        const signal = AbortSignal.timeout(1_000);
        const answer = await gateway.http.get('/readyz', { key: '', signal }).catch(() => undefined);
        gateway.isReady = answer?.status === 200;
      }),
    );
  }

  private slug(): string {
    this.turn += 1;
    return this.slugs[this.turn % this.slugs.length]!;
  }

  private gateway(): Gateway {
    this.turn += 1;
    const ready = this.gateways.filter(({ isReady }) => isReady);
    const among = ready.length === 0 ? this.gateways : ready;
    return among[this.turn % among.length]!;
  }

  private async executeOverHttp(): Promise<Told> {
    const answer = await this.gateway().http.post(`/v1/programs/${this.slug()}:execute`, { inputs: QA_INPUTS });
    const { executionId, outputs } = demand(answer, 200);
    return { id: String(executionId), outputs };
  }

  private async executeOverGrpc(): Promise<Told> {
    const request = ExecuteProgramRequest.fromPartial({ program: this.slug(), inputs: inputs() });
    const { executionId } = await this.grpc.unary(RuntimeServiceService.executeProgram, request);
    return { id: executionId, end: 'completed' };
  }

  private async streamOverHttp(): Promise<Told> {
    const url = `http://${this.gateway().doors.http}/v1/programs/${this.slug()}:stream`;
    const stream = await openSse({ url, key: this.key, body: { inputs: QA_INPUTS } });
    if (stream.status !== 200) throw new Error(`${stream.status}: ${await stream.text()}`);
    for await (const { event, data } of stream.events) {
      if (event === 'result') return { id: String(data.executionId), outputs: data.outputs };
      if (event === 'error') throw new Error(JSON.stringify(data));
    }
    throw new Error('the stream ended without a result');
  }

  private async streamOverGrpc(): Promise<Told> {
    const request = StreamProgramRequest.fromPartial({ program: this.slug(), inputs: inputs() });
    for await (const { event } of this.grpc.stream(RuntimeServiceService.streamProgram, request)) {
      if (isResult(event)) return { id: event.value.executionId, end: 'completed' };
    }
    throw new Error('the stream ended without a result');
  }

  private async createAndWait(): Promise<Told> {
    const created = await this.gateway().http.post('/v1/executions', { program: this.slug(), inputs: QA_INPUTS });
    const id = String(demand(created, 202).id);
    for (;;) {
      const { status } = demand(await this.gateway().http.get(`/v1/executions/${id}:wait?timeoutMs=20000`), 200);
      if (status === 'EXECUTION_STATUS_COMPLETED') return { id, end: 'completed' };
      if (!/PENDING|RUNNING/.test(String(status))) throw new Error(`${id} is ${status}`);
    }
  }
}

type Result = Extract<ExecutionEvent['event'], { $case: 'result' }>;

function isResult(event: ExecutionEvent['event']): event is Result {
  return event?.$case === 'result';
}

function inputs() {
  return { kind: { $case: 'json' as const, value: Buffer.from(JSON.stringify(QA_INPUTS)) } };
}
