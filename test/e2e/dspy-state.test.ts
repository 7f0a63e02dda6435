import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AppError } from '@signet/kit/error/app-error.ts';
import { ImportProgramVersionRequest, ProgramServiceService } from '@signet/proto/gen/signet/v1/program_service.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { createProgram, demand, QA_INPUTS, QA_SPEC } from '../support/programs.ts';
import { findSidecarPython, whyNoPython } from '../support/python.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { ROOT } from '../support/source-files.ts';
import { type Stack, startStack } from '../support/stack.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`saved DSPy programs are left out: ${missing}`);

type Shown = { state: JsonObject; messages: JsonObject[] };

describe.skipIf(missing !== undefined)('programs that plain DSPy compiled and saved', { timeout: 60_000 }, () => {
  let lm: ScriptedLm;
  let stack: Stack;
  let folder = '';

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'signet-dspy-state-'));
    lm = await startScriptedLm();
    stack = await startStack({ engines: 'python', lm: lm.url });
  }, 90_000);
  beforeEach(() => lm.reset());
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const dspy = (...given: string[]): string =>
    execFileSync(findSidecarPython() ?? '', [join(ROOT, 'test', 'fixtures', 'python', 'saved_program.py'), ...given], {
      env: { PATH: process.env.PATH, DSPY_CACHEDIR: folder, LITELLM_LOCAL_MODEL_COST_MAP: 'True' },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const saved = (module: string): string => {
    const path = join(folder, `${module}.json`);
    dspy('save', module, path);
    return path;
  };
  const show = (module: string, path: string): Shown =>
    JSON.parse(dspy('show', module, path, JSON.stringify(QA_INPUTS))) as Shown;
  const make = (fields: JsonObject = {}): Promise<JsonObject> =>
    createProgram(stack, { adapterType: 'python_port', ...fields });
  const importInto = (program: JsonObject, body: JsonObject) =>
    stack.http.post(`/v1/programs/${program.slug}/versions:import`, body);

  it.each(['predict', 'chain_of_thought'])(
    'ask the model by the very messages of DSPy when imported, and come back equal (%s)',
    async (module) => {
      const path = saved(module);
      const state = JSON.parse(readFileSync(path, 'utf8')) as JsonObject;
      const program = await make({ configuration: { module } });
      const answer = await importInto(program, { state });
      const version = demand(answer, 201);
      expect(answer.headers.location).toBe(`/v1/programs/${program.id}/versions/2`);
      expect(version).toMatchObject({ version: 2, parentVersion: 1, source: 'import', serving: false });

      const exported = demand(await stack.http.get(`/v1/programs/${program.slug}/versions/2:export`), 200);
      expect(exported.state).toEqual(state);
      const back = join(folder, `${module}-back.json`);
      writeFileSync(back, JSON.stringify(exported.state));
      expect(show(module, back)).toEqual(show(module, path));

      demand(await stack.http.post(`/v1/programs/${program.slug}:initialize`), 200);
      demand(await stack.http.post(`/v1/programs/${program.slug}:execute`, { inputs: QA_INPUTS }), 200);
      expect(lm.requests[0]?.body.messages).toEqual(show(module, path).messages);
      expect(lm.requests[0]?.body).toMatchObject({ temperature: 0.25, max_tokens: 300 });
    },
  );

  it('have a counterpart: a version that was never imported loads in plain DSPy and asks the same', async () => {
    const demos = [{ question: 'Who?', context: ['Ada did.'], answer: 'Ada Lovelace', confidence: 0.5 }];
    const configuration = { module: 'predict', instructions: 'Be brief.', demos };
    const program = await make({ configuration });
    demand(await stack.http.post(`/v1/programs/${program.slug}:initialize`), 200);
    const exported = demand(await stack.http.get(`/v1/programs/${program.slug}/versions/1:export`), 200);
    const path = join(folder, 'fresh.json');
    writeFileSync(path, JSON.stringify(exported.state));
    const { state, messages } = show('predict', path);
    expect({ ...state, metadata: (exported.state as JsonObject).metadata }).toEqual(exported.state);
    demand(await stack.http.post(`/v1/programs/${program.slug}:execute`, { inputs: QA_INPUTS }), 200);
    expect(lm.requests[0]?.body.messages).toEqual(messages);
  });

  it('are refused with the path of what does not fit, and leave no version', async () => {
    const program = await make({ configuration: { module: 'predict' } });
    const field = (name: string) => ({ prefix: `${name}:`, description: `\${${name}}` });
    const fields = ['question', 'context', 'answer', 'confidence'].map(field);
    const predictor = (more: JsonObject = {}) => ({
      ...{ traces: [], train: [], demos: [], lm: null },
      signature: { instructions: 'Answer.', fields },
      ...more,
    });
    const cases: [JsonObject, string][] = [
      [{}, 'state'],
      [{ state: [] as never }, 'state'],
      [{ state: {} }, 'state'],
      [{ state: { metadata: {} } }, 'state'],
      [{ state: { a: predictor(), b: predictor() } }, 'state'],
      [{ state: { self: 'cos\nsystem' } }, 'state.self'],
      [{ state: { self: predictor({ demos: 'many' }) } }, 'state.self.demos'],
      [{ state: { self: predictor({ demos: [{ confidence: 'high' }] }) } }, 'state.self.demos[0].confidence'],
      [{ state: { self: predictor({ demos: [1] }) } }, 'state.self.demos[0]'],
      [{ state: { self: predictor({ signature: null }) } }, 'state.self.signature'],
      [{ state: { self: predictor({ signature: { instructions: 1, fields } }) } }, 'state.self.signature.instructions'],
      [
        { state: { self: predictor({ signature: { instructions: 'x', fields: fields.slice(1) } }) } },
        'state.self.signature.fields',
      ],
      [
        { state: { self: predictor({ signature: { instructions: 'x', fields: [1, ...fields.slice(1)] } }) } },
        'state.self.signature.fields[0].description',
      ],
      [{ state: { self: predictor({ lm: { temperature: 9 } }) } }, 'state.self.lm.temperature'],
      [{ state: { self: predictor({ lm: { max_tokens: 'all' } }) } }, 'state.self.lm.max_tokens'],
      [{ state: { self: predictor() }, module: 'react' }, 'module'],
      [{ state: { self: predictor() }, module: 'chain_of_thought' }, 'state.self.signature.fields'],
    ];
    for (const [body, path] of cases) {
      const answer = await importInto(program, body);
      expect([answer.status, (answer.body.violations as JsonObject[] | undefined)?.[0]?.field, path]).toEqual([
        400,
        path,
        path,
      ]);
    }
    const versions = demand(await stack.http.get(`/v1/programs/${program.slug}/versions`), 200).versions;
    expect(versions).toHaveLength(1);
    expect((await importInto({ slug: 'nobody' }, { state: { self: predictor() } })).status).toBe(404);
    expect((await stack.http.get(`/v1/programs/${program.slug}/versions/9:export`)).status).toBe(404);
  });

  it('are never read from a pickle', async () => {
    const program = await make({ configuration: { module: 'predict' } });
    const pickle = Buffer.from([0x80, 0x04, 0x95, 0x0b, 0, 0, 0, 0, 0, 0, 0, 0x7d, 0x94, 0x2e]);
    const refused = await stack.grpc
      .unary(
        ProgramServiceService.importProgramVersion,
        ImportProgramVersionRequest.fromPartial({
          program: String(program.slug),
          state: { kind: { $case: 'json', value: pickle } },
        }),
      )
      .catch((error: AppError) => error);
    expect(refused).toMatchObject({ fieldViolations: [{ field: 'state', reason: 'PICKLE_REFUSED' }] });
    const raw = await stack.http.post(`/v1/programs/${program.slug}/versions:import`, pickle as never);
    expect([400, 415]).toContain(raw.status);
  });

  it('ask for a role: viewers export, editors import', async () => {
    const { slug } = await make({ signatureSpec: QA_SPEC });
    const key = demand(await stack.http.post('/v1/apiKeys', { name: 'looker', role: 'viewer' }), 201).secret as string;
    expect((await stack.http.get(`/v1/programs/${slug}/versions/1:export`, { key })).status).toBe(200);
    const refused = await stack.http.post(`/v1/programs/${slug}/versions:import`, { state: {} }, { key });
    expect([refused.status, refused.body.reason]).toEqual([403, 'ROLE_REQUIRED']);
  });
});
