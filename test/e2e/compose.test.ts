import { SignetClient } from '@signet/client/index.ts';
import { ProgramKind } from '@signet/proto/gen/signet/v1/program.ts';
import {
  ComposeProgramRequest,
  ListProgramsRequest,
  ProgramServiceService,
  UpdateProgramRequest,
} from '@signet/proto/gen/signet/v1/program_service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpAnswer, JsonObject } from '../support/http.ts';
import { createProgram, demand, QA_SPEC, uniqueName } from '../support/programs.ts';
import { query } from '../support/query.ts';
import { type Stack, startStack } from '../support/stack.ts';

let stack: Stack;
let colbert: JsonObject;
let rag: JsonObject;
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
  colbert = await register({ type: 'retrieve', signatureSpec: 'question: str, k: int = 3 -> context: list[str]' });
  rag = await register({ signatureSpec: QA_SPEC });
});
afterAll(() => stack?.close());

const register = async (fields: JsonObject): Promise<JsonObject> => {
  const name = uniqueName('module').replaceAll('-', '_');
  const body = { name, type: 'predict', pythonModule: 'dspy.Predict', ...fields };
  return demand(await stack.http.post('/v1/modules', body), 201);
};
const compose = (fields: object = {}): Promise<HttpAnswer> =>
  stack.http.post('/v1/programs:compose', { modules: [rag.id], pipelineSpec: short(), ...fields } as JsonObject);
const composed = async (fields: object = {}): Promise<JsonObject> => demand(await compose(fields), 201);
const short = () => ({
  steps: [
    { type: 'retrieve', module: String(colbert.name), k: 10 },
    { type: 'predict', module: String(rag.name) },
  ],
});
const violations = (answer: HttpAnswer): [string, string][] =>
  ((answer.body.violations ?? []) as JsonObject[]).map(({ field, reason }) => [String(field), String(reason)]);
const versions = async (program: JsonObject): Promise<number> =>
  ((demand(await stack.http.get(`/v1/programs/${program.id}/versions`), 200).versions ?? []) as unknown[]).length;

