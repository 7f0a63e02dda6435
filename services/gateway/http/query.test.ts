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

describe('a query', () => {
  test('is read with its numbers, booleans and short names of enums, in both spellings', async () => {
    await rig.fetch(
      '/v1/programs?pageSize=5&page_token=a%2Bb+c&status=active&include_archived=true&filter=status%20%3D%20ready',
    );
    expect(rig.seen[0]!.request).toMatchObject({
      pageSize: 5,
      pageToken: 'a+b c',
      status: 3,
      includeArchived: true,
      filter: 'status = ready',
    });
  });

  test('passes a negative page size on, for its owner to refuse', async () => {
    await rig.fetch('/v1/programs?page_size=-1');
    expect(rig.seen[0]!.request).toMatchObject({ pageSize: -1 });
  });

  test.each([
    ['pageSize=x', 'pageSize', 'TYPE_MISMATCH'],
    ['page_size=99999999999', 'pageSize', 'TYPE_MISMATCH'],
    ['nothing=1', 'nothing', 'FIELD_UNKNOWN'],
    ['pageSize=1&pageSize=2', 'pageSize', 'FIELD_TWICE'],
    ['status=sleeping', 'status', 'VALUE_UNKNOWN'],
    ['includeArchived=yes', 'includeArchived', 'TYPE_MISMATCH'],
    ['filter=%ff', 'filter', 'TEXT_INVALID'],
    ['filter=%00', 'filter', 'TEXT_INVALID'],
    ['__proto__=1', '__proto__', 'FIELD_UNKNOWN'],
    ['filter.a=1', 'filter.a', 'TYPE_MISMATCH'],
  ])('such as %s is refused by the name of its parameter', async (query, field) => {
    const answer = await rig.fetch(`/v1/programs?${query}`);
    expect(answer.status).toBe(400);
    const problem = (await answer.json()) as { violations: { field: string }[] };
    expect(problem.violations.map((one) => one.field)).toEqual([field]);
    expect(rig.seen).toEqual([]);
  });
});
