import { newId } from '@signet/kit/id.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { OptimizerType } from '@signet/proto/gen/signet/v1/optimizer.ts';
import {
  CreateOptimizerRequest,
  OptimizerServiceService as optimizers,
} from '@signet/proto/gen/signet/v1/optimizer_service.ts';
import { ProgramStatus } from '@signet/proto/gen/signet/v1/program.ts';
import { describe, expect, it } from 'vitest';
import { inner, programs, refusal } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';

const registry = useTestRegistry({ settleEveryMs: 50 });

const state = (instructions: string, demos: object[] = []) =>
  Buffer.from(
    JSON.stringify({
      ...{ traces: [], train: [], demos, lm: null },
      signature: {
        instructions,
        fields: [
          { prefix: 'Question:', description: 'what is asked' },
          // biome-ignore lint/suspicious/noTemplateCurlyInString: DSPy writes its placeholders so.
          { prefix: 'Answer:', description: '${answer}' },
        ],
      },
      metadata: { dependency_versions: {} },
    }),
  );
const lineageOf = (jobId: string) => ({
  ...{
    jobId,
    optimizerId: '',
    optimizerType: 'mipro',
    config: { auto: 'light' },
    datasetId: newId(),
    datasetVersion: 3,
  },
});

async function readyProgram(): Promise<string> {
  const { id } = await registry.createProgram({ name: 'to be better', variables: { kept: 1, style: 'plain' } });
  await registry.makeReady(id);
  return id;
}
const read = (program: string) => registry.call(programs.getProgram, { program, includeArchived: false });
const begin = (program: string, jobId: string, version = 0) =>
  registry.call(inner.beginOptimize, { program, jobId, version });
const add = (programId: string, fencingToken: bigint, jobId: string, stateJson = state('Be exact.')) =>
  registry.call(inner.addOptimizedVersion, {
    ...{ programId, fencingToken, baseVersion: 1, stateJson, lineage: lineageOf(jobId) },
  });
const finish = (programId: string, fencingToken: bigint, jobId: string, more: object = {}) =>
  registry.call(inner.finishOptimize, {
    ...{ programId, fencingToken, jobId, version: 0, optimizerId: '' },
    historyJson: Buffer.from(JSON.stringify({ job_id: jobId, status: 'failed' })),
    ...{ variablesJson: Buffer.alloc(0), optimizerStateJson: Buffer.alloc(0) },
    ...more,
  });

