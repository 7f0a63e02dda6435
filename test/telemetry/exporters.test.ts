import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { createTelemetry, type Telemetry } from '@signet/kit/telemetry/telemetry.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTraceReceiver, type TraceReceiver } from '../../services/local/trace-receiver.ts';
import { demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { type Stack, startStack } from '../support/stack.ts';

/** How a receiver of spans behaves: it is not there, takes connections and says nothing, tears them down, is slow, or is well. */
type Mood = 'silent' | 'refusing' | 'slow' | 'well';

/** A receiver of spans that behaves as it is told, before a real one. */
class MoodyReceiver {
  mood: Mood = 'well';
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private readonly behind: number;

  constructor(behind: number) {
    this.behind = behind;
    this.server = createServer((socket) => this.take(socket));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', () => resolve()));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Changes the mood; whoever is connected has to come again. */
  become(mood: Mood): void {
    this.mood = mood;
    for (const socket of this.sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.become('refusing');
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private take(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => this.sockets.delete(socket));
    if (this.mood === 'refusing') return void socket.destroy();
    if (this.mood === 'silent') return void socket.resume();
    const { mood } = this;
    const behind = connect(this.behind, '127.0.0.1');
    behind.on('error', () => socket.destroy()).on('close', () => socket.destroy());
    socket.on('close', () => behind.destroy());
    socket.pipe(behind);
    behind.on('data', (bytes: Buffer) => {
      const pass = (): void => void (socket.destroyed || socket.write(bytes));
      if (mood === 'slow') setTimeout(pass, 1_000);
      else pass();
    });
  }
}

const portOf = (endpoint: string): number => Number(new URL(endpoint).port);

describe('receivers of spans that fail', () => {
  let receiver: TraceReceiver;
  let moody: MoodyReceiver;
  let stack: Stack;
  let slug = '';
  beforeAll(async () => {
    receiver = await startTraceReceiver();
    moody = new MoodyReceiver(portOf(receiver.endpoint));
    const endpoint = await moody.listen();
    stack = await startStack({
      engines: 'mock',
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
        OTEL_TRACES_SAMPLER: 'always_on',
        SIGNET_LOG_LEVEL: 'info',
        SIGNET_RATE_LIMIT: 'off',
      },
      envOf: { executor: { OTEL_METRICS_EXPORTER: 'console', OTEL_METRIC_EXPORT_INTERVAL: '500' } },
    });
    slug = String((await readyProgram(stack)).slug);
  });
  afterAll(async () => {
    await stack?.close();
    await moody?.close();
    await receiver?.close();
  });

  const execute = () => stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS });
  /** Milliseconds of the middle one of many calls that all succeed. */
  const medianMs = async (): Promise<number> => {
    const times: number[] = [];
    for (let round = 0; round < 40; round++) {
      const begun = performance.now();
      demand(await execute(), 200);
      times.push(performance.now() - begun);
    }
    return times.toSorted((a, b) => a - b)[20]!;
  };
  const linesOf = (text: string): string[] =>
    stack
      .logs()
      .split('\n')
      .filter((line) => line.includes(text));

  it.each(['silent', 'refusing', 'slow'] as const)(
    'TEL-03 costs no request anything where the receiver is %s',
    async (mood) => {
      moody.become('well');
      const wellMs = await medianMs();
      moody.become(mood);
      const illMs = await medianMs();
      expect(illMs).toBeLessThan(wellMs * 3 + 50);
      expect(stack.logs()).not.toMatch(/"level":"(error|fatal)"/);
    },
  );

  it('TEL-03 says once that nobody takes spans, and once that they are taken again', async () => {
    moody.become('refusing');
    await eventually(async () => {
      demand(await execute(), 200);
      expect(linesOf('nobody takes them').some((line) => line.includes('"service":"executor"'))).toBe(true);
    }, 20_000);
    const told = linesOf('nobody takes them').length;
    for (let round = 0; round < 20; round++) demand(await execute(), 200);
    expect(linesOf('nobody takes them').length - told).toBeLessThanOrEqual(2);
    moody.become('well');
    await eventually(async () => {
      demand(await execute(), 200);
      expect(linesOf('spans are taken again').some((line) => line.includes('"service":"executor"'))).toBe(true);
    }, 20_000);
    const { text } = await stack.http.get('/metrics', { key: '' });
    expect(text).toMatch(/signet_telemetry_span_lost_total\{[^}]*reason="refused"[^}]*\} [1-9]/);
  });

  it('TEL-03 reports all metrics in the log where that is wished', async () => {
    await eventually(() =>
      expect(
        linesOf('"msg":"metrics"').some((line) =>
          line.includes('signet.execution.count{engine=mock,status=completed}'),
        ),
      ).toBe(true),
    );
  });
});

describe('spans that nobody takes', () => {
  let moody: MoodyReceiver;
  let telemetry: Telemetry;
  beforeAll(async () => {
    moody = new MoodyReceiver(1);
    const endpoint = await moody.listen();
    moody.become('silent');
    telemetry = createTelemetry('flooded', { endpoint, sampler: 'always_on', samplerArg: 1 });
  });
  afterAll(() => moody?.close());

  it('are bounded, counted, and hold back neither who ends them nor the end of the process', async () => {
    const begun = performance.now();
    for (let index = 0; index < 30_000; index++) telemetry.tracer.startSpan('one', {}, ROOT_CONTEXT).end();
    expect(performance.now() - begun).toBeLessThan(5_000);
    const text = await telemetry.metricsText();
    expect(text).toMatch(/signet_telemetry_span_waiting(\{[^}]*\})? 8192/);
    expect(text).toMatch(/signet_telemetry_span_lost_total\{[^}]*reason="full"[^}]*\} 21808/);
    const ending = performance.now();
    await telemetry.shutdown();
    expect(performance.now() - ending).toBeLessThan(4_500);
  });
});
