import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { demand, readyProgram } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { query } from '../support/query.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`plans made anew are left out: ${missing}`);

const REPLY = "[[ ## a ## ]]\n{one: 1, 'two': 2\n\n[[ ## completed ## ]]";

describe.skipIf(missing !== undefined)('the plan of a version', { timeout: 90_000 }, () => {
  let stack: Stack;
  let lm: ScriptedLm;
  beforeAll(async () => {
    lm = await startScriptedLm();
    stack = await startStack({ engines: 'python', lm: lm.url });
  }, 90_000);
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
  });
  beforeEach(() => lm.reset());

  const execute = (slug: unknown, executionOptions: JsonObject = {}) =>
    stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { q: 'count' }, executionOptions });
  const preparationOf = async (slug: unknown) =>
    demand(await stack.http.get(`/v1/programs/${slug}/versions/1`), 200).preparation as JsonObject;
  /** Changes what is stored and starts an executor that has never seen anything else. */
  const doctor = async (programId: unknown, change: string, condition = 'true'): Promise<void> => {
    const text = `update registry.program_preparations p set ${change} from registry.program_versions v
      where v.id = p.version_id and v.program_id = $1 and ${condition}`;
    await query(stack.databaseUrl, text, [programId]);
    await stack.kill('executor');
    await stack.restart('executor');
    await eventually(async () => demand(await stack.http.get('/readyz', { key: '' }), 200), 20_000);
  };
  const FOREIGN = `plan_json = replace(plan_json, 'historian', 'hystorian'), dialect = jsonb_set(dialect, '{dspy}', '"2.0.0"'), dialect_hash = 'other'`;
  const sent = () => JSON.stringify(lm.requests.at(-1)?.body.messages);

  it('is made at the first use where the version was prepared without', async () => {
    const { id, slug } = await readyProgram(stack, { adapterType: 'python_port', signatureSpec: 'q -> a' });
    await doctor(id, `plan_json = '', native_fault = ''`);
    expect((await preparationOf(slug)).promptPlan ?? null).toBeNull();
    await eventually(async () => {
      expect(demand(await execute(slug, { engine: 'native' }), 200).engine).toBe('ENGINE_NATIVE');
    }, 20_000);
    expect((await preparationOf(slug)).promptPlan).toMatchObject({ dialect: { dspy: '3.4.1' } });
  });

  it('of another DSPy is made anew, and no other DSPy reads a reply for it', async () => {
    const { id, slug } = await readyProgram(stack, {
      adapterType: 'native',
      signatureSpec: 'q -> a: dict[str, int]',
      configuration: { instructions: 'Count as a historian.' },
    });
    await doctor(id, FOREIGN);
    lm.enqueue({ kind: 'text', text: REPLY });
    const first = await execute(slug);
    expect(sent()).toContain('hystorian');
    expect(first).toMatchObject({ status: 502, body: { reason: 'LM_REPLY_UNREADABLE' } });
    expect(String(first.body.detail)).toContain('no Python of the same dialect');
    const renewed = () =>
      eventually(async () => {
        lm.enqueue({ kind: 'text', text: REPLY });
        const answer = await execute(slug);
        expect(sent()).toContain('historian');
        expect(demand(answer, 200).outputs).toEqual({ a: { one: 1, two: 2 } });
      }, 20_000);
    await renewed();
    expect(await preparationOf(slug)).toMatchObject({ state: 'PREPARATION_STATE_READY', dialect: { dspy: '3.4.1' } });
    // An upgrade that is taken back: the foreign one is the newer one now.
    await doctor(id, `create_time = now() + interval '1 second'`, `dialect_hash = 'other'`);
    await renewed();
    const rows = await query(
      stack.databaseUrl,
      `select p.dialect->>'dspy' as dspy from registry.program_preparations p join registry.program_versions v on v.id = p.version_id
       where v.program_id = $1 order by p.create_time`,
      [id],
    );
    expect(rows).toEqual([{ dspy: '2.0.0' }, { dspy: '3.4.1' }]);
  });

  it('serves on from the old one while nobody can make a new one', async () => {
    const { id, slug } = await readyProgram(stack, {
      adapterType: 'native',
      signatureSpec: 'q -> a',
      configuration: { instructions: 'Answer as a historian.' },
    });
    await stack.kill('sidecar');
    await doctor(id, FOREIGN);
    for (let at = 0; at < 3; at += 1) demand(await execute(slug), 200);
    expect(sent()).toContain('hystorian');
    await stack.restart('sidecar');
    await eventually(async () => {
      demand(await execute(slug), 200);
      expect(sent()).toContain('historian');
    }, 60_000);
  });
});
