import { describe, expect, it } from 'vitest';
import type { HttpAnswer, JsonObject } from '../support/http.ts';
import { useModules, violated } from '../support/modules.ts';
import { createProgram, demand, QA_INPUTS, QA_SPEC, uniqueName } from '../support/programs.ts';

const used = useModules();

describe('programs and their modules', () => {
  const withModule = (configuration: JsonObject): Promise<HttpAnswer> =>
    used.stack.http.post('/v1/programs', {
      name: uniqueName('p'),
      adapterType: 'mock',
      signatureSpec: QA_SPEC,
      configuration,
    });

  it.each([
    {
      module: 'react',
      moduleConfig: {
        max_iters: 5,
        tools: [
          {
            name: 'search',
            description: 'Searches.',
            args: { q: { type: 'string' } },
            url: 'https://example.com/search',
            method: 'GET',
          },
        ],
      },
    },
    { module: 'multi_chain_comparison', moduleConfig: { M: 3, temperature: 0.7 } },
    { module: 'program_of_thought', moduleConfig: { max_iters: 2 } },
    { module: 'chain_of_thought' },
  ])('names $module with its configuration', async (configuration) => {
    const { id } = demand(await withModule(configuration as unknown as JsonObject), 201);
    const version = demand(await used.stack.http.get(`/v1/programs/${id}/versions/1`), 200);
    expect(version.configuration).toMatchObject(configuration);
  });

  it.each([
    [{ module: 'predict', moduleConfig: { max_iters: 1 } }, 'max_iters'],
    [{ module: 'react', moduleConfig: { max_iters: 0 } }, 'configuration.moduleConfig.max_iters'],
    [{ module: 'react', moduleConfig: { tools: [{ name: 'finish', url: 'https://a.example' }] } }, 'tools[0].name'],
    [{ module: 'react', moduleConfig: { tools: [{ name: 't', url: 'file:///etc/passwd' }] } }, 'tools[0].url'],
    [{ module: 'react', moduleConfig: { tools: [{ name: 't', url: 'https://u:p@a.example' }] } }, 'tools[0].url'],
    [
      { module: 'react', moduleConfig: { tools: [{ name: 't', url: 'https://a.example', method: 'TRACE' }] } },
      'method',
    ],
    [{ module: 'react', moduleConfig: { tools: 'rm -rf' } }, 'tools'],
    [{ module: 'multi_chain_comparison', moduleConfig: { M: 99 } }, '.M'],
    [{ module: 'best_of_n', moduleConfig: { N: 3 } }, 'threshold'],
    [{ module: 'best_of_n', moduleConfig: { N: 3, threshold: 1, reward_fn: 'os.system' } }, 'reward_fn'],
  ])('refuses %j', async (configuration, field) => {
    const answer = await withModule(configuration as JsonObject);
    expect(answer.status).toBe(400);
    expect(violated(answer).join(' ')).toContain(field);
  });

  it.each(['python:os.system', 'python:Not.Listed', 'os', '__import__', 'x'.repeat(500), 'NoSuchModule'])(
    'refuses the unknown module %j',
    async (module) => {
      const answer = await withModule({ module });
      expect([answer.status, answer.body.reason]).toEqual([400, 'MODULE_INVALID']);
    },
  );

  it('pins what a registered module stands for when a version is made', async () => {
    const module = await used.registered({ pythonModule: 'dspy.ChainOfThought' });
    const { slug } = await createProgram(used.stack, { configuration: { module: module.name ?? '' } });
    demand(await used.stack.http.post(`/v1/programs/${slug}:initialize`), 200);
    const run = demand(await used.stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS }), 200);
    const execution = demand(await used.stack.http.get(`/v1/executions/${run.executionId}`), 200);
    expect(execution).toMatchObject({ moduleId: module.id, module: module.name });
    expect((execution.trace as JsonObject[])[0]?.step).toBe('chain_of_thought');
  });
});
