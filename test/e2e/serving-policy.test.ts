import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { demand, readyProgram, uniqueName } from '../support/programs.ts';
import { type Stack, startStack } from '../support/stack.ts';

const INPUTS = { question: 'Who?' };

describe('serving policies', { timeout: 60_000 }, () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ engines: 'mock' });
  });
  afterAll(() => stack?.close());

  const promote = (slug: unknown, version: number, body: JsonObject = {}, key?: string) =>
    stack.http.post(`/v1/programs/${slug}/versions/${version}:promote`, body, key === undefined ? {} : { key });
  const execute = (slug: unknown, executionOptions: JsonObject = {}) =>
    stack.http.post(`/v1/programs/${slug}:execute`, { inputs: INPUTS, executionOptions });
  const versionOf = async (slug: unknown, options: JsonObject = {}): Promise<unknown> =>
    demand(await execute(slug, options), 200).version;
  const setPolicy = (slug: unknown, servingPolicy: JsonObject) =>
    stack.http.patch(`/v1/programs/${slug}`, { servingPolicy });
  const newVersion = async (slug: unknown, configuration: JsonObject): Promise<void> => {
    demand(await stack.http.patch(`/v1/programs/${slug}`, { configuration }), 200);
  };

  /** A program whose version 2 is prepared and serves, version 1 having served before. */
  async function twoPrepared(): Promise<string> {
    const program = await readyProgram(stack, { signatureSpec: 'question -> answer' });
    const slug = String(program.slug);
    await newVersion(slug, { instructions: 'Another way.' });
    demand(await promote(slug, 2), 200);
    return slug;
  }

  /** A dataset for which the mock engine is right. */
  async function easyDataset(slug: string): Promise<string> {
    const { outputs } = demand(await execute(slug), 200);
    const dataset = uniqueName('gate');
    demand(
      await stack.http.post('/v1/datasets', { name: dataset, slug: dataset, signatureSpec: 'question -> answer' }),
      201,
    );
    const row = `${JSON.stringify({ inputs: INPUTS, outputs, split: 'test' })}\n`;
    demand(
      await stack.http.post(`/v1/datasets/${dataset}/examples:import`, row, {
        headers: { 'content-type': 'application/x-ndjson' },
      }),
      201,
    );
    return dataset;
  }
  const gateOf = (dataset: string, more: JsonObject = {}): JsonObject => ({
    gate: { dataset, splits: ['test'], metric: { kind: 'exact_match', field: 'answer' }, minScore: 0.5, ...more },
  });

  it('a label pins callers to a version, whichever serves', async () => {
    const slug = await twoPrepared();
    const changed = demand(await setPolicy(slug, { versionLabels: { stable: 1, next: 2 } }), 200);
    expect(changed.servingPolicy).toMatchObject({ versionLabels: { stable: 1, next: 2 } });
    await eventually(async () => expect(await versionOf(slug, { versionLabel: 'stable' })).toBe(1), 1_000);
    expect(await versionOf(slug)).toBe(2);
    demand(await promote(slug, 1), 200);
    expect(await versionOf(slug, { versionLabel: 'next' })).toBe(2);
    const unknown = await execute(slug, { versionLabel: 'nobody' });
    expect([unknown.status, unknown.body.reason]).toEqual([404, 'VERSION_NOT_FOUND']);
    const both = await execute(slug, { versionLabel: 'next', version: 1 });
    expect([both.status, both.body.violations]).toMatchObject([400, [{ field: 'executionOptions.versionLabel' }]]);
  });

  it('a split shares the calls, sticks to each caller, and shows in statistics by version', async () => {
    const slug = await twoPrepared();
    demand(
      await setPolicy(slug, {
        trafficSplit: [
          { version: 1, percent: 50 },
          { version: 2, percent: 50 },
        ],
      }),
      200,
    );
    const keys = Array.from({ length: 24 }, (_, at) => `user-${at}`);
    const seen = new Map<string, unknown>();
    await eventually(async () => {
      for (const stickyKey of keys) seen.set(stickyKey, await versionOf(slug, { stickyKey }));
      expect(new Set(seen.values())).toEqual(new Set([1, 2]));
    }, 5_000);
    for (const stickyKey of keys) seen.set(stickyKey, await versionOf(slug, { stickyKey }));
    for (const stickyKey of keys) expect(await versionOf(slug, { stickyKey })).toBe(seen.get(stickyKey));
    // Without a key of its own a caller is its API key.
    expect(new Set([await versionOf(slug), await versionOf(slug), await versionOf(slug)]).size).toBe(1);
    const figures = async (path: string) =>
      Number(demand(await stack.http.get(`/v1/programs/${slug}${path}/statistics`), 200).totalExecutions);
    const [all, one, two] = [await figures(''), await figures('/versions/1'), await figures('/versions/2')];
    expect(one).toBeGreaterThan(0);
    expect(two).toBeGreaterThan(0);
    expect(one + two).toBe(all);
    const filter = encodeURIComponent('version = 1');
    const { executions } = demand(await stack.http.get(`/v1/executions?program=${slug}&filter=${filter}`), 200);
    expect((executions as JsonObject[]).every(({ version }) => version === 1)).toBe(true);

    const ended = demand(await promote(slug, 1), 200);
    expect((ended.servingPolicy as JsonObject | undefined)?.trafficSplit ?? []).toEqual([]);
    await eventually(async () => {
      for (const stickyKey of keys) expect(await versionOf(slug, { stickyKey })).toBe(1);
    }, 2_000);
  });

  it('a gate refuses a version without an evaluation, and one that scores too little, with the numbers', async () => {
    const program = await readyProgram(stack, { signatureSpec: 'question -> answer' });
    const slug = String(program.slug);
    const dataset = await easyDataset(slug);
    demand(await setPolicy(slug, gateOf(dataset, { maxDrop: 0 })), 200);
    await newVersion(slug, { metadata: { mock: { error: 'LM_ERROR' } } });
    const unmeasured = await promote(slug, 2);
    expect([unmeasured.status, unmeasured.body.reason]).toEqual([409, 'GATE_REFUSED']);
    expect(unmeasured.body.detail).toContain('has no completed evaluation with exact_match');

    const poor = await promote(slug, 2, { evaluate: true });
    expect([poor.status, poor.body.reason]).toEqual([409, 'GATE_REFUSED']);
    expect(poor.body.detail).toContain('it scores 0, the gate asks for 0.5');
    expect(poor.body.detail).toContain('the serving version 1, and may drop by 0 at most');
    expect(poor.body.metadata).toMatchObject({ score: '0', serving_score: '1', version: '2', serving_version: '1' });
    expect(demand(await stack.http.get(`/v1/programs/${slug}`), 200).servingVersion).toBe(1);

    await newVersion(slug, { instructions: 'As before.' });
    expect(demand(await promote(slug, 3, { evaluate: true }), 200).servingVersion).toBe(3);
    // What was measured is not measured again, and what has served before passes without.
    const evaluations = async () =>
      demand(await stack.http.get(`/v1/evaluations?program=${slug}`), 200).evaluations as JsonObject[];
    const count = (await evaluations()).length;
    expect(count).toBe(3);
    expect(demand(await promote(slug, 1), 200).servingVersion).toBe(1);
    expect((await evaluations()).length).toBe(count);
  });

  it('a gate opens by force for admins alone', async () => {
    const program = await readyProgram(stack, { signatureSpec: 'question -> answer' });
    const slug = String(program.slug);
    demand(await setPolicy(slug, gateOf(await easyDataset(slug))), 200);
    await newVersion(slug, { metadata: { mock: { error: 'LM_ERROR' } } });
    const { secret } = demand(await stack.http.post('/v1/apiKeys', { name: 'editor', role: 'editor' }), 201);
    const refused = await promote(slug, 2, { force: true }, String(secret));
    expect([refused.status, refused.body.reason]).toEqual([403, 'ROLE_REQUIRED']);
    expect(demand(await promote(slug, 2, { force: true }), 200).servingVersion).toBe(2);
  });

  it('are refused with the path of what is wrong, and change nothing', async () => {
    const slug = await twoPrepared();
    await newVersion(slug, { instructions: 'Never prepared.' });
    const share = (version: number, percent: number) => ({ version, percent });
    const metric = { kind: 'exact_match' };
    const cases: [JsonObject, number, string][] = [
      [{ trafficSplit: [share(1, 100)] }, 400, 'servingPolicy.trafficSplit'],
      [{ trafficSplit: [share(1, 50), share(2, 40)] }, 400, 'servingPolicy.trafficSplit'],
      [{ trafficSplit: [share(1, 50), share(1, 50)] }, 400, 'servingPolicy.trafficSplit[1].version'],
      [{ trafficSplit: [share(1, 101), share(2, -1)] }, 400, 'servingPolicy.trafficSplit[0].percent'],
      [{ trafficSplit: [share(1, 50), share(9, 50)] }, 404, ''],
      [{ trafficSplit: [share(1, 50), share(3, 50)] }, 409, ''],
      [{ versionLabels: { stable: 9 } }, 404, ''],
      [{ versionLabels: { 'Not a label': 1 } }, 400, 'servingPolicy.versionLabels["Not a label"]'],
      [{ versionLabels: { stable: 0 } }, 400, 'servingPolicy.versionLabels["stable"]'],
      [{ gate: { metric, minScore: 0.5 } }, 400, 'servingPolicy.gate.dataset'],
      [{ gate: { dataset: 'd', minScore: 0.5 } }, 400, 'servingPolicy.gate.metric'],
      [{ gate: { dataset: 'd', metric } }, 400, 'servingPolicy.gate'],
      [{ gate: { dataset: 'd', metric, minScore: 2 } }, 400, 'servingPolicy.gate.minScore'],
      [{ gate: { dataset: 'd', metric, maxCostRatio: 0 } }, 400, 'servingPolicy.gate.maxCostRatio'],
    ];
    for (const [policy, status, field] of cases) {
      const answer = await setPolicy(slug, policy);
      const first = (answer.body.violations as JsonObject[] | undefined)?.[0]?.field ?? '';
      expect([JSON.stringify(policy), answer.status, first]).toEqual([JSON.stringify(policy), status, field]);
    }
    expect(demand(await stack.http.get(`/v1/programs/${slug}`), 200).servingPolicy).toBeUndefined();
    demand(await setPolicy(slug, { gate: { dataset: 'nowhere', metric, minScore: 0.5 } }), 200);
    const missing = await promote(slug, 3);
    expect([missing.status, missing.body.reason]).toEqual([404, 'DATASET_NOT_FOUND']);
  });
});
