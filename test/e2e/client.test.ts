import { ProgramStatus, SignatureStatus, SignetClient, SignetError, signature } from '@signet/client/index.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QA_INPUTS, QA_SPEC, uniqueName } from '../support/programs.ts';
import { type Stack, startStack } from '../support/stack.ts';

let stack: Stack;
let client: SignetClient;
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
  client = new SignetClient({ address: stack.grpcAddress, key: stack.adminKey });
});
afterAll(async () => {
  client?.close();
  await stack?.close();
});

const qa = signature('question: str, context: list[str] -> answer: str, confidence: float');

async function readyProgram(spec: string = QA_SPEC): Promise<string> {
  const slug = uniqueName('client');
  await client.createProgram({ name: slug, slug, signatureSpec: spec, adapterType: 'mock' });
  const program = await client.initializeProgram(slug);
  expect(program.status).toBe(ProgramStatus.PROGRAM_STATUS_READY);
  return slug;
}

async function failure(call: Promise<unknown>): Promise<SignetError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SignetError);
  return error as SignetError;
}

describe('the verbs', () => {
  it('PRG-26 creates a signature from a module, activates it and lists it among the active ones', async () => {
    const made = await client.createSignatureFromModule('Signet.QuestionAnswer');
    expect(made.module).toBe('Signet.QuestionAnswer');
    const active = await client.activateSignature(made.id);
    expect(active.status).toBe(SignatureStatus.SIGNATURE_STATUS_ACTIVE);
    const listed = await client.listActiveSignatures();
    expect(listed.map(({ id }) => id)).toContain(made.id);
    expect(listed.every(({ status }) => status === SignatureStatus.SIGNATURE_STATUS_ACTIVE)).toBe(true);
    expect((await failure(client.activateSignature(made.id))).reason).toBe('STATE_FORBIDS');
  });

  it('PRG-26 creates, initializes and executes a program, quickly too, and reads its statistics', async () => {
    const slug = await readyProgram();
    const ran = await client.executeProgram(slug, QA_INPUTS);
    expect(ran).toMatchObject({ status: 'completed', engine: 'mock', outputs: { answer: expect.any(String) } });
    expect(ran.traceId).toMatch(/^[0-9a-f]{32}$/);
    const quick = await client.quickExecute('question -> answer', { question: 'Why?' });
    expect(quick.outputs.answer).toEqual(expect.any(String));
    await eventually(async () =>
      expect(await client.getProgramStatistics(slug)).toMatchObject({ totalExecutions: 1n, successRate: 1 }),
    );
  });

  it('PRG-26 has the verbs of a program: create with signature, initialize, execute, archive, get stats', async () => {
    const slug = uniqueName('resource');
    const made = await client.programs.createWithSignature(qa, { name: slug, slug, adapterType: 'mock' });
    expect(made.status).toBe(ProgramStatus.PROGRAM_STATUS_DRAFT);
    const program = client.program(qa, slug);
    await program.initialize();
    const { outputs } = await program.execute({ question: 'Why?', context: [] });
    expect([typeof outputs.answer, typeof outputs.confidence]).toEqual(['string', 'number']);
    await eventually(async () => expect((await program.getStats()).executionCount).toBe(1n));
    expect((await program.archive()).status).toBe(ProgramStatus.PROGRAM_STATUS_ARCHIVED);
  });

  it('makes one program of two calls with the same request id', async () => {
    const request = { name: uniqueName('once'), signatureSpec: QA_SPEC, requestId: uniqueName('request') };
    const [one, two] = [await client.createProgram(request), await client.createProgram(request)];
    expect(two.id).toBe(one.id);
  });

  it('reaches every method of the contract', async () => {
    const slug = await readyProgram();
    const { programs } = await client.services.programs.listPrograms({ filter: `slug = "${slug}"` });
    expect(programs.map((program) => program.slug)).toEqual([slug]);
    expect((await client.services.apiKeys.getMe({})).name).toEqual(expect.any(String));
  });
});

