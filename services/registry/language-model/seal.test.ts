import { describe, expect, it } from 'vitest';
import { createSeal } from './seal.ts';

const id = '01900000-0000-7000-8000-000000000001';
const seal = createSeal('a secret key of the tests');

describe('a seal', () => {
  it('opens what it sealed, and never seals twice alike', () => {
    const sealed = seal.seal(id, 'sk-credential-ä');
    expect(seal.open(id, sealed)).toBe('sk-credential-ä');
    expect(seal.seal(id, 'sk-credential-ä').equals(sealed)).toBe(false);
    expect(sealed.includes('credential')).toBe(false);
    expect(seal.open(id, seal.seal(id, ''))).toBe('');
  });

  it('does not open under another secret key or for another id', () => {
    const sealed = seal.seal(id, 'sk-credential');
    expect(createSeal('another secret key').open(id, sealed)).toBeUndefined();
    expect(seal.open(id.replace(/1$/, '2'), sealed)).toBeUndefined();
  });

  it('does not open what was changed or cut, at any byte', () => {
    const sealed = seal.seal(id, 'sk-credential');
    for (let index = 0; index < sealed.length; index++) {
      const changed = Buffer.from(sealed);
      changed[index] = changed[index]! ^ 1;
      expect([index, seal.open(id, changed)]).toEqual([index, undefined]);
      expect([index, seal.open(id, sealed.subarray(0, index))]).toEqual([index, undefined]);
    }
  });
});
