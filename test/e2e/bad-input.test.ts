import {
  AddFeedbackRequest,
  CancelExecutionRequest,
  DeleteExecutionRequest,
  ExecutionServiceService,
} from '@signet/proto/gen/signet/v1/execution_service.ts';
import {
  CreateProgramRequest,
  GetProgramRequest,
  ListProgramsRequest,
  ProgramServiceService,
} from '@signet/proto/gen/signet/v1/program_service.ts';
import { ExecuteProgramRequest, RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failureOf } from '../support/grpc-clients.ts';
import type { HttpAnswer } from '../support/http.ts';
import { createProgram, QA_INPUTS, QA_SPEC, readyProgram } from '../support/programs.ts';
import { type Stack, startStack } from '../support/stack.ts';

let stack: Stack;
let slug = '';
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
  slug = String((await readyProgram(stack, { signatureSpec: 'q: str, any: Any = None -> answer' })).slug);
});
afterAll(() => stack?.close());

function expectProblem(answer: HttpAnswer, status: number | number[], reason?: string): void {
  expect([status].flat()).toContain(answer.status);
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  expect(answer.body).toMatchObject({
    status: answer.status,
    title: expect.any(String),
    detail: expect.any(String),
    reason: expect.any(String),
  });
  if (reason !== undefined) expect(answer.body.reason).toBe(reason);
}

const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;

