import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { QA_INPUTS, QA_SPEC, readyProgram, uniqueName } from '../support/programs.ts';
import { useSignet } from '../support/signet-command.ts';
import { type Stack, startStack } from '../support/stack.ts';

// Each command is a process of its own; a busy machine takes its time to start ten of them.
vi.setConfig({ testTimeout: 120_000 });

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
});
afterAll(() => stack?.close());

const { room, launch, signet, demandJson } = useSignet(() => ({
  SIGNET_ADDRESS: stack.grpcAddress,
  SIGNET_API_KEY: stack.adminKey,
}));

describe('the first program by command', () => {
  const slug = uniqueName('cli');

  it('creates, initializes and runs it, and reads what the signature types', async () => {
    const made = await demandJson(
      'programs',
      'create',
      '--name',
      slug,
      '--signature-spec',
      QA_SPEC,
      '--adapter-type',
      'mock',
    );
    expect(made).toMatchObject({ slug, status: 'PROGRAM_STATUS_DRAFT' });
    expect((await demandJson('programs', 'init', slug)).status).toBe('PROGRAM_STATUS_READY');
    const ran = await signet('run', slug, '-i', 'question=42', '-i', 'context=["Ada wrote it."]');
    expect([ran.code, ran.out]).toEqual([0, expect.stringMatching(/^answer {6}\S.*\nconfidence {2}\S+\n$/)]);
    expect(ran.err).toMatch(/execution [0-9a-f-]{36}, engine mock, \d+ ms/);
    const id = /execution ([0-9a-f-]{36})/.exec(ran.err)?.[1] ?? '';
    expect((await demandJson('executions', 'get', id)).inputs).toEqual({ question: '42', context: ['Ada wrote it.'] });
  });

  it('reads inputs from files, standard input and JSON, and keeps every digit', async () => {
    const spec = 'n: int, label: str, text: str, at: str -> answer';
    const { slug: numbers } = await readyProgram(stack, { signatureSpec: spec });
    writeFileSync(join(room, 'inputs.json'), '{"n": 1, "label": "file", "text": "file", "at": "file"}');
    writeFileSync(join(room, 'text.txt'), 'two\nlines');
    const { executionId } = JSON.parse(
      (
        await launch(
          [
            'run',
            String(numbers),
            '-i',
            '@inputs.json',
            '-i',
            '-',
            '-i',
            'label:="JSON"',
            '-i',
            'text=@text.txt',
            '-i',
            'at=@@home',
            '--json',
          ],
          {
            input: '{"n": 9007199254740993}',
          },
        ).ended
      ).out,
    );
    const read = await signet('executions', 'get', executionId, '--json');
    expect(read.out).toContain('"n": 9007199254740993');
    expect(JSON.parse(read.out).inputs).toMatchObject({ label: 'JSON', text: 'two\nlines', at: '@home' });
  });

  it('shows text as it is written, and the rest at the end', async () => {
    const shown = await signet('run', slug, '-i', JSON.stringify(QA_INPUTS), '--stream');
    expect([shown.code, shown.out]).toEqual([0, expect.stringMatching(/^answer {2}\S.*\n(?:.*\n)?confidence {2}/)]);
    const lines = (await signet('run', slug, '-i', JSON.stringify(QA_INPUTS), '--stream', '--json')).out
      .trim()
      .split('\n');
    const events = lines.map((line) => JSON.parse(line));
    expect(events.at(-1)).toMatchObject({ type: 'result', result: { status: 'completed' } });
  });

  it('detaches a run, watches it, finds it and runs it again', async () => {
    const detached = await signet('run', slug, '-i', JSON.stringify(QA_INPUTS), '--detach', '--label', 'from=cli');
    const id = detached.out.trim();
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    const watched = await signet('executions', 'watch', id);
    expect([watched.code, watched.err]).toEqual([0, expect.stringContaining('completed')]);
    const { executions } = await demandJson('executions', 'list', '--filter', 'labels.from = "cli"');
    expect(executions).toMatchObject([{ id, status: 'EXECUTION_STATUS_COMPLETED' }]);
    expect((await demandJson('executions', 'retry', id)).retriedFrom).toBe(id);
  });

  it('lists what there is as a table without colours, a page or all of it', async () => {
    const table = await signet('programs', 'list');
    expect(table.out.split('\n')[0]).toMatch(/^slug +name +status +adapterType +createTime/);
    expect(table.out).toMatch(new RegExp(`^${slug} .* ready +mock`, 'm'));
    expect(table.out).not.toContain('\u001b');
    const page = await signet('programs', 'ls', '--page-size', '1');
    expect([page.out.trim().split('\n').length, page.err]).toEqual([2, expect.stringContaining('--all')]);
    const all = await demandJson('programs', 'list', '--all', '--page-size', '1');
    expect(all.programs).toHaveLength(2);
  });

  it('calls any method, with short words for enums', async () => {
    const called = await signet('call', 'listprograms', '{"status": "ready", "page_size": 5}');
    expect(JSON.parse(called.out).programs).toHaveLength(2);
    const streamed = await signet(
      'call',
      'RuntimeService.StreamProgram',
      JSON.stringify({ program: slug, inputs: QA_INPUTS }),
    );
    expect(JSON.parse(streamed.out.trim().split('\n').at(-1)!).result.outputs).toMatchObject({
      answer: expect.any(String),
    });
    const unknown = await signet('call', 'ListProgram', '{}');
    expect([unknown.code, unknown.err]).toEqual([2, expect.stringContaining('ProgramService.ListPrograms')]);
  });
});

