import { describe, expect, it } from 'vitest';
import { defineSignature } from './define-signature.ts';
import { JsonError } from './json.ts';
import { isModuleName, specModuleName } from './module-name.ts';

describe('defining a signature in code', () => {
  it('SIG-16 takes the module form: one input, two outputs', () => {
    const defined = defineSignature(
      'AshDSPy.TestSignature',
      'signature question: :string -> answer: :string, confidence: :float',
    );
    expect(defined.module).toBe('AshDSPy.TestSignature');
    expect(defined.spec).toBe('question: str -> answer: str, confidence: float');
    expect(defined.signature.inputs).toHaveLength(1);
    expect(defined.signature.outputs).toHaveLength(2);
  });

  it('SIG-16 takes field by field and says the same', () => {
    const defined = defineSignature('AshDSPy.TestSignature', (s) =>
      s
        .input('question', 'string')
        .output('answer')
        .output('score', 'int', { constraints: { ge: 0, le: 10 }, default: 5, description: 'how good' }),
    );
    expect(defined.spec).toBe("question: str -> answer: str, score: int(ge=0, le=10) = 5 'how good'");
  });

  it('SIG-16 refuses what the spec form refuses', () => {
    expect(() => defineSignature('X', (s) => s.input('a'))).toThrow('at least one output');
    expect(() => defineSignature('X', (s) => s.input('a', 'strng').output('b'))).toThrow('unknown type `strng`');
    expect(() => defineSignature('X', (s) => s.input('a', 'float', { default: Number.NaN }).output('b'))).toThrow(
      JsonError,
    );
    expect(() => defineSignature('X', (s) => s.input('a', 'tensor').output('b'), { mlTypes: [] })).toThrow(
      'unsupported type',
    );
  });
});

describe('module names', () => {
  it.each(['AshDSPy.Signatures.Qa_1', 'X', 'A..b'])('SIG-04 takes %s', (name) => expect(isModuleName(name)).toBe(true));

  it.each(['', 'x', '1A', 'A b', 'A-b', 'A\n', '_A', 'Ä', "Os';import", `A${'b'.repeat(255)}`])(
    'SIG-04 refuses %j',
    (name) => {
      expect(isModuleName(name)).toBe(false);
      expect(() => defineSignature(name, 'a -> b')).toThrow('Module must be a valid module name');
    },
  );

  it('SIG-04 are made for a spec from its hash', () => {
    const name = specModuleName('a: str -> b: str', (text) => `${text.length}`.padEnd(64, 'f'));
    expect(name).toBe('Spec.S16ffffffffff');
    expect(isModuleName(name)).toBe(true);
  });
});
