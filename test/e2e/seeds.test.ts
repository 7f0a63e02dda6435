import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { demand, uniqueName } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { USER_MODULES } from '../support/user-modules.ts';

const SIGNATURE_TEST = 'AshDSPy.ML.SignatureTest.TestSignature';
const PROGRAM_TEST = 'AshDSPy.ML.ProgramTest.TestSignature';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`the founding tests are left out: ${missing}`);

// The tests of the founding document one by one; its module names are on the sidecar's allow-list.
describe.skipIf(missing !== undefined)('the founding tests', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ engines: 'python', envOf: { sidecar: USER_MODULES } });
    // The executor reports what the allow-list holds once the pool is up.
    await eventually(async () => expect(await isValid(SIGNATURE_TEST)).toBe(true), 20_000);
  });
  afterAll(() => stack?.close());

  const isValid = async (module: string): Promise<unknown> =>
    demand(await stack.http.get(`/v1/signatures:validateModule?module=${module}`), 200).valid ?? false;
  const fromModule = async (name: string): Promise<JsonObject> => {
    const answer = await stack.http.post('/v1/signatures:fromModule', {
      signatureModule: SIGNATURE_TEST,
      name,
      description: 'A test signature for Q&A',
    });
    expect([200, 201]).toContain(answer.status);
    return answer.body;
  };
  const createWithSignature = async (): Promise<JsonObject> => {
    const body = { signatureModule: PROGRAM_TEST, name: 'Test Program', adapterType: 'mock' };
    return demand(await stack.http.post('/v1/programs', body), 201);
  };
  const createReady = async (): Promise<JsonObject> => {
    const { id } = await createWithSignature();
    return demand(await stack.http.post(`/v1/programs/${id}:initialize`), 200);
  };

  it('TST-01, SIG-16 creates a signature from a module', async () => {
    const signature = await fromModule('Test QA Signature');
    expect(signature.name).toBe('Test QA Signature');
    expect(signature.module).toBe(SIGNATURE_TEST);
    expect(signature.inputs).toHaveLength(1);
    expect(signature.outputs).toHaveLength(2);
    expect(signature.status).toBe('SIGNATURE_STATUS_DRAFT');
    expect((signature.inputs as JsonObject[])[0]).toMatchObject({ name: 'question', type: 'str' });
    expect((signature.outputs as JsonObject[]).map(({ name, type }) => `${name}: ${type}`)).toEqual([
      'answer: str',
      'confidence: float',
    ]);
  });

  it('TST-01, SIG-09 validates a signature module: what loads is true, all else is false', async () => {
    expect(await isValid(SIGNATURE_TEST)).toBe(true);
    for (const module of ['NonExistentModule', 'AshDSPy.Broken', 'AshDSPy.Missing', 'seed_signatures:TwoAnswers']) {
      expect([module, await isValid(module)]).toEqual([module, false]);
    }
  });

  it('TST-01 activates a draft signature, and prevents activating one that is no draft', async () => {
    const signature = await fromModule('Test QA Signature');
    const activated = demand(await stack.http.post(`/v1/signatures/${signature.id}:activate`), 200);
    expect(activated.status).toBe('SIGNATURE_STATUS_ACTIVE');
    const twice = await stack.http.post(`/v1/signatures/${signature.id}:activate`);
    expect([twice.status, twice.body.detail]).toEqual([409, 'Only draft signatures can be activated']);
  });

  it('TST-02 creates a program with a signature', async () => {
    const program = await createWithSignature();
    expect(program).toMatchObject({
      name: 'Test Program',
      adapterType: 'ADAPTER_TYPE_MOCK',
      status: 'PROGRAM_STATUS_DRAFT',
      signatureModule: PROGRAM_TEST,
    });
  });

  it('TST-02 initializes a program with its adapter', async () => {
    const initialized = await createReady();
    expect(initialized.status).toBe('PROGRAM_STATUS_READY');
    expect(initialized.dspyProgramId).toBeTruthy();
  });

  it('TST-02 executes a program with valid inputs', async () => {
    const { id } = await createReady();
    const result = demand(
      await stack.http.post(`/v1/programs/${id}:execute`, { inputs: { question: 'What is 2+2?' } }),
      200,
    );
    expect(result.outputs).toHaveProperty('answer');
  });

  it('TST-02 rejects an execution with invalid inputs', async () => {
    const { id } = await createReady();
    const refused = await stack.http.post(`/v1/programs/${id}:execute`, { inputs: { wrong_field: 'test' } });
    expect(refused.status).toBe(400);
    expect(refused.body.detail).toMatch(/validation failed/);
  });

  it('TST-02 tracks execution statistics', async () => {
    const { id } = await createReady();
    for (let at = 0; at < 3; at += 1)
      demand(await stack.http.post(`/v1/programs/${id}:execute`, { inputs: { question: 'test' } }), 200);
    const stats = demand(await stack.http.get(`/v1/programs/${id}/stats`), 200);
    expect(Number(stats.executionCount)).toBeGreaterThanOrEqual(3);
    expect(stats.lastExecutedAt).toBeTruthy();
  });

  it('TST-03 goes across resources: signature, program, execution and back', async () => {
    const signature = demand(
      await stack.http.post('/v1/signatures:parse', { spec: `${uniqueName('q').replace('-', '_')} -> answer` }),
      201,
    );
    demand(await stack.http.post(`/v1/signatures/${signature.id}:activate`), 200);
    const program = demand(
      await stack.http.post('/v1/programs', { name: 'Across', signature: signature.id, adapterType: 'mock' }),
      201,
    );
    demand(await stack.http.post(`/v1/programs/${program.id}:initialize`), 200);
    const field = (signature.inputs as JsonObject[])[0]?.name;
    const result = demand(
      await stack.http.post(`/v1/programs/${program.id}:execute`, { inputs: { [String(field)]: 'x' } }),
      200,
    );
    const execution = demand(await stack.http.get(`/v1/executions/${result.executionId}`), 200);
    expect([execution.programId, program.signatureId]).toEqual([program.id, signature.id]);
    expect((await stack.http.delete(`/v1/signatures/${signature.id}`)).body.reason).toBe('SIGNATURE_IN_USE');
    const listed = demand(await stack.http.get(`/v1/programs/${program.id}/executions`), 200)
      .executions as JsonObject[];
    expect(listed.map(({ id }) => id)).toEqual([result.executionId]);
  });

  it('SIG-03, PRG-05 says why an allow-listed module cannot be read', async () => {
    for (const signatureModule of ['AshDSPy.Broken', 'AshDSPy.Missing']) {
      const program = await stack.http.post('/v1/programs', { name: 'x', signatureModule });
      expect([program.status, program.body.detail]).toEqual([
        400,
        expect.stringMatching(/^Error validating signature: ./),
      ]);
      const signature = await stack.http.post('/v1/signatures:fromModule', { signatureModule });
      expect([signature.status, signature.body.detail]).toEqual([
        400,
        expect.stringMatching(/^Invalid signature module: ./),
      ]);
      expect(JSON.stringify(signature.body.violations)).toMatch(/signature_?module/i);
    }
  });
});
