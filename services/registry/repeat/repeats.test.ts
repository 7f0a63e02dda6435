import { CreateApiKeyRequest } from '@signet/proto/gen/signet/v1/api_key_service.ts';
import { ParseSignatureRequest } from '@signet/proto/gen/signet/v1/signature_service.ts';
import { describe, expect, it } from 'vitest';
import { apiKeys, programs, refusal, signatures } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';

const registry = useTestRegistry();

const count = async (name: string): Promise<number> =>
  Number((await registry.sql.query('select count(*) from registry.programs where name = $1', [name])).rows[0].count);

describe('repeated calls', () => {
  it('get the first answer, however many come at once', async () => {
    const requestId = "a request ? ' $1";
    const all = await Promise.all(
      Array.from({ length: 20 }, () =>
        registry.createProgram({ name: 'repeated', labels: { a: '1', b: '2' }, requestId }),
      ),
    );
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
    const other = await registry.createProgram({ name: 'repeated', labels: { b: '2', a: '1' }, requestId });
    expect(other).toEqual(all[0]);
    expect(await count('repeated')).toBe(1);
  });

  it('are refused if the request is another', async () => {
    await registry.createProgram({ name: 'first', requestId: 'reused' });
    const error = await refusal(registry.createProgram({ name: 'second', requestId: 'reused' }));
    expect(error).toMatchObject({ reason: 'IDEMPOTENCY_KEY_REUSED', metadata: { request_id: 'reused' } });
    expect(await count('second')).toBe(0);
  });

  it('stand apart by method and by key', async () => {
    const made = await registry.createProgram({ name: 'apart', requestId: 'apart' });
    const request = ParseSignatureRequest.fromPartial({ spec: 'apart -> too', requestId: 'apart' });
    expect((await registry.call(signatures.parseSignature, request)).id).not.toBe(made.id);
    const archive = { program: made.id, etag: '', requestId: 'apart' };
    expect((await registry.call(programs.archiveProgram, archive, 'editor')).status).toBe(6);
    expect((await registry.call(programs.archiveProgram, archive, 'admin')).status).toBe(6);
  });

  it('remember nothing of a call that failed', async () => {
    const bad = await refusal(registry.createProgram({ name: '', requestId: 'failed' }));
    expect(bad.reason).toBe('INVALID_REQUEST');
    expect((await registry.createProgram({ name: 'failed', requestId: 'failed' })).name).toBe('failed');
  });

  it('do not show the secret of a key again', async () => {
    const request = CreateApiKeyRequest.fromPartial({ name: 'once', role: 1, requestId: 'key' });
    const first = await registry.call(apiKeys.createApiKey, request);
    const second = await registry.call(apiKeys.createApiKey, request);
    expect(second).toEqual({ ...first, secret: '' });
    const { rows } = await registry.sql.query('select encode(response, $1) as text from registry.idempotency', [
      'escape',
    ]);
    expect(JSON.stringify(rows)).not.toContain(first.secret);
  });

  it('are new ones after 24 hours', async () => {
    const first = await registry.createProgram({ name: 'old', requestId: 'old' });
    await registry.sql.query(
      `update registry.idempotency set create_time = now() - interval '25 h' where request_id = 'old'`,
    );
    expect((await registry.createProgram({ name: 'old', requestId: 'old' })).id).not.toBe(first.id);
  });

  it.each(['x'.repeat(129), 'ä', '\u0000', 'line\nbreak'])('are refused under the request id %j', async (requestId) => {
    expect((await refusal(registry.createProgram({ requestId }))).fieldViolations[0]?.field).toBe('request_id');
  });
});
