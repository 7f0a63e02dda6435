import type { Tracer } from '@opentelemetry/api';
import type { Clock } from '@signet/kit/clock.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { LanguageModels } from '../catalog/language-models.ts';
import { compileProgram, type ServedProgram } from '../catalog/served-program.ts';
import type { LanguageModel } from '../lm/language-model.ts';
import type { JudgeDeps } from '../metric/lm-judge.ts';
import { createScorer } from '../metric/score.ts';
import { prepareVersion } from '../runtime/prepare-version.ts';
import type { OptimizerHost } from '../sidecar/optimizer-host.ts';
import type { ToolCaller } from '../tool/call-tool.ts';
import { type Candidate, variablesOf } from './best-so-far.ts';
import { Budget, exceeded } from './budget.ts';
import { endpointsOf, readExamples } from './job-ground.ts';
import { JobLog } from './job-log.ts';
import type { JobChanges } from './lease.postgres.ts';
import type { JobCallStore } from './lm-call.postgres.ts';
import { insist, type MeasureDeps, measureVersion } from './measure-version.ts';
import { MeteredLm } from './metered-lm.ts';
import type { Job, JobOutcome } from './optimization.ts';
import { runPolicy } from './run-policy.ts';
import { leaseLost, type StepContext, type StepGround } from './run-step.ts';
import { jobContext, type SettleDeps } from './settle-job.ts';

/** What working on a job needs. */
export type WorkDeps = SettleDeps &
  MeasureDeps & {
    readonly languageModels: LanguageModels;
    readonly lmClient: LanguageModel;
    readonly jobCalls: JobCallStore;
    readonly clock: Clock;
    readonly optimizing: { readonly host: OptimizerHost; readonly tools: ToolCaller } | undefined;
    readonly telemetry: { readonly tracer: Tracer };
    readonly reading: Pick<JudgeDeps, 'reader'>;
  };

/** What is told of the work while it goes on. */
export type WorkMeter = {
  /** The optimizer is at work, or no longer: then no time is spent. */
  spending(isSpending: boolean): void;
  /** Called with what gives the answers that were given again. */
  replayedBy(lm: MeteredLm): void;
};

/**
 * Does what is left of a job: measures the version that it began with, has the optimizer work, makes a version of the result, prepares it
 * and measures it. What an earlier process had done is not done again. Gives how the job ends; fails with what stood in the way.
 */
export async function workOnJob(deps: WorkDeps, job: Job, meter: WorkMeter, ctx: StepContext): Promise<JobOutcome> {
  const { id, leaseToken } = job;
  const change = async (changes: JobChanges): Promise<void> => {
    if (!(await deps.jobs.change(id, leaseToken, changes))) throw leaseLost();
    deps.liveJobs.tell(id);
  };
  const program = compileProgram((await hold(deps, job, ctx)).program);
  if (job.scoreBefore === undefined) {
    await change({ phase: 'scoring_before' });
    const { evaluationId, score } = await measureVersion(deps, { job, version: job.baseVersion, when: 'before' }, ctx);
    await change({ scoreBefore: score, evaluationBefore: evaluationId });
  }
  let { resultVersion } = job;
  let variables: Record<string, unknown> = {};
  if (resultVersion === 0) {
    await change({ phase: 'optimizing' });
    const result = await optimize(deps, { job, program, meter, change }, ctx);
    variables = variablesOf(result.stateJson);
    await change({ phase: 'preparing' });
    resultVersion = await makeVersion(deps, job, result, ctx);
    await change({ resultVersion });
  }
  await change({ phase: 'scoring_after' });
  const after = await measureVersion(deps, { job, version: resultVersion, when: 'after' }, ctx);
  await change({ scoreAfter: after.score, evaluationAfter: after.evaluationId });
  return { status: 'completed', variables: await variablesNow(deps, { job, resultVersion, variables }, ctx) };
}

// A process that took the job over behind the making of its version has only that version.
async function variablesNow(
  deps: WorkDeps,
  { job, resultVersion, variables }: { job: Job; resultVersion: number; variables: Record<string, unknown> },
  ctx: StepContext,
): Promise<Record<string, unknown>> {
  if (Object.keys(variables).length > 0) return variables;
  const made = await deps.registry.resolve(job.programId, resultVersion, jobContext(ctx.signal, ctx.trace));
  const { engineProgram } = compileProgram(made);
  const { instructions, demosJson, stateJson = '' } = engineProgram;
  const told = variablesOf(stateJson);
  return Object.keys(told).length > 0 ? told : { instructions, demo_count: demosJson.length };
}