describe('optimizing a program', () => {
  it('POL-02 begins from READY alone', async () => {
    const { id } = await registry.createProgram({ name: 'draft' });
    const refused = await refusal(begin(id, newId()));
    expect([refused.reason, refused.message, refused.metadata.state]).toEqual([
      ...['STATE_FORBIDS', 'Program must be active to optimize (status: draft)', 'draft'],
    ]);
    expect((await refusal(begin('nobody', newId()))).reason).toBe('PROGRAM_NOT_FOUND');
    expect((await refusal(begin(await readyProgram(), newId(), 9))).reason).toBe('VERSION_NOT_FOUND');
  });

  it('C-14 gives a program to one job of many, and the same token to that one again', async () => {
    const program = await readyProgram();
    const jobs = [1, 2, 3, 4].map(() => newId());
    const tries = await Promise.allSettled(jobs.map((job) => begin(program, job)));
    const won = tries.findIndex(({ status }) => status === 'fulfilled');
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const { fencingToken } = await begin(program, jobs[won]!);
    expect(tries[won]).toMatchObject({ value: { fencingToken, program: { version: 1 } } });
    expect((await read(program)).status).toBe(ProgramStatus.PROGRAM_STATUS_OPTIMIZING);
    await finish(program, fencingToken, jobs[won]!);
  });

  it('OPT-04 ends with a version, its scores, an entry in front of the history and merged variables, all at once', async () => {
    const optimizer = await registry.call(
      optimizers.createOptimizer,
      CreateOptimizerRequest.fromPartial({ name: 'one', type: OptimizerType.OPTIMIZER_TYPE_MIPRO }),
    );
    const program = await readyProgram();
    for (const turn of [1, 2]) {
      const job = newId();
      const { fencingToken } = await begin(program, job);
      const added = await add(program, fencingToken, job, state(`Turn ${turn}.`, [{ question: 'q', answer: 'a' }]));
      expect(await add(program, fencingToken, job, state('Another.'))).toMatchObject({ version: added.version });
      const history = { job_id: job, status: 'completed', turn };
      const after = await finish(program, fencingToken, job, {
        ...{ version: added.version, scoreBefore: 0.25, scoreAfter: 0.5, optimizerId: optimizer.id },
        historyJson: Buffer.from(JSON.stringify(history)),
        variablesJson: Buffer.from(JSON.stringify({ style: `turn ${turn}` })),
        optimizerStateJson: Buffer.from(JSON.stringify({ last_job_id: job })),
      });
      expect(after.status).toBe(ProgramStatus.PROGRAM_STATUS_READY);
      expect(after.variables).toEqual({ kept: 1, style: `turn ${turn}` });
      expect(after.optimizationHistory[0]).toEqual(history);
      expect(after.optimizationHistory).toHaveLength(turn);
      expect([after.servingVersion, after.latestVersion]).toEqual([1, 1 + turn]);
      const version = await registry.call(programs.getProgramVersion, { program, version: added.version });
      expect(version).toMatchObject({
        parentVersion: 1,
        source: 'optimize',
        configuration: { instructions: `Turn ${turn}.` },
      });
      expect(version.configuration?.demos).toHaveLength(1);
      expect(version.lineage).toMatchObject({
        jobId: job,
        scoreBefore: 0.25,
        scoreAfter: 0.5,
        config: { auto: 'light' },
      });
    }
    const { state: kept } = await registry.call(optimizers.getOptimizer, { optimizer: optimizer.id });
    expect(kept).toMatchObject({ jobs: 2 });
  });

  it('C-14 ends once: again it is answered as it ended, and no stale token ends or adds anything', async () => {
    const program = await readyProgram();
    const [job, other] = [newId(), newId()];
    const { fencingToken } = await begin(program, job);
    expect((await refusal(finish(program, fencingToken + 1n, job))).reason).toBe('STATE_FORBIDS');
    expect((await refusal(finish(program, fencingToken, other))).reason).toBe('STATE_FORBIDS');
    expect((await refusal(add(program, fencingToken, other))).reason).toBe('STATE_FORBIDS');
    const first = await finish(program, fencingToken, job);
    expect((await finish(program, fencingToken, job)).optimizationHistory).toEqual(first.optimizationHistory);
    expect((await refusal(add(program, fencingToken, job))).reason).toBe('STATE_FORBIDS');
    const again = await refusal(begin(program, job));
    expect([again.reason, again.message]).toEqual(['STATE_FORBIDS', 'The job has ended already']);
    expect((await begin(program, other)).fencingToken).toBeGreaterThan(fencingToken);
  });

  it('refuses a state that does not fit the program, and keeps nothing of it', async () => {
    const program = await readyProgram();
    const job = newId();
    const { fencingToken } = await begin(program, job);
    for (const stateJson of [Buffer.from('{}'), Buffer.from('nothing'), state('')]) {
      expect((await refusal(add(program, fencingToken, job, stateJson))).reason).toBe('INVALID_REQUEST');
    }
    const bad = finish(program, fencingToken, job, { historyJson: Buffer.from('[1]') });
    expect((await refusal(bad)).reason).toBe('INVALID_REQUEST');
    expect(await read(program)).toMatchObject({ latestVersion: 1, optimizationHistory: [] });
  });

  it('C-14 takes a program that nobody keeps back to READY, with an entry; the job may go on with it', async () => {
    const [kept, lost] = [await readyProgram(), await readyProgram()];
    const jobs = [newId(), newId()] as const;
    const tokens = [(await begin(kept, jobs[0])).fencingToken, (await begin(lost, jobs[1])).fencingToken] as const;
    const expire = (id: string) =>
      registry.sql.query(`update registry.programs set transition_until = now() - interval '1 second' where id = $1`, [
        id,
      ]);
    await expire(lost);
    await eventually(async () => expect((await read(lost)).status).toBe(ProgramStatus.PROGRAM_STATUS_READY));
    expect((await read(lost)).optimizationHistory[0]).toMatchObject({
      ...{ job_id: jobs[1], status: 'interrupted', error: 'optimization was interrupted' },
    });
    const held = [
      { programId: kept, fencingToken: tokens[0], jobId: jobs[0] },
      { programId: lost, fencingToken: tokens[1], jobId: jobs[1] },
    ];
    expect((await registry.call(inner.renewOptimizations, { held })).lostJobIds).toEqual([jobs[1]]);
    expect((await read(kept)).status).toBe(ProgramStatus.PROGRAM_STATUS_OPTIMIZING);
    const again = await begin(lost, jobs[1]);
    expect(again.fencingToken).toBeGreaterThan(tokens[1]);
    expect((await finish(lost, again.fencingToken, jobs[1])).status).toBe(ProgramStatus.PROGRAM_STATUS_READY);
  });

  it('goes on answering, and loses its hold when the program is archived', async () => {
    const program = await readyProgram();
    const job = newId();
    const { fencingToken } = await begin(program, job);
    const resolved = await registry.call(inner.resolveProgram, { program, version: 0 });
    expect(resolved).toMatchObject({ status: ProgramStatus.PROGRAM_STATUS_OPTIMIZING, version: 1 });
    await registry.call(programs.archiveProgram, { program, etag: '', requestId: '' });
    expect((await refusal(finish(program, fencingToken, job))).reason).toBe('STATE_FORBIDS');
  });
});
