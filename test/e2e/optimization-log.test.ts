import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { knowsByDemos, useOptimizing } from '../support/optimizing.ts';
import { demand } from '../support/programs.ts';
import { putBack } from '../support/put-back.ts';
import { whyNoPython } from '../support/python.ts';
import { query } from '../support/query.ts';
import type { Behaviour } from '../support/scripted-lm.ts';
import { startSecondExecutor } from '../support/second-executor.ts';
import type { ServiceProcess } from '../support/service-process.ts';
import type { SseEvent, SseStream } from '../support/sse.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`logs of optimizations are left out: ${missing}`);

describe.skipIf(missing !== undefined)('what a job says', { timeout: 120_000 }, () => {
  // Streams come from an executor that works on no job.
  const used = useOptimizing({ SIGNET_OPTIMIZATIONS_MAX: '0' });
  const others: ServiceProcess[] = [];
  const streams: SseStream[] = [];
  afterEach(async () => {
    for (const stream of streams.splice(0)) stream.close();
    await Promise.all(others.splice(0).map((process) => process.stop()));
  });

  const startOther = async (more: Record<string, string> = {}): Promise<ServiceProcess> => {
    const { stack, lm } = used;
    const model = { SIGNET_LM_MODEL: 'openai/scripted', SIGNET_LM_API_BASE: lm.url, SIGNET_LM_API_KEY: 'sk-x' };
    const own = { SIGNET_SIDECAR_ADDRESS: stack.address('sidecar'), SIGNET_LM_ALLOW_PRIVATE: 'true', ...model };
    const other = await startSecondExecutor(stack, { ...own, ...more });
    others.push(other);
    return other;
  };
  /** What a stream has given so far; `done` once it has ended. */
  const listen = async (id: unknown, after = ''): Promise<{ events: SseEvent[]; done: Promise<void> }> => {
    const headers = { 'last-event-id': after };
    const stream = await used.stack.sse(`/v1/optimizationJobs/${id}:watch`, undefined, after === '' ? {} : { headers });
    streams.push(stream);
    const events: SseEvent[] = [];
    const done = (async () => {
      for await (const event of stream.events) events.push(event);
    })();
    return { events, done: done.catch(() => {}) };
  };
  const linesOf = (events: readonly SseEvent[]) =>
    events.filter(({ event }) => event === 'log').map(({ id, data }) => [id, data.level, data.text]);
  const config = { num_candidate_programs: 4, max_bootstrapped_demos: 1, max_labeled_demos: 1 };

  it('C-18 is streamed by every executor alike, also of one that has died, and after its end', async () => {
    used.behaviour = (request) => ({ ...knowsByDemos(request), delayMs: 40 }) as Behaviour;
    const program = await used.readyQa();
    const worker = await startOther();
    const { id } = await used.optimize(program, { type: 'random_search', config });
    const live = await listen(id);
    await eventually(() => {
      expect(linesOf(live.events).length).toBeGreaterThan(1);
      expect(live.events.filter(({ event }) => event === 'progress').length).toBeGreaterThan(0);
      expect(live.events.filter(({ event }) => event === 'trial').length).toBeGreaterThan(0);
    }, 30_000);
    worker.kill('SIGKILL');
    await worker.ended;
    const heard = linesOf(live.events);
    const afterwards = await listen(id);
    await eventually(() => expect(linesOf(afterwards.events).slice(0, heard.length)).toEqual(heard));
    const behind = await listen(id, String(heard[0]![0]));
    await eventually(() => expect(linesOf(behind.events).slice(0, heard.length - 1)).toEqual(heard.slice(1)));
    await startOther();
    await Promise.all([live.done, afterwards.done, behind.done]);
    for (const { events } of [live, afterwards, behind]) {
      expect(events.at(-1)).toMatchObject({
        event: 'job',
        data: { status: 'OPTIMIZATION_STATUS_COMPLETED', losses: 1 },
      });
      const ids = events.map((event) => Number(event.id));
      expect(ids).toEqual([...new Set(ids)].toSorted((a, b) => a - b));
    }
    const lines = linesOf(live.events);
    expect(lines.map(([, , text]) => text)).toContain(
      'The optimizer begins again (attempt 1, 1 losses): what it was answered is given to it again',
    );
    const whole = await listen(id);
    await whole.done;
    for (const { events } of [afterwards, whole]) expect(linesOf(events)).toEqual(lines);
    expect(linesOf(behind.events)).toEqual(lines.slice(1));
  });

  it('EXE-04 is forgotten in time with its candidates and calls; the job that a version names stays, one without a version goes', async () => {
    const program = await used.readyQa();
    const worker = await startOther();
    const made = await used.ended((await used.optimize(program, { type: 'random_search', config })).id);
    used.behaviour = () => ({ kind: 'silence' });
    const { id } = await used.optimize(program, { type: 'labeled_few_shot' });
    demand(await used.stack.http.post(`/v1/optimizationJobs/${id}:cancel`, {}), 200);
    const cancelled = await used.ended(id);
    expect([made.status, cancelled.status]).toEqual(['OPTIMIZATION_STATUS_COMPLETED', 'OPTIMIZATION_STATUS_CANCELLED']);
    await worker.stop();
    const { http, databaseUrl } = used.stack;
    const rowsOf = (table: string) =>
      query(databaseUrl, `select count(*)::int as n from executor.${table} where job_id = $1`, [made.id]);
    for (const table of ['optimization_lm_calls', 'optimization_log', 'optimization_trials']) {
      expect([table, (await rowsOf(table))[0]!.n]).not.toEqual([table, 0]);
    }
    await putBack(databaseUrl, 2);
    const sweeper = await startOther({ SIGNET_RETENTION: '1h', SIGNET_OPTIMIZATIONS_MAX: '0' });
    await eventually(() => expect(sweeper.lines.join('\n')).toContain('forgot what is not kept any longer'));
    for (const table of ['optimization_lm_calls', 'optimization_log', 'optimization_trials']) {
      expect([table, (await rowsOf(table))[0]!.n]).toEqual([table, 0]);
    }
    expect((await http.get(`/v1/optimizationJobs/${cancelled.id}`)).body).toMatchObject({
      status: 404,
      reason: 'JOB_NOT_FOUND',
    });
    const { lineage } = demand(await http.get(`/v1/programs/${program}/versions/${made.resultVersion}`), 200);
    const { createTime: _, endTime: _e, ...same } = made;
    expect(demand(await http.get(`/v1/optimizationJobs/${(lineage as JsonObject).jobId}`), 200)).toMatchObject(same);
    expect(Number((same.spend as JsonObject).lmCalls)).toBeGreaterThan(0);
    for (const [name, score] of [
      ['evaluationBefore', 'scoreBefore'],
      ['evaluationAfter', 'scoreAfter'],
    ] as const) {
      const evaluation = demand(await http.get(`/v1/evaluations/${made[name]}`), 200);
      expect([evaluation.resultCount, (evaluation.summary as JsonObject).mean]).toEqual(['5', made[score]]);
    }
    const told = await listen(made.id);
    await told.done;
    expect(told.events.map(({ event }) => event).filter((event) => event !== 'progress')).toEqual(['job']);
    const { optimizationHistory } = await used.programOf(program);
    expect((optimizationHistory as JsonObject[]).map(({ job_id: job }) => job)).toEqual([cancelled.id, made.id]);
  });
});
