import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFieldText } from './field-text.ts';
import { isPythonLineEnd, isPythonSpace } from './python-text.ts';

const outputFields = [
  { name: 'answer', text: true },
  { name: 'score', text: false },
  { name: 'reasoning', text: true },
];

function show(pieces: string[], promptAdapter = 'chat'): { fields: Record<string, string>; events: number } {
  const fields: Record<string, string> = {};
  let events = 0;
  const finder = createFieldText({ promptAdapter, outputFields }, ({ field, text }) => {
    events += 1;
    fields[field] = (fields[field] ?? '') + text;
  });
  for (const piece of pieces) finder.push(piece);
  finder.end();
  return { fields, events };
}

function cut(text: string, sizes: number[]): string[] {
  const pieces: string[] = [];
  let at = 0;
  for (let turn = 0; at < text.length; turn += 1) {
    const size = sizes.length === 0 ? text.length : sizes[turn % sizes.length]!;
    pieces.push(text.slice(at, at + size));
    at += size;
  }
  return pieces;
}

// ChatAdapter.parse of DSPy 3.4.1, read word for word.
function parse(text: string): Record<string, string> {
  const sections: { name: string; lines: string[] }[] = [{ name: '', lines: [] }];
  for (const line of splitLines(text)) {
    const header = /^\[\[ ## ([\p{L}\p{N}_]+) ## \]\]/u.exec(pythonStrip(line));
    if (header === null) sections.at(-1)!.lines.push(line);
    else sections.push({ name: header[1]!, lines: [pythonStrip([...line].slice([...header[0]].length).join(''))] });
  }
  const fields: Record<string, string> = {};
  for (const { name, lines } of sections) {
    if (outputFields.some((field) => field.name === name && field.text)) fields[name] ??= pythonStrip(lines.join('\n'));
  }
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''));
}

function splitLines(text: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (let at = 0; at < text.length; at += 1) {
    if (!isPythonLineEnd(text.charCodeAt(at))) {
      line += text[at];
      continue;
    }
    if (text[at] === '\r' && text[at + 1] === '\n') at += 1;
    lines.push(line);
    line = '';
  }
  return line === '' ? lines : [...lines, line];
}

const shred = fc.constantFrom(
  ...[
    '[[ ## answer ## ]]',
    '[[ ## reasoning ## ]]',
    '[[ ## score ## ]]',
    '[[ ## completed ## ]]',
    '[[ ## ',
    ' ## ]]',
    '[[',
  ],
  ...[
    '\n',
    '\n\n',
    '\r\n',
    '\r',
    '\u2028',
    '\x1c',
    '  ',
    '\t',
    'Ada Lovelace',
    'x',
    '0.5',
    '😀',
    '\ud83d',
    'é',
    '[',
    ' #',
    '**[[ ## answer ## ]]',
  ],
);

describe('text of a Chat reply', () => {
  it('shows what parsing yields in the end, in any cut', () => {
    fc.assert(
      fc.property(
        fc.array(shred, { maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 5 }),
        (shreds, sizes) => {
          const text = shreds.join('');
          expect(show(cut(text, sizes)).fields).toEqual(parse(text));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('shows only what stays true when the reply goes on in any way', () => {
    fc.assert(
      fc.property(fc.array(shred, { maxLength: 20 }), fc.array(shred, { maxLength: 10 }), (before, after) => {
        const shown: Record<string, string> = {};
        const finder = createFieldText({ promptAdapter: 'chat', outputFields }, ({ field, text }) => {
          shown[field] = (shown[field] ?? '') + text;
        });
        for (const piece of before) finder.push(piece);
        const whole = parse([...before, ...after].join(''));
        for (const [field, text] of Object.entries(shown)) expect(whole[field]?.startsWith(text)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  it('shows text as soon as no header can form out of it', () => {
    const seen: string[] = [];
    const finder = createFieldText({ promptAdapter: 'chat', outputFields }, ({ text }) => seen.push(text));
    const pieces = [
      '[[ ## answer',
      ' ## ]]\n',
      'Ada',
      ' ',
      'Lovelace\n',
      '[[ #',
      ' no',
      '\n\n[[ ## comp',
      'leted ## ]]',
    ];
    for (const piece of pieces) finder.push(piece);
    expect(seen).toEqual(['Ada', ' Lovelace', '\n[[ # no']);
  });

  it('gives one event for one piece and none for typed fields', () => {
    expect(show(['[[ ## score ## ]]\n0.5\n[[ ## answer ## ]]\na\nb\nc'])).toEqual({
      fields: { answer: 'a\nb\nc' },
      events: 1,
    });
  });

  it('takes three megabytes, a header that never ends and white space without end in linear time', () => {
    // The processor's time, not the clock's: others may want the machine too.
    const start = process.cpuUsage();
    const long = 'a'.repeat(3_000_000);
    expect(show(cut(`[[ ## answer ## ]]\n${long}`, [40])).fields.answer?.length).toBe(3_000_000);
    show(cut(`[[ ## ${long}`, [70]));
    show(cut(`[[ ## answer ## ]]\nx${' '.repeat(3_000_000)}`, [30]));
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(4_000);
  });

  it('shows nothing for an adapter that it does not know', () => {
    expect(show(['[[ ## answer ## ]]\nx'], 'xml').events).toBe(0);
  });
});

/** Python's `str.strip()`. */
function pythonStrip(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isPythonSpace(text.charCodeAt(from))) from += 1;
  while (to > from && isPythonSpace(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}