describe('keys', () => {
  it('shows a new key once and never again, and so a rotated one', async () => {
    const name = uniqueName('key');
    const made = await demandJson('keys', 'create', '--name', name, '--role', 'viewer');
    const { secret, apiKey } = made as { secret: string; apiKey: { id: string } };
    expect(secret).toMatch(/^sgn_/);
    for (const listed of [await signet('keys', 'list'), await signet('keys', 'get', apiKey.id, '--json')]) {
      expect(listed.code).toBe(0);
      expect(listed.out + listed.err).not.toContain(secret);
    }
    const asViewer = { env: { SIGNET_API_KEY: secret } };
    expect(JSON.parse((await launch(['me', '--json'], asViewer).ended).out)).toMatchObject({ name });
    const refused = await launch(['programs', 'create', '--name', 'x', '--signature-spec', 'a -> b'], asViewer).ended;
    expect([refused.code, refused.err]).toEqual([4, expect.stringContaining('ROLE_REQUIRED')]);
    const rotated = await signet('keys', 'rotate', apiKey.id);
    const fresh = /sgn_\S+/.exec(/^secret +(.*)$/m.exec(rotated.out)?.[1] ?? '')?.[0] ?? '';
    expect([rotated.code, rotated.err]).toEqual([0, 'the secret is shown this once and kept nowhere\n']);
    expect(fresh).not.toBe(secret);
    const asRotated = { env: { SIGNET_API_KEY: fresh } };
    expect((await launch(['me'], asRotated).ended).code).toBe(0);
    expect((await signet('keys', 'revoke', apiKey.id)).code).toBe(0);
    await eventually(async () => {
      expect((await launch(['me'], asViewer).ended).code).toBe(4);
      expect((await launch(['me'], asRotated).ended).code).toBe(4);
    }, 20_000);
  });
});