describe('bad input over HTTP', () => {
  it.each<[string, string, number | number[], string?]>([
    ['no JSON', 'not json', 400, 'INVALID_REQUEST'],
    ['half an object', '{"inputs": {"q": "x"', 400, 'INVALID_REQUEST'],
    ['an array', '[]', 400, 'INVALID_REQUEST'],
    ['a string', '"x"', 400, 'INVALID_REQUEST'],
    ['null', 'null', 400],
    ['nothing', '', 400],
    ['an unknown member', '{"inputs": {"q": "x"}, "surprise": 1}', 400, 'INVALID_REQUEST'],
    ['inputs that are a list', '{"inputs": [1]}', 400],
    ['inputs that are null', '{"inputs": null}', 400],
    ['a missing field', '{"inputs": {}}', 400, 'INPUT_INVALID'],
    ['an extra field', '{"inputs": {"q": "x", "z": 1}}', 400, 'INPUT_INVALID'],
    ['a field of the wrong type', '{"inputs": {"q": 7}}', 400, 'INPUT_INVALID'],
    ['a NUL', String.raw`{"inputs": {"q": "a\u0000b"}}`, 400],
    ['a NUL in a key', String.raw`{"inputs": {"q": "x", "any": {"a\u0000": 1}}}`, 400],
    ['a lone high surrogate', String.raw`{"inputs": {"q": "\ud800"}}`, 400],
    ['a lone low surrogate in a key', String.raw`{"inputs": {"q": "x", "any": {"\udc00": 1}}}`, 400],
    ['a number beyond all bounds', '{"inputs": {"q": "x", "any": 1e999}}', 400],
    ['NaN', '{"inputs": {"q": "x", "any": NaN}}', 400],
    ['a key twice', '{"inputs": {"q": "x", "q": "y"}}', 400],
    ['__proto__ as an input', '{"inputs": {"q": "x", "__proto__": {"admin": true}}}', 400],
    ['__proto__ beside the inputs', '{"inputs": {"q": "x"}, "__proto__": {"admin": true}}', 400],
    ['depth 33', `{"inputs": {"q": "x", "any": ${nested(33)}}}`, 400],
    ['depth 100,000', `{"inputs": {"q": "x", "any": ${nested(100_000)}}}`, 400],
    ['an unknown enum value', '{"inputs": {"q": "x"}, "executionOptions": {"engine": "warp"}}', 400, 'INVALID_REQUEST'],
    [
      'an option of the wrong type',
      '{"inputs": {"q": "x"}, "executionOptions": {"timeoutMs": "soon"}}',
      400,
      'INVALID_REQUEST',
    ],
    [
      'a time-out beyond 64 bits',
      '{"inputs": {"q": "x"}, "executionOptions": {"timeoutMs": "99999999999999999999"}}',
      400,
    ],
    ['6 MB', `{"inputs": {"q": "${'x'.repeat(6_000_000)}"}}`, 413, 'PAYLOAD_TOO_LARGE'],
    ['a request_id that is too long', `{"inputs": {"q": "x"}, "requestId": "${'r'.repeat(129)}"}`, 400],
  ])('answers %s with a problem', async (_what, body, status, reason) => {
    expectProblem(await stack.http.post(`/v1/programs/${slug}:execute`, body), status, reason);
    // And nothing of it stays behind.
    expect((await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { q: 'x' } })).status).toBe(200);
    expect(({} as Record<string, unknown>).admin).toBeUndefined();
  });

  it('takes what only looks bad', async () => {
    for (const any of [
      '"\\ud83d\\ude00"',
      '"__proto__"',
      '1e-400',
      '123456789012345678901234567890',
      nested(20),
      '""',
      '{"a":{}}',
    ]) {
      const answer = await stack.http.post(`/v1/programs/${slug}:execute`, `{"inputs": {"q": "x", "any": ${any}}}`);
      expect([any, answer.status]).toEqual([any, 200]);
    }
  });

  it('refuses bytes that are no UTF-8, and other media types', async () => {
    const path = `/v1/programs/${slug}:execute`;
    expectProblem(await stack.http.post(path, Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])), 400);
    expectProblem(await stack.http.post(path, '<q/>', { headers: { 'content-type': 'application/xml' } }), 415);
    expectProblem(
      await stack.http.post(path, 'q=x', { headers: { 'content-type': 'application/x-www-form-urlencoded' } }),
      415,
    );
  });

  it.each<[string, string, number | number[], string?]>([
    ['GET', '/v1/programs?pageSize=-1', 400, 'INVALID_REQUEST'],
    ['GET', '/v1/programs?pageSize=ten', 400, 'INVALID_REQUEST'],
    ['GET', '/v1/programs?pageSize=99999999999', 400, 'INVALID_REQUEST'],
    ['GET', '/v1/programs?surprise=1', 400, 'INVALID_REQUEST'],
    ['GET', '/v1/programs?status=sleeping', 400, 'INVALID_REQUEST'],
    ['GET', '/v1/programs?pageToken=eyJhbGciOiJub25lIn0', 400, 'PAGE_TOKEN_INVALID'],
    ['GET', '/v1/programs?orderBy=secret', 400],
    ['GET', '/v1/programs?filter=%00', 400],
    ['GET', '/v1/nothing', 404, 'ROUTE_NOT_FOUND'],
    ['GET', '/', 404, 'ROUTE_NOT_FOUND'],
    ['GET', '/v1/programs/..%2f..%2fetc%2fpasswd', 404],
    ['GET', '/v1/programs/%zz', [400, 404]],
    ['GET', '/v1/programs/%00', [400, 404]],
    ['GET', `/v1/programs/${'a'.repeat(5000)}`, [400, 404, 414]],
    ['PUT', '/v1/programs', 405],
    ['POST', '/v1/programs/x:fly', [404, 405]],
    ['POST', '/v1/programs/x:execute:execute', [400, 404]],
  ])('answers %s %.60s with a problem', async (method, path, status, reason) => {
    expectProblem(await stack.http.send(method, path, method === 'GET' ? undefined : {}), status, reason);
  });

  it.each(['programs', 'signatures', 'apiKeys', 'executions'])(
    'refuses a page token of %s whose keys somebody wrote by hand',
    async (list) => {
      for (let at = 0; at < 2; at += 1) {
        const { slug: made } = await readyProgram(stack, {
          signatureSpec: `q${at}: str, list_${list}: str = "" -> answer`,
        });
        await stack.http.post(`/v1/programs/${made}:execute`, { inputs: { [`q${at}`]: 'x' } });
        await stack.http.post('/v1/apiKeys', { name: 'one', role: 'viewer' });
      }
      const { nextPageToken } = (await stack.http.get(`/v1/${list}?pageSize=1`)).body;
      const parts = JSON.parse(Buffer.from(String(nextPageToken), 'base64url').toString()) as string[];
      for (const key of ['garbage', "' or 1=1 --", '\u0000', '9'.repeat(2000), 7, null, {}]) {
        const forged = Buffer.from(JSON.stringify([...parts.slice(0, -1), key])).toString('base64url');
        expectProblem(await stack.http.get(`/v1/${list}?pageSize=1&pageToken=${forged}`), 400, 'PAGE_TOKEN_INVALID');
      }
    },
  );

  it.each([
    'os.system',
    '__import__',
    'builtins.eval',
    'subprocess:Popen',
    '../../etc/passwd',
    'signet_sidecar.server',
    'dspy.Predict',
  ])('imports nothing for a module named %s', async (name) => {
    expectProblem(await stack.http.post('/v1/quickExecute', { signatureModule: name, inputs: {} }), [400, 404]);
    expectProblem(await stack.http.post('/v1/signatures:fromModule', { signatureModule: name }), 400);
    const configured = await stack.http.post('/v1/programs', {
      name: 'x',
      signatureSpec: QA_SPEC,
      configuration: { module: name },
    });
    expectProblem(configured, 400, 'MODULE_INVALID');
  });

  it.each([
    'q: os.system -> a',
    'q: __import__("os") -> a',
    'q: builtins.eval -> a',
    'q: list[subprocess.Popen] -> a',
    'q: "x"; import os -> a',
  ])('imports nothing for a type in %s', async (spec) => {
    expectProblem(await stack.http.post('/v1/signatures:parse', { spec }), 400);
  });

  it('keeps nothing of a call whose caller went away', async () => {
    const abort = new AbortController();
    const pending = stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { q: 'x' } }, { signal: abort.signal });
    abort.abort();
    await expect(pending).rejects.toThrow();
    expect((await stack.http.get('/readyz', { key: '' })).status).toBe(200);
  });

  it('ERR-03 answers nothing with 500 and shows no insides, whatever was sent above', async () => {
    const broken = stack
      .logs()
      .split('\n')
      .filter((line) => /"(?:status|http_status|http\.response\.status_code)":50[0]\b|"reason":"INTERNAL"/.test(line));
    expect(broken).toEqual([]);
  });
});

