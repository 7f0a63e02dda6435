import { AppError } from '@signet/kit/error/app-error.ts';
import type { QueryRequest } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { describe, expect, it } from 'vitest';
import { queryModules, readModule } from './query-modules.ts';

const ctx = { deadlineMs: Date.now() + 1000 };
const row = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

describe('modules that the sidecar holds', () => {
  it('HDL-05 are asked for by resource, action, filters, sorts, limit, offset and arguments', async () => {
    const asked: QueryRequest[] = [];
    const query = async (request: QueryRequest) => {
      asked.push(request);
      return { rowsJson: [row({ name: 'Shop.A', held: true, shared: true })] };
    };
    expect(await queryModules({ query }, ctx)).toEqual([{ name: 'Shop.A', held: true }]);
    expect(asked).toMatchObject([{ resource: 'modules', action: 'read', filters: [], limit: 1000, offset: 0 }]);
  });

  it('HDL-06 lose keys that nobody knows; a bad row is an error, and failures come through unchanged', async () => {
    expect(readModule(row({ name: 'A', held: false, secret: 'x' }))).toEqual({ name: 'A', held: false });
    for (const bad of [null, 7, {}, { name: 'A' }, { name: '', held: true }, { name: 'A', held: 'yes' }]) {
      expect(() => readModule(row(bad))).toThrow();
    }
    const away = new AppError('ENGINE_UNAVAILABLE', 'The Python engine is not available');
    const refuse = async () => {
      throw away;
    };
    await expect(queryModules({ query: refuse }, ctx)).rejects.toBe(away);
  });
});
