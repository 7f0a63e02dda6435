import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { status } from '@grpc/grpc-js';
import { type Answer, startScriptedService } from '@signet/client/test-support/scripted-service.ts';
import { BatchServiceService } from '@signet/proto/gen/signet/v1/batch_service.ts';
import { OptimizationServiceService } from '@signet/proto/gen/signet/v1/optimization_service.ts';
import { expect, it } from 'vitest';
import { runSignet } from '../program.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const lost = { code: status.UNAVAILABLE, reason: 'SERVICE_UNAVAILABLE', retryAfterMs: 10 };

async function signet(service: object, answers: Answer[], ...args: string[]) {
  const scripted = await startScriptedService(service, answers);
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const terminal = { env: {}, cwd: '/', stdin: new PassThrough(), stop: new AbortController().signal };
  try {
    const all = [...args, '--address', scripted.address];
    const code = await runSignet({ ...terminal, stdout, stderr } as never, root, all);
    stdout.end();
    return { code, lines: (await text(stdout)).trim().split('\n'), seen: scripted.seen.map(({ request }) => request) };
  } finally {
    scripted.close();
  }
}

it('goes on watching where the connection broke', async () => {
  const log = (sequence: bigint, line: string) => ({
    ...{ sequence, kind: { $case: 'log', value: { level: 'info', text: line } } },
  });
  const first = { messages: [log(1n, 'one'), log(2n, 'two')], ending: lost };
  const answers = [first, { messages: [log(3n, 'three')] }];
  const watched = await signet(OptimizationServiceService, answers, 'optimization-jobs', 'watch', 'x');
  expect(watched.code).toBe(0);
  expect(watched.lines).toEqual(['one', 'two', 'three'].map((line) => `log  level info  text ${line}`));
  expect(watched.seen.map(({ afterSequence }) => afterSequence)).toEqual([0n, 2n]);
});

it('gives up on what stays away, and on a download that broke', async () => {
  const away = await signet(BatchServiceService, Array(100).fill(lost), 'batches', 'watch', 'x');
  expect([away.code, away.lines]).toEqual([5, ['']]);
  expect(away.seen.length).toBeLessThan(100);
  const piece = { messages: [{ contentType: 'text/csv', data: Buffer.from('index'), extensions: [] }], ending: lost };
  const broken = await signet(BatchServiceService, [piece, piece], 'batches', 'results', 'x');
  expect([broken.code, broken.seen.length]).toEqual([5, 1]);
});
