import { ExecuteProgramRequest, RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failureOf } from '../support/grpc-clients.ts';
import type { JsonObject } from '../support/http.ts';
import { createProgram, demand, readyProgram, uniqueName } from '../support/programs.ts';
import { type Stack, startStack } from '../support/stack.ts';

const MEGABYTE = 'x'.repeat(1_000_000);

describe('what is large', { timeout: 60_000 }, () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ engines: 'mock' });
  });
  afterAll(() => stack?.close());

  /** Reads a list to its end: the ids in order, and how many each page had. */
  const read = async (path: string, key: string): Promise<{ ids: string[]; pages: number[] }> => {
    const ids: string[] = [];
    const pages: number[] = [];
    for (let token = ''; ; ) {
      const query = token === '' ? '' : `&pageToken=${encodeURIComponent(token)}`;
      const page = demand(await stack.http.get(`${path}pageSize=1000${query}`), 200);
      const items = page[key] as JsonObject[];
      ids.push(...items.map(({ id }) => String(id)));
      pages.push(items.length);
      token = String(page.nextPageToken);
      if (token === '') return { ids, pages };
    }
  };

  it('is listed on shorter pages, each row once and in order, not refused (programs and modules)', async () => {
    const programs: string[] = [];
    const modules: string[] = [];
    for (let made = 0; made < 18; made++) {
      const program = await createProgram(stack, { name: 'large', configuration: { metadata: { text: MEGABYTE } } });
      programs.unshift(String(program.id));
      const module = { name: uniqueName('large'), type: 'custom', pythonModule: 'dspy.Predict' };
      const answer = await stack.http.post('/v1/modules', { ...module, config: { text: MEGABYTE } });
      modules.unshift(String(demand(answer, 201).id));
    }
    const listed = await read('/v1/programs?filter=name%3Dlarge&', 'programs');
    expect(listed.ids).toEqual(programs);
    expect(Math.max(...listed.pages)).toBeLessThan(8);
    expect((await read('/v1/modules?filter=name:large&', 'modules')).ids).toEqual(modules);
    expect(demand(await stack.http.get('/v1/programs'), 200).programs).not.toEqual([]);
  });

  it('is listed on shorter pages, each row once and in order, not refused (executions and versions)', async () => {
    const { slug } = await readyProgram(stack, { signatureSpec: 'text -> answer' });
    const made: string[] = [];
    const versions: number[] = [1];
    for (let run = 0; run < 18; run++) {
      const answer = await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { text: MEGABYTE } });
      made.unshift(String(demand(answer, 200).executionId));
      const configuration = { metadata: { text: `${MEGABYTE}${run}` } };
      demand(await stack.http.patch(`/v1/programs/${slug}`, { configuration }), 200);
      versions.unshift(run + 2);
    }
    for (const [order, expected] of [
      ['create_time desc', made],
      ['create_time', made.toReversed()],
    ] as const) {
      const path = `/v1/executions?program=${slug}&orderBy=${encodeURIComponent(order)}&`;
      const { ids, pages } = await read(path, 'executions');
      expect(ids).toEqual(expected);
      expect(Math.max(...pages)).toBeLessThan(8);
    }
    const recent = demand(await stack.http.get('/v1/executions:recent'), 200).executions as JsonObject[];
    expect(recent.map(({ id }) => id)).toEqual(made.slice(0, recent.length));
    expect(recent.length).toBeGreaterThan(1);
    const first = demand(await stack.http.get(`/v1/programs/${slug}/versions`), 200);
    expect((first.versions as JsonObject[]).length).toBeLessThan(8);
    expect((await read(`/v1/programs/${slug}/versions?`, 'versions')).ids).toHaveLength(versions.length);
  });

  it.each([['api_key'], ['aws_secret_access_key'], ['extra_headers'], ['hf_token'], ['vertex_credentials']])(
    'or secret is not taken in with a saved program: lm.%s',
    async (name) => {
      const program = await createProgram(stack, { signatureSpec: 'question -> answer' });
      const path = `/v1/programs/${program.slug}/versions`;
      const { state } = demand(await stack.http.get(`${path}/1:export`), 200) as { state: JsonObject };
      const lm = { model: 'openai/some', max_tokens: 9, max_completion_tokens: 9, temperature: 0.5 };
      demand(await stack.http.post(`${path}:import`, { state: { ...state, lm } }), 201);
      const answer = await stack.http.post(`${path}:import`, {
        state: { ...state, lm: { ...lm, [name]: 'hush-hush' } },
      });
      expect([answer.status, answer.body.reason]).toEqual([400, 'INVALID_REQUEST']);
      expect(answer.body.violations).toMatchObject([{ field: `state.lm.${name}`, reason: 'SECRET' }]);
      expect(answer.text).not.toContain('hush-hush');
    },
  );

  it('or unknown is refused among the options of a run: a scope of kept answers that nobody knows', async () => {
    const { slug } = await readyProgram(stack);
    const executionOptions = { cache: true, cacheScope: 77 as never };
    const request = ExecuteProgramRequest.fromPartial({
      program: String(slug),
      inputs: { kind: { $case: 'struct', value: {} } },
      executionOptions,
    });
    const { reason, metadata } = failureOf(await stack.grpc.fails(RuntimeServiceService.executeProgram, request));
    expect([reason, metadata.field]).toEqual(['INVALID_REQUEST', 'execution_options.cache_scope']);
  });
});
