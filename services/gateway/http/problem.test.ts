import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type GatewayRig, startRig } from '../test-support/owners.ts';

let rig: GatewayRig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig.close());
beforeEach(() => {
  rig.reset();
});

const post = (body: string, headers: Record<string, string> = {}): RequestInit => ({ method: 'POST', body, headers });

describe('a problem', () => {
  test('ERR-01 shows an owner’s refusal with its fields as the caller wrote them', async () => {
    rig.answer('CreateSignatureFromModule', () => {
      throw invalidField('signature_module', 'Invalid signature module: x');
    });
    const camel = await rig.fetch('/v1/signatures:fromModule', post('{"signatureModule":"x"}'));
    expect(camel.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(await camel.json()).toMatchObject({
      type: 'https://signet.dev/errors/INVALID_REQUEST',
      title: 'Invalid request',
      status: 400,
      reason: 'INVALID_REQUEST',
      violations: [{ field: 'signatureModule', reason: 'INVALID' }],
      traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    const snake = await rig.fetch('/v1/signatures:fromModule', post('{"signature_module":"x"}'));
    expect(await snake.json()).toMatchObject({ violations: [{ field: 'signature_module' }] });
  });

  test('PRG-11 PRG-12 passes the fixed messages on word for word', async () => {
    rig.answer('ExecuteProgram', () => {
      throw new AppError('PROGRAM_NOT_READY', 'Program not ready for execution (status: draft)', {
        metadata: { status: 'draft' },
      });
    });
    const notReady = await rig.fetch('/v1/programs/qa:execute', post('{"inputs":{}}'));
    expect(await notReady.json()).toMatchObject({
      status: 409,
      detail: 'Program not ready for execution (status: draft)',
    });
    rig.answer('ExecuteProgram', () => {
      const fieldViolations = [{ field: 'inputs.question_text', reason: 'FIELD_MISSING', description: 'is missing' }];
      throw new AppError('INPUT_INVALID', 'Input validation failed: question is missing', { fieldViolations });
    });
    const invalid = await rig.fetch('/v1/programs/qa:execute', post('{"inputs":{}}'));
    expect(await invalid.json()).toMatchObject({
      status: 400,
      reason: 'INPUT_INVALID',
      detail: expect.stringContaining('validation failed'),
      violations: [{ field: 'inputs.question_text' }],
    });
  });

  test('ERR-03 hides the cause of what nobody expected behind an error id', async () => {
    rig.answer('GetProgram', () => {
      throw new Error('password=hunter2 at db.internal');
    });
    const answer = await rig.fetch('/v1/programs/qa');
    const text = await answer.text();
    expect(JSON.parse(text)).toMatchObject({
      status: 500,
      detail: 'An unexpected error occurred',
      metadata: { error_id: expect.any(String) },
    });
    expect(text).not.toContain('hunter2');
  });

  test('says when to try again', async () => {
    rig.answer('GetProgram', () => {
      throw new AppError('QUEUE_FULL', 'The queue is full', { retryAfterMs: 1200 });
    });
    const answer = await rig.fetch('/v1/programs/qa');
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '2']);
    expect(await answer.json()).toMatchObject({ retryAfterMs: 1200 });
  });
});