describe('failing', () => {
  it('tells what is not there in plain words and by its exit code', async () => {
    const ended = await signet('programs', 'get', 'nobody-knows-me');
    expect([ended.code, ended.out]).toEqual([3, '']);
    expect(ended.err).toMatch(/^PROGRAM_NOT_FOUND /);
    expect(ended.err).not.toMatch(/\n\s+at /);
  });

  it('names every field that is wrong, and the execution; as JSON where that was asked for', async () => {
    const { slug } = await readyProgram(stack);
    const refused = await signet('run', String(slug), '-i', '{"question": 7, "extra": 1}');
    expect([refused.code, refused.out]).toEqual([1, '']);
    expect(refused.err).toMatch(/^INPUT_INVALID /);
    for (const field of ['inputs.question', 'inputs.context', 'inputs.extra'])
      expect(refused.err).toContain(`\n  ${field}  `);
    expect(refused.err).toMatch(/\n {2}execution {2}[0-9a-f-]{36}\n/);
    const { error } = JSON.parse((await signet('run', String(slug), '-i', '{}', '--json')).err);
    expect(error).toMatchObject({ reason: 'INPUT_INVALID', executionId: expect.any(String) });
    expect(error.fieldViolations).toHaveLength(2);
    const failed = await signet('executions', 'watch', error.executionId);
    expect([failed.code, failed.err]).toEqual([1, expect.stringContaining('INPUT_INVALID')]);
  });

  it('never repeats a key, right or wrong', async () => {
    const key = `wrong-${uniqueName('key')}-0123456789abcdef`;
    for (const args of [
      ['me', '--key', key],
      ['me', '--key', `${key} \u0001`],
      ['me', '--key', key, '--json'],
    ]) {
      const ended = await signet(...args);
      expect([2, 4]).toContain(ended.code);
      expect(ended.out + ended.err).not.toContain(key);
    }
  });

  it('ends with 124 when the deadline passes', async () => {
    const { slug } = await readyProgram(stack);
    const started = (await signet('run', String(slug), '-i', JSON.stringify(QA_INPUTS), '--timeout', '1ms')).code;
    expect(started).toBe(124);
  });
});

describe('tail', () => {
  it('shows the last executions and each new one that fits, until Ctrl-C', async () => {
    const { slug } = await readyProgram(stack);
    const before = JSON.parse((await signet('run', String(slug), '-i', JSON.stringify(QA_INPUTS), '--json')).out);
    const tail = launch(['tail', '--program', String(slug), '--every', '100ms']);
    await eventually(() => expect(tail.said.out).toContain(before.executionId), 20_000);
    const after = JSON.parse((await signet('run', String(slug), '-i', JSON.stringify(QA_INPUTS), '--json')).out);
    await signet('run', String(slug), '-i', '{}');
    await eventually(() => {
      expect(tail.said.out).toContain(after.executionId);
      expect(tail.said.out).toMatch(/failed .*INPUT_INVALID/);
    }, 20_000);
    tail.child.kill('SIGINT');
    const { code, out } = await tail.ended;
    expect(code).toBe(0);
    expect(out.split(before.executionId)).toHaveLength(2);
    const failures = await signet('tail', '--program', String(slug), '--status', 'failed', '--no-follow', '--json');
    expect(
      failures.out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).error.reason),
    ).toEqual(['INPUT_INVALID']);
  });
});

describe('on this machine', () => {
  it('finds a stack that runs by its run.json', async () => {
    const data = join(room, 'data');
    mkdirSync(data, { recursive: true });
    writeFileSync(join(data, 'run.json'), JSON.stringify({ gateway: { grpc: stack.grpcAddress } }));
    const found = await launch(['me'], { env: { SIGNET_ADDRESS: '', SIGNET_DATA_DIR: data } }).ended;
    expect([found.code, found.err]).toEqual([0, '']);
  });

  it('hands `migrate` on to the launcher, with its exit code', async () => {
    const env = { SIGNET_DATA_DIR: join(room, 'data'), DATABASE_URL: stack.databaseUrl };
    const told = await launch(['migrate', 'status'], { env }).ended;
    expect([told.code, told.out + told.err]).toEqual([0, expect.stringContaining('registry')]);
    const unknown = await launch(['migrate', 'sideways'], { env }).ended;
    expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('sideways')]);
  });
});
