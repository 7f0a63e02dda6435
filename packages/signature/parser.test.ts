import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import accepted from './cases/accepted.json' with { type: 'json' };
import refused from './cases/refused.json' with { type: 'json' };
import { complexityOf } from './complexity.ts';
import { utf8Length } from './lexer.ts';
import { parseType } from './parse-type.ts';
import { parseSpec } from './parser.ts';
import { printSpec } from './print.ts';
import { SignatureError } from './signature-error.ts';
import { anySpec } from './test-support/any-spec.ts';

function refusal(text: string, options = {}): SignatureError {
  try {
    parseSpec(text, options);
  } catch (error) {
    if (error instanceof SignatureError) return error;
    throw error;
  }
  throw new Error(`was not refused: ${text}`);
}

describe('the golden specs', () => {
  it.each(accepted)('SIG-17 are accepted: $about', ({ spec, canonical }) => {
    expect(printSpec(parseSpec(spec))).toBe(canonical);
    expect(parseSpec(canonical)).toEqual(parseSpec(spec));
  });

  it.each(accepted)('SIG-13 have their complexity: $about', ({ spec, complexity }) => {
    expect(complexityOf(parseSpec(spec))).toBe(complexity);
  });

  it.each(refused)('SIG-17 are refused at their place: $message', ({ spec, reason, message }) => {
    const error = refusal(spec);
    expect({ reason: error.reason, message: error.message }).toEqual({ reason, message });
    expect(error.message).toContain(`line ${error.line}, column ${error.column}:`);
  });
});

describe('bounds', () => {
  it('SIG-17 takes 64 fields and refuses 65', () => {
    const names = (count: number) => Array.from({ length: count }, (_, index) => `f${index}`).join(', ');
    expect(parseSpec(`${names(63)} -> out`).inputs).toHaveLength(63);
    expect(refusal(`${names(64)} -> out`).message).toMatch('a signature has at most 64 fields');
  });

  it('SIG-17 takes a name of 128 characters and refuses 129', () => {
    expect(parseSpec(`${'é'.repeat(128)} -> b`).inputs).toHaveLength(1);
    expect(refusal(`${'é'.repeat(129)} -> b`).message).toMatch('longer than 128 characters');
  });

  it('SIG-17 takes 8 KiB and refuses a byte more, counting bytes', () => {
    const description = (bytes: number) => `a: str '${'é'.repeat(100)}${'x'.repeat(bytes - 200 - 19)}' -> b: str`;
    expect(utf8Length(description(8192))).toBe(8192);
    expect(parseSpec(description(8192)).inputs).toHaveLength(1);
    expect(refusal(description(8193)).message).toBe('the text is longer than 8192 bytes');
  });

  it('refuses a text whose canonical form would not be read again', () => {
    const text = `a: list[int] = [${Array(4000).fill('1').join(',')}] -> b`;
    expect(refusal(text).message).toBe('the canonical text is longer than 8192 bytes');
  });

  it('refuses unions and literals that are too wide', () => {
    const widths = Array.from({ length: 33 }, (_, index) => `embedding[${index + 1}]`).join(' | ');
    expect(refusal(`a: ${widths} -> b`).message).toMatch('a union has at most 32 members');
    const members = Array.from({ length: 257 }, (_, index) => index).join(', ');
    expect(refusal(`a: Literal[${members}] -> b`).message).toMatch('at most 256 members');
  });

  it('SIG-20 calls an ML type that is turned off unsupported', () => {
    const error = refusal('a: tensor -> b', { mlTypes: ['embedding'] });
    expect(error.reason).toBe('SIGNATURE_TYPE');
    expect(error.message).toBe('line 1, column 4: unsupported type `tensor`');
    expect(parseSpec('a: embedding -> b', { mlTypes: ['embedding'] }).inputs).toHaveLength(1);
  });

  it('parses the text of one type and nothing after it', () => {
    expect(parseType(' Optional[ list[str] ] ')).toEqual(parseType('list[str] | None'));
    expect(() => parseType('str, int')).toThrow('unexpected `,` after the type');
  });
});

describe('any text', () => {
  it('SIG-17 parse∘print is the identity', () => {
    fc.assert(
      fc.property(anySpec, (spec) => {
        const text = printSpec(spec);
        expect(parseSpec(text)).toEqual(spec);
        expect(printSpec(parseSpec(text))).toBe(text);
      }),
      { numRuns: 300 },
    );
  });

  it('raises nothing but SignatureError, whatever it is given', () => {
    const pieces = [
      'a',
      'b: ',
      'list[',
      ']',
      '->',
      ',',
      '|',
      'Literal[',
      "'x'",
      '(',
      ')',
      'ge=1',
      '=',
      '5',
      ':',
      '...',
      '\n',
      '\\',
      '{',
    ];
    const garbage = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.array(fc.constantFrom(...pieces), { maxLength: 60 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(garbage, (text) => {
        try {
          expect(printSpec(parseSpec(printSpec(parseSpec(text))))).toBe(printSpec(parseSpec(text)));
        } catch (error) {
          expect(error).toBeInstanceOf(SignatureError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('SIG-17 reads or refuses 8 KiB in under 5 ms', () => {
    const filled = (head: string, part: string, tail: string) =>
      head + part.repeat(Math.floor((8192 - head.length - tail.length) / part.length)) + tail;
    const texts = [
      filled('a: Union[int', ', list[str]', '] -> b'),
      filled('', '[', ''),
      filled('a: ', '(', ''),
      filled("a: str '", '\\n', "' -> b"),
      filled('a: int', '|int', ' -> b'),
      filled('a: list[int] = [1', ',1', '] -> b'),
      filled('', '\n', ''),
      filled('', 'x', ''),
      filled('a: int = ', '9', ' -> b'),
      filled('a: str = {', "'k':{", ''),
      Array.from(
        { length: 60 },
        (_, index) => `field_${index}: dict[str, list[Optional[int | float]]] '${'d'.repeat(70)}'`,
      )
        .join(', ')
        .concat(' -> b'),
    ];
    for (const text of texts)
      expect({ text: text.slice(0, 20), slow: fastestMs(text) >= 5 }).toMatchObject({ slow: false });
  });
});

/** The best of several tries, so that a busy machine does not count. */
function fastestMs(text: string): number {
  let best = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 8; attempt++) {
    const start = performance.now();
    try {
      parseSpec(text);
    } catch (error) {
      if (!(error instanceof SignatureError)) throw error;
    }
    best = Math.min(best, performance.now() - start);
  }
  return best;
}
