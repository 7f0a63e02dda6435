import type { Metadata } from '@grpc/grpc-js';
import type { Context } from '@opentelemetry/api';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { pauseOrThrow } from '@signet/kit/pause.ts';
import { traceparentOf } from '@signet/kit/telemetry/traceparent.ts';
import type { OptimizeStart, ProgramDefinition } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { EngineProgram, LmEndpoint } from '../engine/engine.ts';
import type { Metric } from '../metric/metric.ts';
import { metricProgram } from '../metric/sidecar-metric.ts';
import type { OptimizerExamples } from './optimizer-examples.ts';
import { type OptimizerEnd, type OptimizerListener, runOptimizer } from './optimizer-session.ts';
import { nameProgram } from './program-definition.ts';
import { workerAddress } from './resolve-addresses.ts';
import { engineUnavailable, type SupervisorClient } from './supervisor-client.ts';

/** One optimizer at work: on which program, by which measure, with which examples. */
export type OptimizeInput = {
  /** A name that is this job's alone. */
  readonly jobId: string;
  readonly program: EngineProgram;
  /** What DSPy saves of a program, to begin with; empty means the program as it is. */
  readonly stateJson: string;
  /** A kind of optimizer, or `evaluate`, which changes nothing and measures. */
  readonly kind: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly metric: Metric;
  readonly seed: number;
  readonly threads: number;
  readonly lm: LmEndpoint | undefined;
  /** Who proposes and reflects, if it is not the program's. */
  readonly promptLm: LmEndpoint | undefined;
  /** Who shows how it is done, if it is not the program's. */
  readonly teacherLm: LmEndpoint | undefined;
  /** Whom the metric asks, if it is not whom the program asks. */
  readonly metricLm: LmEndpoint | undefined;
  readonly examples: OptimizerExamples;
};

/** What surrounds it. */
export type OptimizeContext = { readonly signal: AbortSignal; readonly trace: Context };

/** Where optimizers run, each in a process of its own. */
export type OptimizerHost = {
  /**
   * Runs one optimizer to its end; waits for a place. Fails with the reason that the process gives, with WORKER_LOST if it dies, with
   * ENGINE_UNAVAILABLE if no sidecar is there for half a minute, and with the signal's reason within five seconds once that is aborted.
   */
  optimize(input: OptimizeInput, listener: OptimizerListener, ctx: OptimizeContext): Promise<OptimizerEnd>;
};

const startMaxMs = 60_000;
const lookAgainMs = 500;
const awayMaxMs = 30_000;

/** Makes the host over supervisors, whose list may change. */
export function createOptimizerHost(deps: {
  readonly supervisors: () => readonly SupervisorClient[];
  readonly metadata: Metadata;
}): OptimizerHost {
  return {
    async optimize(input, listener, ctx) {
      const { supervisor, address } = await findPlace(deps.supervisors, input.jobId, ctx.signal);
      const force = (): void => void supervisor.endOptimization(input.jobId, Date.now() + 5_000).catch(() => {});
      const run = { address, start: startOf(input, ctx.trace), examples: input.examples };
      return runOptimizer({ metadata: deps.metadata, force }, run, listener, ctx);
    },
  };
}

type Place = { readonly supervisor: SupervisorClient; readonly address: string };

async function findPlace(
  supervisors: () => readonly SupervisorClient[],
  jobId: string,
  signal: AbortSignal,
): Promise<Place> {
  let awaySinceMs = performance.now();
  for (;;) {
    for (const supervisor of supervisors()) {
      if (signal.aborted) throw signal.reason;
      try {
        const { address } = await supervisor.startOptimization(jobId, { signal, deadlineMs: Date.now() + startMaxMs });
        return { supervisor, address: workerAddress(address, supervisor.address) };
      } catch (error) {
        const { reason } = normalizeError(error);
        // As many as it takes run there already: another one, or later.
        if (reason === 'QUEUE_FULL') awaySinceMs = performance.now();
        else if (reason !== 'ENGINE_UNAVAILABLE' && reason !== 'SERVICE_UNAVAILABLE') throw error;
      }
    }
    if (performance.now() - awaySinceMs > awayMaxMs) throw engineUnavailable();
    await pauseOrThrow(lookAgainMs, signal);
  }
}

function startOf(input: OptimizeInput, trace: Context): OptimizeStart {
  const { program, metric, lm, promptLm, teacherLm, metricLm } = input;
  const own =
    metric.kind === 'dspy' || metric.kind === 'python' ? metricProgram({ ...metric, kind: metric.kind }) : undefined;
  return {
    program: nameProgram(program, lm).program,
    initialStateJson: Buffer.from(input.stateJson),
    optimizer: input.kind,
    configJson: Buffer.from(JSON.stringify(input.config)),
    metric: {
      name: own?.module ?? '',
      configJson: own?.moduleConfig === undefined ? Buffer.alloc(0) : Buffer.from(writeJson(own.moduleConfig)),
      threshold: metric.threshold ?? 0,
      lm: metricLm && capabilitiesOf(program, metricLm),
    },
    seed: BigInt(input.seed),
    threads: input.threads,
    promptLm: promptLm && capabilitiesOf(program, promptLm),
    promptLmOptionsJson: Buffer.alloc(0),
    teacherLm: teacherLm && capabilitiesOf(program, teacherLm),
    teacherLmOptionsJson: Buffer.alloc(0),
    traceparent: traceparentOf(trace),
    job: input.jobId,
  };
}

function capabilitiesOf(program: EngineProgram, lm: LmEndpoint): ProgramDefinition['lm'] {
  return nameProgram(program, lm).program.lm;
}