async function hold(deps: WorkDeps, job: Job, ctx: StepContext) {
  const begun = await insist(
    () => deps.optimizations.begin(job.programId, job.id, job.baseVersion, jobContext(ctx.signal, ctx.trace)),
    ctx.signal,
  );
  await deps.jobs.hold(job.id, begun.fencingToken);
  return begun;
}

async function makeVersion(deps: WorkDeps, job: Job, { stateJson }: Candidate, ctx: StepContext): Promise<number> {
  const { fencingToken } = await hold(deps, job, ctx);
  const lineage = {
    ...{ jobId: job.id, optimizerId: job.optimizerId, optimizerType: job.kind, config: job.config },
    ...{ datasetId: job.datasetId, datasetVersion: job.datasetVersion },
  };
  const held = { programId: job.programId, fencingToken, baseVersion: job.baseVersion };
  const made = await insist(
    () => deps.optimizations.addVersion(held, stateJson, lineage, jobContext(ctx.signal, ctx.trace)),
    ctx.signal,
  );
  const compiled = compileProgram(made);
  if (!compiled.isPrepared) await prepareVersion(deps, compiled, jobContext(ctx.signal, ctx.trace, 90_000));
  return compiled.version;
}

type Work = {
  readonly job: Job;
  readonly program: ServedProgram;
  readonly meter: WorkMeter;
  readonly change: (changes: JobChanges) => Promise<void>;
};

async function optimize(deps: WorkDeps, work: Work, ctx: StepContext): Promise<Candidate> {
  const { job, program, meter } = work;
  if (deps.optimizing === undefined) throw new AppError('ENGINE_UNAVAILABLE', 'There is no sidecar to optimize in');
  const endpoints = await endpointsOf(deps, job, program, ctx);
  const examples = await readExamples(deps, job, ctx);
  const earlier = await deps.jobCalls.read(job.id);
  const budget = new Budget(job.budget, {
    lmCalls: earlier.length,
    tokens: earlier.reduce((sum, call) => sum + call.tokensIn + call.tokensOut, 0),
    usd: earlier.reduce((sum, call) => sum + (call.cost ?? 0), 0),
  });
  const late = new AbortController();
  const lm = new MeteredLm(
    { lm: deps.lmClient, calls: deps.jobCalls },
    { jobId: job.id, leaseToken: job.leaseToken, budget, earlier, late: late.signal },
  );
  const { tracer } = deps.telemetry;
  const judging = { lm, tracer, engines: deps.engines, endpoint: endpoints.metric, ...deps.reading };
  const scorer = createScorer(judging, job.metric);
  const ground: StepGround = { job, program: program.engineProgram, examples, endpoints };
  const leftMs = Math.max(0, job.budget.seconds - job.spend.seconds) * 1000;
  const timer = setTimeout(
    () => {
      budget.exhaust('seconds');
      late.abort(exceeded('seconds'));
    },
    Math.min(leftMs, 2 ** 31 - 1),
  );
  const log = new JobLog(deps, job);
  if (job.leaseToken > 1) log.line('info', beginsAgain(job));
  meter.replayedBy(lm);
  meter.spending(true);
  try {
    const result = await runPolicy(
      { ...deps.optimizing, lm, budget, scorer, log, jobs: deps.jobs, liveJobs: deps.liveJobs },
      ground,
      ctx,
    );
    if (result.isExhausted && budget.exhausted !== undefined) await work.change({ budgetExhausted: budget.exhausted });
    return result;
  } catch (error) {
    if (budget.exhausted !== undefined) await work.change({ budgetExhausted: budget.exhausted }).catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
    meter.spending(false);
    await log.close();
  }
}

function beginsAgain({ attempt, losses }: Job): string {
  return `The optimizer begins again (attempt ${attempt}, ${losses} losses): what it was answered is given to it again`;
}

/** True for what another attempt could overcome. */
export function mayPass(error: unknown): boolean {
  const { reason } = normalizeError(error);
  return (
    ![
      'INVALID_REQUEST',
      'STATE_FORBIDS',
      'BUDGET_EXCEEDED',
      'LM_NOT_CONFIGURED',
      'MODULE_INVALID',
      'SIGNATURE_TYPE',
    ].includes(reason) && !reason.endsWith('_NOT_FOUND')
  );
}
