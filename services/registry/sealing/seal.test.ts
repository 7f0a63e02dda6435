import { describe, expect, it } from 'vitest';
import { createSeal } from './seal.ts';

const id = '01900000-0000-7000-8000-000000000001';
const kind = 'language-model';
const seal = createSeal(['a secret key of the tests']);

describe('a seal', () => {
  it('opens what it sealed, and never seals twice alike', () => {
    const { bytes } = seal.seal(kind, id, 'sk-credential-ä');
    expect(seal.open(kind, id, bytes)).toBe('sk-credential-ä');
    expect(seal.seal(kind, id, 'sk-credential-ä').bytes.equals(bytes)).toBe(false);
    expect(bytes.includes('credential')).toBe(false);
    expect(seal.open(kind, id, seal.seal(kind, id, '').bytes)).toBe('');
  });

  it('opens what was sealed before there was a second key', () => {
    const kept = 'AW6FjJ3DVBt5c39s5Kj9KrvxXykiuqijw70wIod3FweTN8+jiRN4uEIk';
    expect(seal.open(kind, id, Buffer.from(kept, 'base64'))).toBe('sk-credential');
  });

  it('does not open under another secret key, for another row or as something else', () => {
    const { bytes } = seal.seal(kind, id, 'sk-credential');
    expect(createSeal(['another secret key']).open(kind, id, bytes)).toBeUndefined();
    expect(seal.open(kind, id.replace(/1$/, '2'), bytes)).toBeUndefined();
    expect(seal.open('pepper', id, bytes)).toBeUndefined();
  });

  it('opens with every key that it has, and seals with the first alone', () => {
    const before = seal.seal(kind, id, 'sk-credential');
    const changing = createSeal(['the next secret key', 'a secret key of the tests']);
    expect(changing.open(kind, id, before.bytes)).toBe('sk-credential');
    const after = changing.seal(kind, id, 'sk-credential');
    expect(seal.open(kind, id, after.bytes)).toBeUndefined();
    expect(createSeal(['the next secret key']).open(kind, id, after.bytes)).toBe('sk-credential');
    expect([before.keyId, after.keyId]).toEqual([seal.keyId, changing.keyId]);
    expect(changing.keyId).not.toBe(seal.keyId);
    expect(createSeal(['the next secret key', 'any']).keyId).toBe(changing.keyId);
    expect(changing.keyId).toMatch(/^[0-9a-f]{16}$/);
  });

  it('does not open what was changed or cut, at any byte', () => {
    const { bytes } = seal.seal(kind, id, 'sk-credential');
    for (let index = 0; index < bytes.length; index++) {
      const changed = Buffer.from(bytes);
      changed[index] = changed[index]! ^ 1;
      expect([index, seal.open(kind, id, changed)]).toEqual([index, undefined]);
      expect([index, seal.open(kind, id, bytes.subarray(0, index))]).toEqual([index, undefined]);
    }
  });
});