describe('running', () => {
  it('streams typed events and ends with the result', async () => {
    const program = client.program(qa, await readyProgram());
    const events = await Array.fromAsync(program.stream({ question: 'Why?', context: [] }));
    const last = events.at(-1);
    expect(last?.type).toBe('result');
    if (last?.type !== 'result') return;
    const text = events
      .flatMap((event) => (event.type === 'token' && event.field === 'answer' ? [event.text] : []))
      .join('');
    expect(text).toBe(last.result.outputs.answer);
  });

  it('starts a run that nobody waits for, waits for it, watches it and runs it again', async () => {
    const program = client.program(qa, await readyProgram());
    const started = await program.start({ question: 'Why?', context: [] }, { labels: { from: 'client' } });
    const ended = await client.executions.wait(started.id, { timeoutMs: 20_000 });
    expect(ended).toMatchObject({ status: 'completed', detached: true, labels: { from: 'client' } });
    expect(ended.inputs).toEqual({ question: 'Why?', context: [] });
    const events = await Array.fromAsync(client.executions.watch(started.id));
    expect(events.at(-1)).toMatchObject({ type: 'result', result: { executionId: started.id } });
    const again = await client.executions.retry(started.id);
    expect(again.retriedFrom).toBe(started.id);
    expect((await client.executions.wait(again.id)).status).toBe('completed');
  });

  it('keeps every digit of an integer, in and out', async () => {
    const slug = await readyProgram('n: int, list: list[int] -> answer');
    const inputs = { n: 9007199254740993n, list: [1, -9223372036854775808n] };
    const { executionId } = await client.executeProgram(slug, inputs);
    const { inputs: kept } = await client.executions.get(executionId);
    expect(kept).toEqual(inputs);
  });
});

describe('failing', () => {
  it('throws the reason with every field that is wrong, and names the execution', async () => {
    const slug = await readyProgram();
    const error = await failure(client.executeProgram(slug, { question: 7, extra: true }));
    expect(error.reason).toBe('INPUT_INVALID');
    expect(error.fieldViolations.map(({ field }) => field).toSorted()).toEqual([
      'inputs.context',
      'inputs.extra',
      'inputs.question',
    ]);
    expect(await client.executions.get(error.executionId ?? '')).toMatchObject({
      status: 'failed',
      error: { reason: 'INPUT_INVALID' },
    });
    expect((await failure(client.initializeProgram('nobody-knows-me'))).reason).toBe('PROGRAM_NOT_FOUND');
  });

  it('says that a key is wrong, and never shows it', async () => {
    const key = `wrong-${uniqueName('key')}-0123456789`;
    const stranger = new SignetClient({ address: stack.grpcAddress, key });
    const error = await failure(stranger.listActiveSignatures());
    stranger.close();
    expect(error.reason).toBe('KEY_INVALID');
    expect(JSON.stringify([error, error.stack, error.message])).not.toContain(key);
    expect(() => new SignetClient({ address: stack.grpcAddress, key: `bad\n${key}` })).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining(key) }),
    );
    for (const address of ['', 'nowhere', 'http://a b:1', 'host:1/path', 'ftp://host:1']) {
      expect(() => new SignetClient({ address })).toThrow(/HOST:PORT/);
    }
  });

  it('gives up when the deadline passes, and when it is told to', async () => {
    const nobody = new SignetClient({ address: '127.0.0.1:9', retries: 10 });
    const begun = performance.now();
    const late = await failure(nobody.programs.getStats('qa', { timeoutMs: 700 }));
    expect(['DEADLINE_EXCEEDED', 'SERVICE_UNAVAILABLE']).toContain(late.reason);
    expect(performance.now() - begun).toBeLessThan(5_000);
    const signal = AbortSignal.timeout(100);
    expect((await failure(nobody.programs.getStats('qa', { signal }))).reason).toBe('CANCELLED');
    nobody.close();
  });
});
