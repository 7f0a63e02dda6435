import { eventually } from '@signet/kit/testing/eventually.ts';
import { describe, expect, it } from 'vitest';
import type { HttpAnswer, JsonObject } from '../support/http.ts';
import { useModules } from '../support/modules.ts';
import { demand, uniqueName } from '../support/programs.ts';

const used = useModules();

const module = async (): Promise<JsonObject> => used.registered({ signatureSpec: 'x: str -> y: str' });
const step = (id: string, name: unknown, more: object = {}) => ({
  ...{ id, type: 'module', module: name, input: { x: { $ref: 'input.x' } } },
  ...more,
});
const compose = async (modules: unknown[], steps: object[]): Promise<string> => {
  const body = { modules, adapterType: 'mock', pipelineSpec: { inputs: 'x: str', steps } };
  return String(demand(await used.stack.http.post('/v1/programs:compose', body as unknown as JsonObject), 201).slug);
};
const initialize = async (program: string): Promise<JsonObject> =>
  demand(await used.stack.http.post(`/v1/programs/${program}:initialize`), 200);
const run = (program: string): Promise<HttpAnswer> =>
  used.stack.http.post(`/v1/programs/${program}:run`, { inputs: { x: 'hello' } });

describe('modules that programs are composed of', () => {
  it('PRG-18 are not deleted while a program names them; deleting it frees them', async () => {
    const { id, name } = await module();
    const program = await compose([id], [step('only', name)]);
    await initialize(program);
    const refused = await used.stack.http.delete(`/v1/modules/${name}`);
    expect(refused.body).toMatchObject({
      ...{ status: 409, reason: 'STATE_FORBIDS', metadata: { state: 'in_use', event: 'delete', resource: name } },
      detail: expect.stringContaining(`program \`${program}\``),
    });
    demand(await run(program), 200);
    expect((await used.stack.http.delete(`/v1/programs/${program}?force=true`)).status).toBe(204);
    expect((await used.stack.http.delete(`/v1/modules/${name}`)).status).toBe(204);
  });

  it('fail their step when they were deleted by force, and the error says where it stands', async () => {
    const [kept, gone] = [await module(), await module()];
    const group = { id: 'both', type: 'group', steps: [step('kept', kept.name), step('gone', gone.name)] };
    const fallback = { id: 'instead', type: 'function', function: 'value', input: { y: 'nobody' } };
    const failing = await compose([kept.id], [group]);
    const degraded = await compose([kept.id], [step('gone', gone.name, { compensate: fallback })]);
    const draft = await compose([gone.id], [step('only', gone.name)]);
    for (const program of [failing, degraded]) expect((await initialize(program)).status).toMatch(/READY/);
    expect((await used.stack.http.delete(`/v1/modules/${gone.id}?force=true`)).status).toBe(204);
    const where = `The step \`steps.both.gone\` (module \`${gone.name}\`) cannot begin: There is no module`;
    await eventually(async () =>
      expect((await run(failing)).body).toMatchObject({
        ...{ status: 404, reason: 'MODULE_NOT_FOUND', metadata: { step: 'gone' } },
        detail: expect.stringContaining(where),
      }),
    );
    expect(demand(await run(degraded), 200)).toMatchObject({ outputs: { y: 'nobody' }, degraded: true });
    const program = await initialize(draft);
    expect(program.status).toBe('PROGRAM_STATUS_ERROR');
    expect(program.errorMessage).toContain('The step `steps.only` (module');
  });
});

describe('signatures of steps', () => {
  const spec = (output: string) => `x: str -> ${output}: str`;
  const deprecate = async (signatureSpec: string): Promise<void> => {
    const { id } = (await used.stack.http.post('/v1/signatures:parse', { spec: signatureSpec })).body;
    demand(await used.stack.http.post(`/v1/signatures/${id}:activate`), 200);
    demand(await used.stack.http.post(`/v1/signatures/${id}:deprecate`), 200);
  };
  const signed = (output: string) => [
    { id: 'sign', type: 'signature', signature: spec(output), input: { x: { $ref: 'input.x' } } },
  ];

  it('go on to serve what was ready before they were deprecated, in executors too that begin later', async () => {
    const [{ id }, output] = [await module(), uniqueName('y').replace('-', '_')];
    const program = await compose([id], signed(output));
    await initialize(program);
    await deprecate(spec(output));
    demand(await run(program), 200);
    await used.stack.kill('executor');
    await used.stack.restart('executor');
    await eventually(async () => demand(await run(program), 200), 20_000);
    const quick = await used.stack.http.post('/v1/quickExecute', {
      signatureSpec: spec(output),
      inputs: { x: 'hello' },
    });
    expect(quick.body.reason).toBe('SIGNATURE_DEPRECATED');
  });

  it('let no program become ready that were deprecated before, and the error says where', async () => {
    const [{ id }, output] = [await module(), uniqueName('y').replace('-', '_')];
    const program = await compose([id], signed(output));
    await deprecate(spec(output));
    const failed = await initialize(program);
    expect(failed).toMatchObject({
      status: 'PROGRAM_STATUS_ERROR',
      errorMessage: 'The step `steps.sign` cannot begin: Signature is deprecated',
    });
  });
});
