import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SignetClient, SignetError } from '@signet/client/index.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { readyProgram } from '../support/programs.ts';
import { useSignet } from '../support/signet-command.ts';
import { type Stack, startStack } from '../support/stack.ts';

// Each command is a process of its own.
vi.setConfig({ testTimeout: 60_000 });

let stack: Stack;
let client: SignetClient;
let qa = '';
beforeAll(async () => {
  stack = await startStack({ engines: 'mock', env: { SIGNET_RATE_LIMIT: 'off' } });
  client = new SignetClient({ address: stack.grpcAddress, key: stack.adminKey });
  qa = String((await readyProgram(stack, { adapterType: 'mock', signatureSpec: 'q: str, n: int -> a: str' })).slug);
}, 60_000);
afterAll(async () => {
  client?.close();
  await stack?.close();
});

function* inputs(count: number) {
  for (let n = 0; n < count; n++) yield { q: `question ${n}`, n };
}

describe('batches from TypeScript', () => {
  it('give each result as it is there, bad ones too', async () => {
    const given = [...inputs(3), { q: 'no number', n: 'x' }];
    const results = await Array.fromAsync(client.programs.batch(qa, given, { concurrency: 2, itemTimeoutMs: 5_000 }));
    expect(results.map(({ index, ok }) => [index, ok]).toSorted()).toEqual([
      [0, true],
      [1, true],
      [2, true],
      [3, false],
    ]);
    const failed = results.find((one) => !one.ok);
    expect(failed?.ok === false && failed.error.reason).toBe('INPUT_INVALID');
  });

  it('take inputs only as fast as they are run, and end when one leaves them', async () => {
    let taken = 0;
    let isLeft = false;
    async function* endless() {
      try {
        for (; ; taken++) yield { q: 'x'.repeat(10_000), n: taken };
      } finally {
        isLeft = true;
      }
    }
    for await (const { index } of client.program(qa).batch(endless(), { concurrency: 4 })) {
      if (index >= 50) break;
    }
    await eventually(() => expect(isLeft).toBe(true));
    expect(taken).toBeLessThan(1_000);
  });

  it('throw what the service refuses, and what the inputs break with', async () => {
    const refused = Array.fromAsync(client.programs.batch('nobody', inputs(1)));
    await expect(refused).rejects.toMatchObject({ reason: 'PROGRAM_NOT_FOUND' });
    function* broken() {
      yield* inputs(1);
      throw new RangeError('the source is empty');
    }
    await expect(Array.fromAsync(client.programs.batch(qa, broken()))).rejects.toThrow(RangeError);
    await expect(client.batches.upload(qa, { inputs: broken() })).rejects.toThrow(RangeError);
    const stop = AbortSignal.abort();
    await expect(client.batches.upload(qa, { inputs: inputs(1) }, {}, { signal: stop })).rejects.toThrow(SignetError);
  });

  it('go on without anybody, and are read to their end', async () => {
    const made = await client.batches.upload(
      qa,
      { inputs: inputs(5_000) },
      { name: 'from TypeScript', labels: { a: 'b' } },
    );
    expect(made.itemCount).toBe(5_000n);
    const done = await client.batches.wait(made.id);
    expect([done.completedCount, done.failedCount, done.labels]).toEqual([5_000n, 0n, { a: 'b' }]);
    const items = await Array.fromAsync(client.batches.items(made.id));
    expect([items.length, items.at(-1)?.index]).toEqual([5_000, 4_999n]);
    const file = Buffer.concat(await Array.fromAsync(client.batches.results(made.id, 'csv'))).toString();
    expect(file.trim().split('\n')).toHaveLength(5_001);
  });
});

describe('batches by command', () => {
  const { room, launch } = useSignet(() => ({
    SIGNET_ADDRESS: stack.grpcAddress,
    SIGNET_API_KEY: stack.adminKey,
  }));
  const signet = (args: readonly string[], input = '') => launch(args, { input }).ended;

  it('are uploaded out of a file, watched, and downloaded', async () => {
    writeFileSync(join(room, 'rows.csv'), 'q,n\none,1\n"two, or three",2\n');
    const made = await signet(['batches', 'upload', '--program', qa, '--file', 'rows.csv', '--json']);
    expect([made.code, made.err]).toEqual([0, '']);
    const { id } = JSON.parse(made.out);
    const watched = await signet(['batches', 'watch', id, '--json']);
    expect(JSON.parse(watched.out.trim().split('\n').at(-1)!).result.completedCount).toBe('2');
    const results = await signet(['batches', 'results', id]);
    const lines = results.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ inputs: { q } }) => q)).toEqual(['one', 'two, or three']);
    const saved = await signet(['batches', 'results', id, '--output', 'results.ndjson']);
    expect(saved).toMatchObject({ code: 0, out: '' });
    expect(readFileSync(join(room, 'results.ndjson'), 'utf8')).toBe(results.out);
  });

  it('are downloaded to nowhere if they are not there, or the file cannot be', async () => {
    const nobody = '01900000-0000-7000-8000-000000000000';
    expect((await signet(['batches', 'results', nobody, '--output', 'none.ndjson'])).code).toBe(3);
    expect(existsSync(join(room, 'none.ndjson'))).toBe(false);
    const made = await signet(['batches', 'upload', '--program', qa, '--json'], '{"q":"a","n":1}\n');
    const nowhere = await signet(['batches', 'results', JSON.parse(made.out).id, '--output', 'no/folder.csv']);
    expect([nowhere.code, nowhere.err]).toEqual([
      2,
      expect.stringContaining('no/folder.csv cannot be written (ENOENT)'),
    ]);
  });

  it('are run from standard input, results as lines', async () => {
    const items = '{"index":5,"inputs":{"q":"a","n":1}}\n\n{"inputs":{"q":"b","n":"x"}}\n';
    const { code, out } = await signet(['programs', 'batch-execute', qa, '--concurrency', '2'], items);
    const results = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(code).toBe(0);
    expect(results.map(({ index, error }) => [index ?? '0', error?.reason]).toSorted()).toEqual([
      ['1', 'INPUT_INVALID'],
      ['5', undefined],
    ]);
  });

  it('name every row that is wrong', async () => {
    const refused = await signet(['batches', 'upload', '--program', qa], '{"q":"a","n":"x"}\n{"q":1}\n');
    expect(refused.code).not.toBe(0);
    expect(refused.err).toContain('lines[1].n');
    expect(refused.err).toContain('lines[2].n');
    const missing = await signet(['batches', 'upload', '--program', qa, '--file', 'nothing.csv']);
    expect([missing.code, missing.err]).toEqual([2, expect.stringContaining('nothing.csv cannot be read (ENOENT)')]);
    const unread = await signet(['programs', 'batch-execute', qa, '--file', 'nothing.ndjson']);
    expect([unread.code, unread.err]).toEqual([2, expect.stringContaining('nothing.ndjson cannot be read (ENOENT)')]);
    const broken = await signet(['programs', 'batch-execute', qa], '{"inputs":\n');
    expect([broken.code, broken.err]).toEqual([2, expect.stringContaining('line 1')]);
  });
});
