import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QA_INPUTS, readyProgram } from '../support/programs.ts';
import { ROOT } from '../support/source-files.ts';
import { type Stack, startStack } from '../support/stack.ts';

type Answer = { readonly code: number; readonly stdout: string; readonly stderr: string };

// A stranger's command that knows nothing but what reflection tells it.
describe('buf curl by reflection', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ engines: 'mock' });
  });
  afterAll(() => stack?.close());

  it('lists the public services and health', async () => {
    const { stdout } = await curl(['--list-services'], '');
    const listed = stdout.trim().split('\n');
    expect(listed).toContain('grpc.health.v1.Health');
    expect(listed).toContain('signet.v1.RuntimeService');
    expect(listed.filter((name) => !/^(signet\.v1|grpc)\./.test(name))).toEqual([]);
  });

  it('asks for health without a key', async () => {
    expect(await call('grpc.health.v1.Health/Check', {}, '')).toMatchObject({ code: 0, body: { status: 'SERVING' } });
  });

  it('executes a program and streams one', async () => {
    const { slug } = await readyProgram(stack);
    const request = { program: slug, inputs: { struct: QA_INPUTS } };
    const executed = await call('signet.v1.RuntimeService/ExecuteProgram', request);
    expect(executed.body).toMatchObject({ status: 'EXECUTION_STATUS_COMPLETED', engine: 'ENGINE_MOCK' });
    const streamed = await curl(['-d', JSON.stringify(request)], 'signet.v1.RuntimeService/StreamProgram');
    expect(streamed.stdout).toContain('"result"');
  });

  it('shows a refusal with its details', async () => {
    const refused = await call('signet.v1.RuntimeService/ExecuteProgram', { program: 'nobody' }, '');
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('unauthenticated');
    expect(refused.stderr).toContain('google.rpc.ErrorInfo');
  });

  it.each(['signet.internal.v1.RegistryInternalService/ResolveProgram', 'signet.sidecar.v1.SidecarService/GetPool'])(
    'finds no %s',
    async (method) => {
      expect((await call(method, {})).code).not.toBe(0);
    },
  );

  async function call(method: string, body: object, key = stack.adminKey): Promise<Answer & { body: unknown }> {
    const answer = await curl(['-d', JSON.stringify(body)], method, key);
    return { ...answer, body: answer.code === 0 ? JSON.parse(answer.stdout) : undefined };
  }

  function curl(options: readonly string[], method: string, key = stack.adminKey): Promise<Answer> {
    const header = key === '' ? [] : ['-H', `authorization: Bearer ${key}`];
    const url = `http://${stack.grpcAddress}${method === '' ? '' : `/${method}`}`;
    const args = ['curl', '--protocol', 'grpc', '--http2-prior-knowledge', ...header, ...options, url];
    return new Promise((resolve) => {
      execFile(join(ROOT, 'node_modules', '.bin', 'buf'), args, { timeout: 25_000 }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : 1, stdout, stderr });
      });
    });
  }
});
