import { eventually } from '@signet/kit/testing/eventually.ts';
import { ExecuteModuleRequest, RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { useModules, violated } from '../support/modules.ts';
import { demand, QA_INPUTS, QA_SPEC, uniqueName } from '../support/programs.ts';

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const MOCK = { executionOptions: { engine: 'mock' } } as const;

const used = useModules();

describe('modules', () => {
  it('MOD-01 carries its fields with their defaults', async () => {
    const module = await used.registered({ description: 'Answers questions.', labels: { team: 'search' } });
    expect(module).toMatchObject({
      type: 'MODULE_TYPE_PREDICT',
      implementation: 'MODULE_IMPLEMENTATION_PYTHON',
      state: 'MODULE_STATE_UNINITIALIZED',
      pythonModule: 'dspy.Predict',
      routingStrategy: 'ROUTING_STRATEGY_PERFORMANCE_BASED',
      cacheTtl: '300',
      description: 'Answers questions.',
      labels: { team: 'search' },
    });
    expect(module.config ?? {}).toEqual({});
    expect(module.performanceMetrics ?? {}).toEqual({});
    expect(module.id).toMatch(UUID_V7);
    expect(module.signatureModule).toMatch(/^Spec\.S/);
    const signature = demand(await used.stack.http.get(`/v1/signatures/${module.signatureId}`), 200);
    expect(signature.module).toBe(module.signatureModule);
    const bare = await used.registered({ signatureSpec: '', type: 'retrieve', config: { retriever: 'colbert_v2' } });
    expect(bare).toMatchObject({ type: 'MODULE_TYPE_RETRIEVE', config: { retriever: 'colbert_v2' } });
    expect(bare.signatureId ?? '').toBe('');
  });

  it('MOD-02 registers from a specification map; executors run it at once, without restart', async () => {
    const signature = (await used.stack.http.post('/v1/signatures:parse', { spec: QA_SPEC })).body;
    const name = uniqueName('rag_qa').replace('-', '_');
    const body = {
      name,
      type: 'predict',
      signature: signature.id ?? '',
      implementation: 'hybrid',
      pythonModule: 'dspy.Predict',
      nativeModule: 'native.predict',
      config: { retriever: 'colbert_v2', generator: 'gpt4' },
    };
    const answer = await used.stack.http.post('/v1/modules', body);
    expect(answer.status).toBe(201);
    expect(answer.headers.location).toBe(`/v1/modules/${answer.body.id}`);
    expect(answer.body).toMatchObject({ implementation: 'MODULE_IMPLEMENTATION_HYBRID', config: body.config });
    const run = demand(await used.stack.http.post(`/v1/modules/${name}:execute`, { inputs: QA_INPUTS, ...MOCK }), 200);
    expect(run.engine).toBe('ENGINE_MOCK');
    const taken = await used.register({ name });
    expect([taken.status, taken.body.reason]).toEqual([409, 'NAME_TAKEN']);
  });

  it('MOD-03 merges metrics key by key; of 50 at once none is lost', async () => {
    const { id } = await used.registered();
    await Promise.all(
      Array.from({ length: 50 }, async (_, at) =>
        demand(
          await used.stack.http.patch(`/v1/modules/${id}/metrics`, { metrics: { [`run_${at}`]: at, last: at } }),
          200,
        ),
      ),
    );
    const { performanceMetrics } = demand(await used.stack.http.get(`/v1/modules/${id}`), 200);
    expect(Object.keys(performanceMetrics as JsonObject)).toHaveLength(51);
    expect(performanceMetrics).toMatchObject({ run_0: 0, run_49: 49 });
    for (const body of [{}, { metrics: 3 }, { metrics: { bad: 'x\u0000' } }]) {
      expect((await used.stack.http.patch(`/v1/modules/${id}/metrics`, body)).status).toBe(400);
    }
    const huge = await used.stack.http.patch(`/v1/modules/${id}/metrics`, { metrics: { text: 'x'.repeat(70_000) } });
    expect([huge.status, violated(huge)]).toEqual([400, ['metrics']]);
    expect((await used.stack.http.patch('/v1/modules/nobody/metrics', { metrics: { a: 1 } })).status).toBe(404);
  });

  it('MOD-04 executes by id and by name; its executions name it and are found and summed up by it', async () => {
    const { id, name } = await used.registered({ pythonModule: 'dspy.ChainOfThought' });
    const body = { inputs: QA_INPUTS, ...MOCK, labels: { from: 'test' } };
    const byId = demand(await used.stack.http.post(`/v1/modules/${id}:execute`, body), 200);
    const byName = await used.stack.grpc.unary(
      RuntimeServiceService.executeModule,
      ExecuteModuleRequest.fromPartial({
        module: String(name),
        inputs: { kind: { $case: 'json', value: Buffer.from(JSON.stringify(QA_INPUTS)) } },
        executionOptions: { engine: 3 },
      }),
    );
    expect(byName.programId).toBe(byId.programId);
    const execution = demand(await used.stack.http.get(`/v1/executions/${byId.executionId}`), 200);
    expect(execution).toMatchObject({ moduleId: id, module: name, status: 'EXECUTION_STATUS_COMPLETED' });
    const bad = await used.stack.http.post(`/v1/modules/${name}:execute`, { inputs: { question: 7 }, ...MOCK });
    expect([bad.status, bad.body.reason]).toEqual([400, 'INPUT_INVALID']);
    for (const path of [`/v1/modules/${name}/executions`, `/v1/executions?module=${id}`]) {
      const { executions } = demand(await used.stack.http.get(path), 200);
      expect((executions as JsonObject[]).map((row) => row.moduleId)).toEqual([id, id, id]);
    }
    const figures = demand(await used.stack.http.get(`/v1/executions:aggregate?module=${name}`), 200);
    expect(figures).toMatchObject({ totalExecutions: '3', completedExecutions: '2', failedExecutions: '1' });
    expect(figures.successRate).toBeCloseTo(2 / 3);
    const detached = await used.stack.http.post(`/v1/modules/${name}:execute`, body, {
      headers: { prefer: 'respond-async' },
    });
    expect(detached.status).toBe(202);
    await eventually(async () => {
      const { status } = demand(await used.stack.http.get(`/v1/executions/${detached.body.executionId}`), 200);
      expect(status).toBe('EXECUTION_STATUS_COMPLETED');
    });
    // The program behind a module is no program of its own.
    const { programs } = demand(await used.stack.http.get('/v1/programs?pageSize=1000'), 200);
    expect((programs as JsonObject[]).map((program) => program.id)).not.toContain(byId.programId);
  });

  it('MOD-05 is taken out of use, not deleted: the name is free, executions stay', async () => {
    const { id, name, etag } = await used.registered();
    const run = demand(await used.stack.http.post(`/v1/modules/${id}:execute`, { inputs: QA_INPUTS, ...MOCK }), 200);
    expect((await used.stack.http.delete(`/v1/modules/${id}?etag=wrong`)).status).toBe(412);
    expect((await used.stack.http.delete(`/v1/modules/${id}`, { headers: { 'if-match': String(etag) } })).status).toBe(
      204,
    );
    expect((await used.stack.http.get(`/v1/modules/${id}`)).body.reason).toBe('MODULE_NOT_FOUND');
    const again = await used.stack.http.post(`/v1/modules/${id}:execute`, { inputs: QA_INPUTS, ...MOCK });
    expect([again.status, again.body.reason]).toEqual([404, 'MODULE_NOT_FOUND']);
    expect(demand(await used.stack.http.get(`/v1/executions/${run.executionId}`), 200).module).toBe(name);
    await used.registered({ name: name ?? '' });
  });

  it('MOD-08 is found by id and by name, one at most, else MODULE_NOT_FOUND', async () => {
    const { id, name } = await used.registered();
    expect(demand(await used.stack.http.get(`/v1/modules/${name}`), 200).id).toBe(id);
    const { modules } = demand(await used.stack.http.get(`/v1/modules?name=${name}`), 200);
    expect((modules as JsonObject[]).map((module) => module.id)).toEqual([id]);
    for (const nobody of ['nobody', '0', 'a%20b', 'x'.repeat(300), '00000000-0000-7000-8000-000000000000']) {
      const answer = await used.stack.http.get(`/v1/modules/${nobody}`);
      expect([nobody, answer.status, answer.body.reason]).toEqual([nobody, 404, 'MODULE_NOT_FOUND']);
    }
  });
});