describe('composed programs', () => {
  it('PRG-18 PRG-19 C-3 are made of modules and a pipeline, DRAFT, and come back as they were given', async () => {
    const answer = await compose();
    const program = demand(answer, 201);
    expect(answer.headers.location).toBe(`/v1/programs/${program.id}`);
    expect(program).toMatchObject({
      name: `Pipeline - ${rag.name} +1`,
      status: 'PROGRAM_STATUS_DRAFT',
      kind: 'PROGRAM_KIND_PIPELINE',
      adapterType: 'ADAPTER_TYPE_PYTHON_PORT',
      pipelineSpec: short(),
      modules: [rag.id, colbert.id],
      latestVersion: 1,
    });
    expect(program.configuration).toBeUndefined();
    expect(demand(await stack.http.get(`/v1/programs/${program.slug}`), 200)).toEqual(program);
    const version = demand(await stack.http.get(`/v1/programs/${program.id}/versions/1`), 200);
    expect(version).toMatchObject({ pipelineSpec: short(), modules: [rag.id, colbert.id], source: 'create' });
    expect((version.signature as JsonObject).spec).toBe('question: str -> answer: str, confidence: float');
  });

  it('PRG-18 are made over gRPC, once for one request id', async () => {
    const request = ComposeProgramRequest.fromPartial({
      name: 'Twice',
      modules: [String(rag.name)],
      pipelineSpec: short(),
      requestId: uniqueName('request'),
    });
    const first = await stack.grpc.unary(ProgramServiceService.composeProgram, request);
    const again = await stack.grpc.unary(ProgramServiceService.composeProgram, request);
    expect(again).toEqual(first);
    expect(first).toMatchObject({ kind: ProgramKind.PROGRAM_KIND_PIPELINE, pipelineSpec: short(), name: 'Twice' });
    const other = stack.grpc.unary(ProgramServiceService.composeProgram, { ...request, name: 'Other' });
    await expect(other).rejects.toMatchObject({ reason: 'IDEMPOTENCY_KEY_REUSED' });
  });

  it('PRG-18 need their modules: each that is not there is named', async () => {
    const nobody = '01900000-0000-7000-8000-000000000000';
    const answer = await compose({ modules: [nobody, rag.id, 'no_such_module'] });
    expect(answer.status).toBe(404);
    expect(answer.body).toMatchObject({ reason: 'MODULE_NOT_FOUND' });
    expect(answer.body.detail).toContain(nobody);
    expect(answer.body.detail).toContain('no_such_module');
    const none = await compose({ modules: [], pipelineSpec: undefined });
    expect(none.body).toMatchObject({ status: 400, reason: 'INVALID_REQUEST' });
    expect(violations(none).map(([field]) => field)).toEqual(['modules', 'pipelineSpec']);
  });

  it('PRG-19 are refused with every fault and its path, and nothing is kept', async () => {
    const before = await query(stack.databaseUrl, 'select count(*) from registry.programs', []);
    const answer = await compose({
      pipelineSpec: {
        inputs: 'question: list[str]',
        steps: [
          { id: 'a', type: 'retrieve', module: 'no_such_module', input: { question: { $ref: 'steps.c.answer' } } },
          { id: 'b', type: 'predict', module: rag.name, input: { question: { $ref: 'input.question' }, contxt: [] } },
          {
            id: 'c',
            type: 'predict',
            module: rag.name,
            needs: ['a'],
            input: { question: { $cel: '1 +' }, context: [] },
          },
          { id: 'd', type: 'python', module: 'os.system', input: { command: 'true' } },
        ],
        return: 'nobody',
      },
    });
    expect(answer.body).toMatchObject({ status: 400, reason: 'PIPELINE_INVALID' });
    expect(violations(answer)).toEqual([
      ['pipelineSpec.return', 'STEP_UNKNOWN'],
      ['pipelineSpec.steps[0]', 'CYCLE'],
      ['pipelineSpec.steps[0].module', 'MODULE_INVALID'],
      ['pipelineSpec.steps[1].input.context', 'INPUT_MISSING'],
      ['pipelineSpec.steps[1].input.contxt', 'FIELD_UNKNOWN'],
      ['pipelineSpec.steps[1].input.question', 'TYPE_MISMATCH'],
      ['pipelineSpec.steps[2].input.question', 'EXPRESSION'],
      ['pipelineSpec.steps[3].module', 'PYTHON_INVALID'],
    ]);
    expect(await query(stack.databaseUrl, 'select count(*) from registry.programs', [])).toEqual(before);
  });

  it('PRG-19 refuse 10,000 steps, deep nesting and hostile names clearly', async () => {
    const value = { type: 'function', function: 'value', input: { $ref: 'input.x' } };
    const many = await compose({ pipelineSpec: { inputs: 'x', steps: Array.from({ length: 10_000 }, () => value) } });
    expect(many.body).toMatchObject({ status: 400, reason: 'PIPELINE_INVALID' });
    expect(violations(many)).toEqual([['pipelineSpec.steps', 'TOO_MANY']]);
    let deep: unknown = value;
    for (let level = 0; level < 40; level++) deep = { type: 'group', steps: [deep] };
    expect((await compose({ pipelineSpec: { inputs: 'x', steps: [deep] } })).status).toBe(400);
    const named = await compose({
      pipelineSpec: { inputs: 'x', steps: [{ ...value, id: '__proto__', constructor: 1 }], toString: 2 },
    });
    expect(named.body).toMatchObject({ status: 400, reason: 'PIPELINE_INVALID' });
  });

  it('PRG-19 are told of a hundred faults with long names, at both doors', async () => {
    const steps = Array.from({ length: 150 }, (_, at) => ({
      id: `s${at}`,
      type: 'module',
      module: `${'x'.repeat(120)}${at}`,
      input: {},
    }));
    const answer = await compose({ pipelineSpec: { inputs: 'x', steps } });
    expect([answer.status, answer.body.reason, violations(answer).length]).toEqual([400, 'PIPELINE_INVALID', 100]);
    const request = ComposeProgramRequest.fromPartial({
      modules: [String(rag.id)],
      pipelineSpec: { inputs: 'x', steps },
    });
    const refused = stack.grpc.unary(ProgramServiceService.composeProgram, request);
    await expect(refused).rejects.toMatchObject({ reason: 'PIPELINE_INVALID' });
    const nobody = await compose({ modules: steps.slice(0, 100).map(({ module }) => module) });
    expect(nobody.body).toMatchObject({ status: 404, reason: 'MODULE_NOT_FOUND' });
  });

  it('C-13 share modules, which are kept in their order', async () => {
    const [first, second] = [await composed(), await composed({ modules: [colbert.id, rag.id] })];
    expect(first.modules).toEqual([rag.id, colbert.id]);
    expect(second.modules).toEqual([colbert.id, rag.id]);
    const rows = 'select program_id from registry.program_modules where module_id = $1 and program_id in ($2, $3)';
    expect(await query(stack.databaseUrl, rows, [rag.id, first.id, second.id])).toHaveLength(2);
  });

  it('C-3 have no signature and at least one module, of which the database is sure', async () => {
    const program = await composed();
    const plain = await createProgram(stack);
    expect(plain).toMatchObject({ kind: 'PROGRAM_KIND_SIGNATURE', modules: [] });
    const sql = (text: string, ...values: unknown[]) => query(stack.databaseUrl, text, values);
    await expect(sql(`update registry.programs set kind = 'flying' where id = $1`, program.id)).rejects.toThrow(
      /check/,
    );
    const kind = sql(`update registry.programs set kind = 'signature' where id = $1`, program.id);
    await expect(kind).rejects.toThrow(/programs_signature_check/);
    const version = (id: unknown, pipeline: string) =>
      sql(
        `insert into registry.program_versions (program_id, version, signature, configuration, source, pipeline_spec, pipeline)
         values ($1, 7, '{}', '{}', 'update', $2, $2)`,
        id,
        pipeline,
      );
    await expect(version(program.id, '{}')).rejects.toThrow(/needs at least one module/);
    await expect(version(program.id, '')).rejects.toThrow(/if and only if/);
    await expect(version(plain.id, '{}')).rejects.toThrow(/if and only if/);
  });

  it('are found by their kind', async () => {
    const program = await composed();
    const filter = `kind = PIPELINE AND id = "${program.id}"`;
    const list = await stack.grpc.unary(
      ProgramServiceService.listPrograms,
      ListProgramsRequest.fromPartial({ filter }),
    );
    expect(list.programs).toMatchObject([{ id: program.id, modules: program.modules, pipelineSpec: short() }]);
    const none = `kind = PROGRAM_KIND_SIGNATURE AND id = "${program.id}"`;
    expect(demand(await stack.http.get(`/v1/programs?filter=${encodeURIComponent(none)}`), 200).programs ?? []).toEqual(
      [],
    );
    const [view] = await query(stack.databaseUrl, 'select pipeline from registry.cognitive_programs where id = $1', [
      program.id,
    ]);
    expect(view?.pipeline).toEqual(short().steps);
  });

  it('PRG-17 get a new version with a new pipeline, and keep to what they are', async () => {
    const program = await composed();
    const pipelineSpec = { steps: [{ type: 'predict', module: String(rag.name) }] };
    const changed = demand(await stack.http.patch(`/v1/programs/${program.id}`, { pipelineSpec, name: 'New' }), 200);
    expect(changed).toMatchObject({ name: 'New', latestVersion: 2, pipelineSpec, modules: [rag.id] });
    expect(await versions(program)).toBe(2);
    const bad = await stack.http.patch(`/v1/programs/${program.id}`, { pipelineSpec: { steps: [] } });
    expect(bad.body).toMatchObject({ status: 400, reason: 'PIPELINE_INVALID' });
    const configured = stack.grpc.unary(
      ProgramServiceService.updateProgram,
      UpdateProgramRequest.fromPartial({ program: String(program.id), configuration: { module: 'predict' } }),
    );
    await expect(configured).rejects.toMatchObject({ reason: 'INVALID_REQUEST', metadata: { field: 'configuration' } });
    const plain = await createProgram(stack);
    const piped = await stack.http.patch(`/v1/programs/${plain.id}`, { pipelineSpec });
    expect(piped.body).toMatchObject({ status: 400, reason: 'INVALID_REQUEST' });
    expect([await versions(program), await versions(plain)]).toEqual([2, 1]);
  });

  it('are none of those that DSPy saves', async () => {
    const program = await composed();
    expect((await stack.http.get(`/v1/programs/${program.id}/versions/1:export`)).status).toBe(400);
    const state = {
      predict: { traces: [], train: [], demos: [], signature: { instructions: 'x', fields: [] }, lm: null },
      metadata: {},
    };
    const imported = await stack.http.post(`/v1/programs/${program.id}/versions:import`, { state, module: 'predict' });
    expect(imported.body).toMatchObject({ status: 400, reason: 'INVALID_REQUEST' });
  });

  it('PIP-01 PIP-07 C-23 take the founding pipeline in its full form', async () => {
    const retriever = await register({ type: 'retrieve', signatureSpec: 'query: str -> passages: list[str]' });
    const search = (id: string) => ({
      id,
      type: 'module',
      module: retriever.name,
      input: { query: { $ref: 'input(query)' } },
    });
    const fallback = "I apologize, but I'm unable to process this request at the moment.";
    const pipelineSpec = {
      inputs: ['query: str', 'context: Any = None'],
      steps: [
        {
          id: 'parse_input',
          type: 'action',
          resource: 'signature',
          action: 'parse',
          inputs: { spec: 'query: str -> parsed_query: dict' },
        },
        {
          id: 'retrieval',
          type: 'group',
          mode: 'async',
          min_success: 2,
          steps: [
            search('vector_search'),
            search('keyword_search'),
            {
              id: 'colbert_search',
              type: 'python',
              module: 'dspy.ColBERTv2',
              inputs: { query: { $ref: 'result(parse_input)' }, k: 10 },
            },
          ],
        },
        { id: 'merge_results', type: 'function', name: 'merge_and_rank', inputs: { $ref: 'result(retrieval)' } },
        {
          id: 'generate_response',
          type: 'module',
          name: 'chain_of_thought',
          input: { query: { $ref: 'input(query)' }, context: { $ref: 'result(merge_results)' } },
          compensate: 'fallback_response',
        },
        { id: 'fallback_response', type: 'function', function: 'value', input: { response: fallback } },
      ],
      return: 'generate_response',
    };
    const program = await composed({ modules: [retriever.id], pipelineSpec });
    expect(program).toMatchObject({ pipelineSpec, name: `Pipeline - ${retriever.name}`, modules: [retriever.id] });
  });

  it('PRG-18 are composed, prepared and run by the client', async () => {
    const client = new SignetClient({ address: stack.grpcAddress, key: stack.adminKey });
    try {
      const fields = { modules: [String(rag.id)], pipelineSpec: short(), adapterType: 'mock' } as const;
      const { slug } = await client.programs.compose({ name: uniqueName('composed'), ...fields });
      await client.programs.initialize(slug);
      const { outputs } = await client.programs.run(slug, { question: 'Who?' });
      expect(Object.keys(outputs)).toEqual(['answer', 'confidence']);
      const bad = client.programs.compose({
        ...fields,
        pipelineSpec: { steps: [{ type: 'predict', module: 'nobody' }] },
      });
      await expect(bad).rejects.toMatchObject({
        reason: 'PIPELINE_INVALID',
        fieldViolations: [{ field: 'pipeline_spec.steps[0].module', reason: 'MODULE_INVALID' }],
      });
    } finally {
      client.close();
    }
  });

  it('are made by editors alone', async () => {
    const made = demand(await stack.http.post('/v1/apiKeys', { name: uniqueName('key'), role: 'runner' }), 201);
    const body = { modules: [String(rag.id)], pipelineSpec: short() };
    const refused = await stack.http.post('/v1/programs:compose', body, { key: String(made.secret) });
    expect(refused.body).toMatchObject({ status: 403, reason: 'ROLE_REQUIRED' });
  });
});
