import { eventually } from '@signet/kit/testing/eventually.ts';
import { describe, expect, it } from 'vitest';
import { useModules, violated } from '../support/modules.ts';
import { demand, QA_INPUTS } from '../support/programs.ts';

const used = useModules();

describe('states of a module', () => {
  const events = ['initialize', 'mark_ready', 'start_execution', 'complete_execution', 'fail', 'reset'];
  const paths: Record<string, string[]> = {
    uninitialized: [],
    initializing: ['initialize'],
    ready: ['initialize', 'mark_ready'],
    executing: ['initialize', 'mark_ready', 'start_execution'],
    error: ['initialize', 'fail'],
  };
  const legal: Record<string, Record<string, string>> = {
    uninitialized: { initialize: 'initializing' },
    initializing: { mark_ready: 'ready', fail: 'error' },
    ready: { start_execution: 'executing' },
    executing: { complete_execution: 'ready', fail: 'error' },
    error: { reset: 'uninitialized' },
  };
  const cells = Object.keys(paths).flatMap((state) =>
    events.map((event) => ({ state, event, next: legal[state]?.[event] ?? 'refused' })),
  );

  it('MOD-06 begins uninitialized and has five states', async () => {
    const seen = await Promise.all(
      Object.entries(paths).map(async ([state, path]) => {
        const { id } = await used.registered();
        for (const event of path) demand(await used.fire(id, event), 200);
        const { state: shown } = demand(await used.stack.http.get(`/v1/modules/${id}`), 200);
        return [state, shown];
      }),
    );
    for (const [state, shown] of seen) expect(shown).toBe(`MODULE_STATE_${String(state).toUpperCase()}`);
  });

  it.each(cells)('MOD-07 $event in $state: $next', async ({ state, event, next }) => {
    const { id } = await used.registered();
    for (const step of paths[state] ?? []) demand(await used.fire(id, step), 200);
    const answer = await used.fire(id, event);
    if (next === 'refused') {
      expect(answer.status).toBe(409);
      expect(answer.body).toMatchObject({
        reason: 'STATE_FORBIDS',
        detail: `Cannot ${event} module in state ${state}`,
      });
      const { state: after } = demand(await used.stack.http.get(`/v1/modules/${id}`), 200);
      expect(after).toBe(`MODULE_STATE_${state.toUpperCase()}`);
    } else {
      expect(demand(answer, 200).state).toBe(`MODULE_STATE_${next.toUpperCase()}`);
    }
  });

  it('counts executions that run at once where the caller says so, and is READY after the last', async () => {
    const { id } = await used.registered();
    for (const event of ['initialize', 'mark_ready', 'start_execution']) demand(await used.fire(id, event), 200);
    await Promise.all(
      Array.from({ length: 19 }, async () => demand(await used.fire(id, 'start_execution', { concurrent: true }), 200)),
    );
    expect(demand(await used.stack.http.get(`/v1/modules/${id}`), 200).inFlight).toBe(20);
    await Promise.all(Array.from({ length: 20 }, async () => demand(await used.fire(id, 'complete_execution'), 200)));
    const after = demand(await used.stack.http.get(`/v1/modules/${id}`), 200);
    expect(after.state).toBe('MODULE_STATE_READY');
    expect(after.inFlight ?? 0).toBe(0);
    expect((await used.fire(id, 'complete_execution')).status).toBe(409);
  });

  it('refuses unknown events, stale etags and executions of a module in ERROR', async () => {
    const { id, etag } = await used.registered();
    expect((await used.fire(id, 'explode')).status).toBe(400);
    expect(violated(await used.fire(id, ''))).toEqual(['event']);
    demand(await used.fire(id, 'initialize'), 200);
    expect((await used.fire(id, 'mark_ready', { etag: etag ?? '' })).status).toBe(412);
    demand(await used.fire(id, 'fail', { errorMessage: 'the backend was lost' }), 200);
    expect(demand(await used.stack.http.get(`/v1/modules/${id}`), 200).errorMessage).toBe('the backend was lost');
    await eventually(async () => {
      const refused = await used.stack.http.post(`/v1/modules/${id}:execute`, { inputs: QA_INPUTS });
      expect(refused.body).toMatchObject({
        reason: 'STATE_FORBIDS',
        metadata: { state: 'error', event: 'start_execution' },
      });
    });
    demand(await used.fire(id, 'reset'), 200);
  });
});