describe('bad input over gRPC', () => {
  const execute = (json: string | Buffer) =>
    stack.grpc.fails(
      RuntimeServiceService.executeProgram,
      ExecuteProgramRequest.fromPartial({
        program: slug,
        inputs: { kind: { $case: 'json', value: Buffer.from(json) } },
      }),
    );

  it.each<[string, string | Buffer]>([
    ['no JSON', 'not json'],
    ['nothing', ''],
    ['an array', '[]'],
    ['a NUL', String.raw`{"q": "\u0000"}`],
    ['a lone surrogate', String.raw`{"q": "\ud800"}`],
    ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0x71, 0x22, 0x3a, 0x22, 0xff, 0x22, 0x7d])],
    ['deep JSON', `{"q": "x", "any": ${nested(5000)}}`],
    ['a number beyond all bounds', '{"q": "x", "any": 1e999}'],
    ['a missing field', '{}'],
  ])('answers %s with INVALID_ARGUMENT and its reason', async (_what, json) => {
    const error = await execute(json);
    expect([error.code, ['INPUT_INVALID', 'INVALID_REQUEST']]).toEqual([
      3,
      expect.arrayContaining([failureOf(error).reason]),
    ]);
  });

  it('says by itself that 6 MB are too much', async () => {
    const error = await execute(`{"q": "${'x'.repeat(6_000_000)}"}`);
    expect([error.code, failureOf(error).reason]).toEqual([3, 'PAYLOAD_TOO_LARGE']);
  });

  it('answers foreign tokens, negative sizes, unknown enum values and absent payloads', async () => {
    const list = (fields: object) =>
      stack.grpc.fails(ProgramServiceService.listPrograms, ListProgramsRequest.fromPartial(fields));
    expect(failureOf(await list({ pageSize: -1 })).reason).toBe('INVALID_REQUEST');
    expect(failureOf(await list({ pageToken: 'x' })).reason).toBe('PAGE_TOKEN_INVALID');
    expect(failureOf(await list({ status: 99 as never })).reason).toBe('INVALID_REQUEST');
    const create = CreateProgramRequest.fromPartial({ name: 'x', signatureSpec: QA_SPEC, adapterType: 42 as never });
    expect(failureOf(await stack.grpc.fails(ProgramServiceService.createProgram, create)).reason).toBe(
      'INVALID_REQUEST',
    );
    const bare = await stack.grpc.fails(
      RuntimeServiceService.executeProgram,
      ExecuteProgramRequest.fromPartial({ program: slug }),
    );
    expect(bare.code).toBe(3);
    const unknown = await stack.grpc.fails(
      ProgramServiceService.getProgram,
      GetProgramRequest.fromPartial({ program: '' }),
    );
    expect([3, 5]).toContain(unknown.code);
  });

  it.each(['k'.repeat(129), 'a\u0000b', 'ü', ' \n'])(
    'refuses the request_id %j of any change of an execution',
    async (requestId) => {
      const { executionId } = (await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { q: 'x' } })).body;
      const execution = String(executionId);
      const { cancelExecution, addFeedback, deleteExecution } = ExecutionServiceService;
      const faults = [
        await stack.grpc.fails(cancelExecution, CancelExecutionRequest.fromPartial({ execution, requestId })),
        await stack.grpc.fails(addFeedback, AddFeedbackRequest.fromPartial({ execution, score: 1, requestId })),
        await stack.grpc.fails(deleteExecution, DeleteExecutionRequest.fromPartial({ execution, requestId })),
      ].map(failureOf);
      expect(faults.map(({ reason }) => reason)).toEqual(Array(3).fill('INVALID_REQUEST'));
      expect(faults.map(({ fieldViolations }) => fieldViolations[0]?.field)).toEqual(Array(3).fill('request_id'));
    },
  );

  it('takes the largest sequence to watch from as one that nothing comes after', async () => {
    const { executionId } = (await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { q: 'x' } })).body;
    const watched = await stack.http.get(`/v1/executions/${executionId}:watch?afterSequence=9223372036854775807`);
    expect(watched.status).toBe(200);
    expect(watched.text).not.toContain('event: error');
  });

  it('answers calls that are late or cancelled as such', async () => {
    const { slug: name } = await createProgram(stack);
    const request = GetProgramRequest.fromPartial({ program: String(name) });
    expect((await stack.grpc.fails(ProgramServiceService.getProgram, request, { timeoutMs: -1 })).code).toBe(4);
    const abort = new AbortController();
    const pending = stack.grpc.fails(ProgramServiceService.getProgram, request, { signal: abort.signal });
    abort.abort();
    expect((await pending).code).toBe(1);
    expect((await stack.http.post(`/v1/programs/${name}:initialize`)).status).toBe(200);
    expect((await stack.http.post(`/v1/programs/${name}:execute`, { inputs: QA_INPUTS })).status).toBe(200);
  });
});
