import { AppError } from '@signet/kit/error/app-error.ts';
import { runBeacon } from './beacon.ts';
import { BestSoFar, type Candidate, predictorsOf } from './best-so-far.ts';
import type { JobLog } from './job-log.ts';
import type { LiveJobs } from './live-jobs.ts';
import type { Job, StepKind } from './optimization.ts';
import {
  leaseLost,
  runStep,
  type Step,
  type StepContext,
  type StepDeps,
  type StepEvents,
  type StepGround,
} from './run-step.ts';
import type { JobStore } from './store.postgres.ts';

const progressEveryMs = 1_000;

/** What having a job's optimizer work needs. */
export type PolicyDeps = StepDeps & {
  readonly jobs: JobStore;
  readonly liveJobs: LiveJobs;
  readonly log: Pick<JobLog, 'line' | 'progress'>;
};

/**
 * Has the optimizer of a job work, or the policy that chains several, and keeps each candidate. Gives what was best, also where the budget
 * ended it; BUDGET_EXCEEDED if there was nothing yet.
 */
export async function runPolicy(
  deps: PolicyDeps,
  ground: StepGround,
  ctx: StepContext,
): Promise<Candidate & { readonly isExhausted: boolean }> {
  const { job } = ground;
  const { lm } = deps;
  const seen: Seen = { trials: 0, best: new BestSoFar() };
  const run = (step: Step) => runStep(deps, ground, step, eventsOf(deps, job, step, seen), ctx);
  if (job.kind !== 'beacon') return run({ kind: job.kind, config: job.config, stateJson: '' });
  const { config } = job;
  const maxDemos = Number(config.max_demos ?? 4);
  return runBeacon(
    {
      steps: (config.steps as readonly StepKind[] | undefined) ?? beaconSteps,
      patience: Number(config.patience ?? 2),
      minGain: Number(config.min_gain ?? 0),
      maxDemos,
      trainCount: ground.examples.train.length,
      validationCount: ground.examples.val.length,
    },
    {
      async evaluate(stateJson, of) {
        lm.rewind();
        const measured = await run({ kind: 'evaluate', config: {}, stateJson, label: of });
        // Half of a measurement is none.
        if (measured.isExhausted) throw new AppError('BUDGET_EXCEEDED', 'The budget of the job is used up');
        return { stateJson: measured.stateJson, score: measured.score ?? 0 };
      },
      async improve(kind, settings, stateJson) {
        lm.rewind();
        const found = await run({ kind, config: settings, stateJson });
        // What was best until then was measured by the step alone, so it cannot be compared.
        if (found.isExhausted) throw new AppError('BUDGET_EXCEEDED', 'The budget of the job is used up');
        return found;
      },
      tell: (text) => deps.log.line('info', text),
    },
  );
}

const beaconSteps: readonly StepKind[] = ['labeled_few_shot', 'bootstrap', 'random_search', 'mipro', 'gepa', 'simba'];

type Seen = { trials: number; readonly best: BestSoFar };

function eventsOf(deps: PolicyDeps, job: Job, step: Step, seen: Seen): StepEvents {
  let toldMs = 0;
  return {
    async onTrial({ score, examples, isFull, note, stateJson }) {
      seen.trials += 1;
      const isBest = seen.best.offer({ stateJson, score }, isFull);
      const trial = {
        ...{ number: seen.trials, step: step.label ?? step.kind, score, examples, isFull, isBest, stateJson },
        note: note.slice(0, 1_000).toWellFormed().replaceAll('\0', ''),
        predictors: predictorsOf(stateJson),
      };
      if ((await deps.jobs.putTrial(job.id, job.leaseToken, trial)) === undefined) throw leaseLost();
      deps.liveJobs.tell(job.id);
    },
    onProgress(progress) {
      const nowMs = performance.now();
      if (nowMs - toldMs < progressEveryMs) return;
      toldMs = nowMs;
      deps.log.progress(progress);
    },
    onLog: (level, text) => deps.log.line(level, text),
  };
}
