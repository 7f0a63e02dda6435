import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventStream } from './event-stream.ts';

function read(bytes: Buffer, sizes: number[] = []): string[] {
  const seen: string[] = [];
  const stream = new EventStream((data) => seen.push(data));
  let at = 0;
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = sizes.length === 0 ? bytes.length : sizes[turn % sizes.length]!;
    stream.push(bytes.subarray(at, at + size));
    at += size;
  }
  stream.end();
  return seen;
}

describe('an event stream', () => {
  it('is read in any cut and with any line ending', () => {
    const event = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\r\n]/g, ''));
    fc.assert(
      fc.property(
        fc.array(event),
        fc.constantFrom('\n', '\r\n', '\r'),
        fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 4 }),
        (events, end, sizes) => {
          const text = events.map((data) => `: comment${end}event: x${end}data: ${data}${end}${end}`).join('');
          expect(read(Buffer.from(text), sizes)).toEqual(events);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('joins data lines, takes a missing blank and a missing blank line', () => {
    expect(read(Buffer.from('data:a\ndata: b\n\ndata: [DONE]'))).toEqual(['a\nb', '[DONE]']);
  });

  it('refuses bytes that are not UTF-8', () => {
    expect(() => read(Buffer.from([0x64, 0xff, 0xfe, 0x0a]))).toThrow(TypeError);
  });

  it('refuses an event that never ends', () => {
    const stream = new EventStream(() => {});
    const chunk = Buffer.alloc(1024 * 1024, 'a');
    stream.push(Buffer.from('data: '));
    expect(() => {
      for (let turn = 0; turn < 10; turn += 1) stream.push(chunk);
    }).toThrow(RangeError);
  });
});
