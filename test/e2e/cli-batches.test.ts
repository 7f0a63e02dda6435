import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { QA_SPEC, readyProgram, uniqueName } from '../support/programs.ts';
import { useSignet } from '../support/signet-command.ts';
import { type Stack, startStack } from '../support/stack.ts';

// Each command is a process of its own; a busy machine takes its time to start ten of them.
vi.setConfig({ testTimeout: 120_000 });

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
});
afterAll(() => stack?.close());

const { launch, signet, demandJson } = useSignet(() => ({
  SIGNET_ADDRESS: stack.grpcAddress,
  SIGNET_API_KEY: stack.adminKey,
}));

describe('pipelines and batches by command', () => {
  it('composes a pipeline, and reads inputs as it types them', async () => {
    const module = { name: uniqueName('step'), type: 'predict', pythonModule: 'dspy.Predict', signatureSpec: 'q -> a' };
    await stack.http.post('/v1/modules', module);
    const steps = [{ id: 'twice', type: 'function', function: 'value', input: { n: { $cel: 'input.n * 2' } } }];
    const pipelineSpec = JSON.stringify({ inputs: 'n: int', steps });
    const given = ['--modules', module.name, '--pipeline-spec', pipelineSpec, '--adapter-type', 'mock'];
    const { slug: doubled } = await demandJson('programs', 'compose', '--name', uniqueName('twice'), ...given);
    await demandJson('programs', 'init', String(doubled));
    const ran = await signet('run', String(doubled), '-i', 'n=21');
    expect([ran.code, ran.out]).toEqual([0, 'n  42\n']);
  });

  it('follows a batch in lines for people, and leaves nothing out for programs', async () => {
    const items = ['{"question": "a", "context": []}', '{"question": "b", "context": []}'].join('\n');
    const slug = String((await readyProgram(stack, { signatureSpec: QA_SPEC })).slug);
    const upload = ['batches', 'upload', '--program', slug, '--json'];
    const made = JSON.parse((await launch(upload, { input: items }).ended).out);
    expect(made).toMatchObject({ itemCount: '2', failedCount: '0', rowFaults: [], errorMessage: '' });
    const watched = await signet('batches', 'watch', made.id);
    expect(watched.out.trim().split('\n').at(-1)).toMatch(
      /^result .*status completed {2}itemCount 2 {2}completedCount 2/,
    );
    expect(watched.out).not.toContain('[object');
    expect((await signet('batches', 'items', made.id)).out).toMatch(
      /^index +executionId +status .*\n0 +[0-9a-f-]{36} +completed /,
    );
    const rows = '{"inputs": {"question": "a", "context": []}}\n{"inputs": {"question": 7}}\n';
    const { out } = await launch(['programs', 'batch-execute', slug, '--concurrency', '1'], { input: rows }).ended;
    const [good, bad] = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect([good.version, good.cacheHit, bad.index]).toEqual([1, false, '1']);
    expect(bad).toMatchObject({ version: 1, traceId: good.traceId, error: { reason: 'INPUT_INVALID' } });
  });
});
