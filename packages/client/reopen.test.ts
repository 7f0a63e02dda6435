import { status } from '@grpc/grpc-js';
import { Batch, BatchStatus } from '@signet/proto/gen/signet/v1/batch.ts';
import { BatchServiceService } from '@signet/proto/gen/signet/v1/batch_service.ts';
import { afterEach, expect, it } from 'vitest';
import { SignetClient } from './signet-client.ts';
import { type Answer, type ScriptedService, startScriptedService } from './test-support/scripted-service.ts';

const lost = { code: status.UNAVAILABLE, reason: 'SERVICE_UNAVAILABLE', retryAfterMs: 10 };
const told = ($case: 'progress' | 'result', now: BatchStatus) => ({
  sequence: 1n,
  event: { $case, value: Batch.fromPartial({ id: 'x', status: now }) },
});
const running = told('progress', BatchStatus.BATCH_STATUS_RUNNING);
const completed = told('result', BatchStatus.BATCH_STATUS_COMPLETED);

let scripted: ScriptedService;
let client: SignetClient;
afterEach(() => {
  client.close();
  scripted.close();
});

async function waiting(answers: Answer[]) {
  scripted = await startScriptedService(BatchServiceService, answers);
  client = new SignetClient({ address: scripted.address });
  return client.batches;
}

it('waits for a batch over restarts of the service', async () => {
  const broken = { messages: [running], ending: lost };
  const batches = await waiting([broken, broken, { messages: [running, completed] }]);
  expect((await batches.wait('x')).status).toBe(BatchStatus.BATCH_STATUS_COMPLETED);
  expect(scripted.seen).toHaveLength(3);
});

it('tells what is no restart at once', async () => {
  const failed = { code: status.NOT_FOUND, reason: 'BATCH_NOT_FOUND' };
  const batches = await waiting([{ messages: [running], ending: failed }]);
  await expect(batches.wait('x')).rejects.toMatchObject({ reason: 'BATCH_NOT_FOUND' });
});

it('opens nothing twice where nothing is to be repeated', async () => {
  const batches = await waiting([{ messages: [running], ending: lost }]);
  await expect(batches.wait('x', { retries: 0 })).rejects.toMatchObject({ reason: 'SERVICE_UNAVAILABLE' });
});
