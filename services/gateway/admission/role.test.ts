import { roles } from '@signet/kit/call-context.ts';
import { describe, expect, test } from 'vitest';
import { loadContract } from '../contract/public-methods.ts';
import { requireMethodRole, roleTable } from './role.ts';

const paths = loadContract().methods.map((method) => method.path);

describe('the role table', () => {
  test('POL-03 has a row for every public method and no other', () => {
    expect(Object.keys(roleTable).sort()).toEqual([...paths].sort());
  });

  test('POL-03 lets viewers change nothing', () => {
    const reads = /\/(Get|List|Recent|Aggregate|Export|Download|Wait|Watch|Validate|Compare)[A-Za-z]*$/;
    for (const path of paths.filter((one) => roleTable[one] === 'viewer')) expect(path).toMatch(reads);
    for (const path of paths.filter((one) => /\/(Create|Update|Delete)/.test(one)))
      expect(roleTable[path]).not.toBe('viewer');
  });

  test.each(roles.flatMap((role) => paths.map((path) => [role, path] as const)))(
    'tells a %s about %s',
    (role, path) => {
      const call = () => requireMethodRole({ keyId: 'k', name: 'n', role }, path);
      if (roles.indexOf(role) >= roles.indexOf(roleTable[path]!)) expect(call).not.toThrow();
      else
        expect(call).toThrow(expect.objectContaining({ reason: 'ROLE_REQUIRED', metadata: { role: roleTable[path] } }));
    },
  );

  test('denies what has no row, to admins too', () => {
    for (const path of ['/signet.v1.ProgramService/Nothing', '__proto__', 'constructor', '']) {
      expect(() => requireMethodRole({ keyId: 'k', name: 'n', role: 'admin' }, path)).toThrow(
        expect.objectContaining({ reason: 'ROLE_REQUIRED' }),
      );
    }
  });
});
