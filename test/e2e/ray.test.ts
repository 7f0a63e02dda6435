import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, Metadata } from '@grpc/grpc-js';
import { eventually } from '@signet/kit/testing/eventually.ts';
import {
  type GetPoolResponse,
  Lane,
  SidecarServiceClient,
  WorkerState,
} from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { demand, readyProgram, uniqueName } from '../support/programs.ts';
import { ensureRay, parentsOf, startRay, type TestRay, whyNoRay } from '../support/ray.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

const userCode = `
import os
import dspy

class Where(dspy.Module):
    def forward(self, question):
        return dspy.Prediction(answer=str(os.getpid()))

def where(example, pred, trace=None):
    return {"score": 1.0, "feedback": str(os.getpid())}
`;

const missing = whyNoRay();
if (missing !== undefined) console.warn(`Ray is left out: ${missing}`);

describe.skipIf(missing !== undefined)('with SIGNET_RAY_ADDRESS', { timeout: 120_000 }, () => {
  let ray: TestRay;
  let lm: ScriptedLm;
  let stack: Stack;
  let folder: string;
  let client: SidecarServiceClient;
  let delayMs = 0;
  const answer = '[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]';
  beforeAll(async () => {
    const python = await ensureRay();
    folder = await mkdtemp(join(tmpdir(), 'signet-where-'));
    await writeFile(join(folder, 'where.py'), userCode);
    ray = await startRay(python, 4);
    lm = await startScriptedLm({ behaviour: () => ({ kind: 'text', text: answer, delayMs }) });
    const far = { SIGNET_RAY_ADDRESS: ray.address, SIGNET_RAY_WORKERS: '2', SIGNET_RAY_SOLO_WORKERS: '1' };
    const own = { SIGNET_PYTHON_PATH: folder, SIGNET_PYTHON_MODULES: 'Where=where:Where,where=where:where' };
    const env = { SIGNET_SIDECAR_WORKERS: '1', ...far, ...own, ...ray.env };
    stack = await startStack({ engines: 'python', python, lm: lm.url, envOf: { sidecar: env } });
    client = new SidecarServiceClient(stack.address('sidecar'), credentials.createInsecure());
    await eventually(async () => expect((await farWorkers()).length).toBe(3), 60_000);
  }, 300_000);
  afterAll(async () => {
    client?.close();
    await stack?.close();
    await ray?.close();
    await lm?.close();
    await rm(folder, { recursive: true, force: true });
  }, 60_000);
  beforeEach(() => {
    delayMs = 0;
    lm.reset();
  });

  function pool(): Promise<GetPoolResponse> {
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${stack.internalToken}`);
    const until = { deadline: Date.now() + 5_000 };
    return new Promise((resolve, reject) => {
      client.getPool({ soloWaiting: 0 }, metadata, until, (error, found) => (error ? reject(error) : resolve(found)));
    });
  }
  const farWorkers = async (lanes: readonly Lane[] = [Lane.LANE_BULK, Lane.LANE_BULK_SOLO]) =>
    (await pool()).workers.filter(
      ({ lane, state }) => lanes.includes(lane) && state === WorkerState.WORKER_STATE_READY,
    );
  const isOnRay = (pid: number): boolean => parentsOf(pid).some(({ command }) => command.includes('/raylet '));

  async function program(fields: JsonObject = {}): Promise<string> {
    const made = { adapterType: 'python_port', signatureSpec: 'question -> answer', ...fields };
    return String((await readyProgram(stack, made)).slug);
  }
  const custom = () => eventually(() => program({ configuration: { module: 'python:Where' } }), 60_000, 500);

  async function dataset(): Promise<string> {
    const name = uniqueName('data');
    demand(await stack.http.post('/v1/datasets', { name, slug: name, signatureSpec: 'question -> answer' }), 201);
    const rows = ['train', 'train', 'train', 'train', 'validation', 'validation', 'test', 'test'].map((split, n) =>
      JSON.stringify({ inputs: { question: `q ${n}` }, outputs: { answer: 'yes' }, split }),
    );
    const headers = { 'content-type': 'application/x-ndjson' };
    demand(await stack.http.post(`/v1/datasets/${name}/examples:import`, rows.join('\n'), { headers }), 201);
    return name;
  }

  async function upload(slug: string, count: number): Promise<string> {
    const rows = Array.from({ length: count }, (_, n) => JSON.stringify({ question: `q ${n}` })).join('\n');
    const path = `/v1/batches:upload?program=${slug}&executionOptions.engine=python&concurrency=8`;
    const headers = { 'content-type': 'application/x-ndjson' };
    return String(demand(await stack.http.send('POST', path, rows, { headers }), 201).id);
  }
  const endOf = (path: string): Promise<JsonObject> =>
    eventually(async () => {
      const found = demand(await stack.http.get(path), 200);
      expect(found.status).toMatch(/_(COMPLETED|FAILED|CANCELLED)$/);
      return found;
    }, 60_000);
  const linesOf = async (batch: string): Promise<JsonObject[]> => {
    const { text } = await stack.http.get(`/v1/batches/${batch}/results`);
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as JsonObject);
  };

  it('runs the items of a batch in processes that Ray has started, and single calls here', async () => {
    const slug = await custom();
    const batch = await upload(slug, 6);
    expect(await endOf(`/v1/batches/${batch}`)).toMatchObject({ status: 'BATCH_STATUS_COMPLETED' });
    const pids = (await linesOf(batch)).map(({ outputs }) => Number((outputs as JsonObject).answer));
    expect(pids).toHaveLength(6);
    expect(pids.every(isOnRay)).toBe(true);
    const single = demand(await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { question: '?' } }), 200);
    expect(isOnRay(Number((single.outputs as JsonObject).answer))).toBe(false);
  });

  it('runs the examples of an evaluation there, and the metric that is Python', async () => {
    const asked = { dataset: await dataset(), splits: ['test'], metric: { kind: 'python', name: 'where' } };
    const begun = demand(await stack.http.post(`/v1/programs/${await custom()}:evaluate`, asked), 202);
    expect(await endOf(`/v1/evaluations/${begun.id}`)).toMatchObject({ resultCount: '2', errorCount: '0' });
    const { results } = demand(await stack.http.get(`/v1/evaluations/${begun.id}/results`), 200);
    for (const { feedback, executionId } of results as JsonObject[]) {
      expect(isOnRay(Number(feedback))).toBe(true);
      const { outputs } = demand(await stack.http.get(`/v1/executions/${executionId}`), 200);
      expect(isOnRay(Number((outputs as JsonObject).answer))).toBe(true);
    }
  });

  it('repeats the runs of an actor that is killed: each item ends once, and the actor is replaced', async () => {
    delayMs = 500;
    const count = 96;
    const batch = await upload(await program(), count);
    const victim = await eventually(async () => {
      const busy = (await farWorkers([Lane.LANE_BULK])).find(({ inFlight }) => inFlight > 0);
      expect(busy).toBeDefined();
      return busy!;
    }, 20_000);
    const actor = parentsOf(victim.pid)[0]!;
    expect(actor.command).toContain('ray::ProcessActor');
    process.kill(actor.pid, 'SIGKILL');
    const ended = await endOf(`/v1/batches/${batch}`);
    expect(ended).toMatchObject({ status: 'BATCH_STATUS_COMPLETED', completedCount: String(count), failedCount: '0' });
    const lines = await linesOf(batch);
    expect(new Set(lines.map(({ executionId }) => executionId)).size).toBe(count);
    expect(lm.calls).toBeGreaterThan(count);
    // What was under way in the killed actor, at most all that the batch runs at once, is asked again.
    expect(lm.calls).toBeLessThanOrEqual(count + 8);
    await eventually(async () => {
      const there = await farWorkers();
      expect(there).toHaveLength(3);
      expect(there.map(({ pid }) => pid)).not.toContain(victim.pid);
    }, 30_000);
  });

  it('runs an optimizer there', async () => {
    delayMs = 300;
    const asked = { dataset: await dataset(), type: 'bootstrap' };
    const job = demand(await stack.http.post(`/v1/programs/${await program()}:optimize`, asked), 202);
    const pid = await eventually(async () => {
      const [found] = (await pool()).optimizers;
      expect(found?.pid).toBeGreaterThan(0);
      return found!.pid;
    }, 60_000);
    expect(isOnRay(pid)).toBe(true);
    expect(await endOf(`/v1/optimizationJobs/${job.id}`)).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED' });
    await eventually(async () => expect((await pool()).optimizers).toHaveLength(0), 10_000);
  });
});
