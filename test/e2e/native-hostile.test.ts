import { readFileSync } from 'node:fs';
import { connect, constants } from 'node:http2';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpAnswer, JsonObject } from '../support/http.ts';
import { demand, readyProgram } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { type Behaviour, type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`hostile replies on both engines are left out: ${missing}`);

const MEGABYTES = 3_000_000;

const sections = (a: string, b = 'x') => `[[ ## a ## ]]\n${a}\n\n[[ ## b ## ]]\n${b}\n\n[[ ## completed ## ]]`;
const prompt = 'Your input fields are:\n1. `q` (str):\nAll interactions will be structured in the following way';
const replies: readonly (readonly [string, string])[] = [
  ['3 MB of text without a section', 'word '.repeat(MEGABYTES / 5)],
  ['3 MB of text in a field', sections('[1]', 'word '.repeat(MEGABYTES / 5))],
  ['3 MB of numbers', sections(`[${'1,'.repeat(MEGABYTES / 2)}1]`)],
  ['3 MB of blank lines', '\n \n'.repeat(MEGABYTES / 3)],
  ['3 MB of sections', '[[ ## z ## ]]\nx\n'.repeat(MEGABYTES / 16)],
  ['100 kB of opening braces', '{'.repeat(100_000)],
  ['control characters', sections('["\u0001\u0007\u001c\u0085\u2028"]', '\u0001\u000b\u001b[31m\u007f\ufeff')],
  ['1 MB of control characters', '\u0001\u0007\u001c'.repeat(333_333)],
  ['10,000 sections', Array.from({ length: 10_000 }, (_, at) => sections(`[${at}]`, String(at))).join('\n')],
  ['10,000 sections of other names', Array.from({ length: 10_000 }, (_, at) => `[[ ## s${at} ## ]]\nx`).join('\n')],
  ['JSON nested 100 deep', sections(`${'['.repeat(100)}${']'.repeat(100)}`)],
  ['JSON nested 10,000 deep', sections(`${'['.repeat(10_000)}${']'.repeat(10_000)}`)],
  [
    'the headers of the prompt again',
    `${prompt}\n\n[[ ## q ## ]]\n{q}\n\n${sections('{a}', '{b}')}\n\n${sections('[2]', 'y')}`,
  ],
  ['half surrogate pairs', sections('["\\ud800"]', 'x\\udfff')],
  ['a NUL', sections('[1]', 'a\u0000b')],
  ['numbers without end', sections(`[${'9'.repeat(10_000)}]`)],
  ['__proto__ and constructor', sections('[{"__proto__": {"x": 1}, "constructor": 1}]', '__proto__')],
];

/** Asks the executor every few milliseconds whether it is well; the longest silence says how long it was held up. */
class Pulse {
  readonly #session;
  #isOver = false;
  longestMs = 0;
  readonly #done: Promise<void>;

  constructor(address: string) {
    this.#session = connect(`http://${address}`);
    this.#session.on('error', () => {});
    this.#done = this.#beat();
  }

  async stop(): Promise<number> {
    this.#isOver = true;
    await this.#done;
    this.#session.destroy();
    return this.longestMs;
  }

  async #beat(): Promise<void> {
    while (!this.#isOver) {
      const startMs = performance.now();
      await new Promise<void>((resolve) => {
        const call = this.#session.request({
          [constants.HTTP2_HEADER_METHOD]: 'POST',
          [constants.HTTP2_HEADER_PATH]: '/grpc.health.v1.Health/Check',
          [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
          [constants.HTTP2_HEADER_TE]: 'trailers',
        });
        call.on('error', () => {});
        call.on('close', resolve);
        call.resume();
        call.end(Buffer.alloc(5));
      });
      this.longestMs = Math.max(this.longestMs, performance.now() - startMs);
      await delay(2);
    }
  }
}

describe.skipIf(missing !== undefined)('hostile replies', { timeout: 120_000 }, () => {
  let stack: Stack;
  let lm: ScriptedLm;
  let slug = '';
  beforeAll(async () => {
    lm = await startScriptedLm({ record: false });
    stack = await startStack({ engines: 'python', lm: lm.url });
    const signatureSpec = 'q: str -> a: list, b: str';
    slug = String((await readyProgram(stack, { adapterType: 'python_port', signatureSpec })).slug);
    for (const engine of ['python', 'native'])
      demand(await execute(engine, { kind: 'text', text: sections('[1]') }), 200);
  }, 90_000);
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
  });

  const execute = (engine: string, reply: Behaviour, options: JsonObject = {}): Promise<HttpAnswer> => {
    lm.reset();
    // Once for each adapter that asks.
    lm.enqueue(reply, reply);
    const executionOptions = { engine, maxRetries: 0, timeoutMs: 60_000, ...options };
    return stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { q: 'x' }, executionOptions });
  };
  const said = ({ status, body }: HttpAnswer) => ({ status, outputs: body.outputs, reason: body.reason });
  const residentMiB = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${stack.pid('executor')}/status`, 'utf8'))?.[1]) / 1024;

  it.each(replies)('come to the same on both engines, or to LM_REPLY_UNREADABLE: %s', async (name, text) => {
    const python = await execute('python', { kind: 'text', text });
    const pulse = new Pulse(stack.address('executor'));
    const startMs = performance.now();
    const native = await execute('native', { kind: 'text', text });
    const tookMs = performance.now() - startMs;
    const heldUpMs = await pulse.stop();
    const shown = `${native.status} ${native.body.reason ?? ''}`;
    console.info(`${name}: ${shown}, ${tookMs.toFixed(0)} ms, executor held up for ${heldUpMs.toFixed(0)} ms at most`);
    if (native.body.reason === 'LM_REPLY_UNREADABLE') expect(native.status).toBe(502);
    else expect(said(native)).toEqual(said(python));
    expect([200, 502]).toContain(python.status);
    expect(tookMs).toBeLessThan(20_000);
    // Many times what is usual: the machine is shared. A million and a half values are an answer, and are checked as one.
    expect(heldUpMs).toBeLessThan(name === '3 MB of numbers' ? 3_000 : 500);
  });

  it('take time that grows with their length, not with its square', async () => {
    const shapes: [string, (size: number) => string][] = [
      ['text', (size) => 'word '.repeat(size / 5)],
      ['text in a field', (size) => sections('[1]', 'word '.repeat(size / 5))],
      ['numbers', (size) => sections(`[${'1,'.repeat(size / 2)}1]`)],
      ['sections', (size) => '[[ ## z ## ]]\nx\n'.repeat(size / 16)],
      ['blank lines', (size) => '\n \n'.repeat(size / 3)],
      ['braces', (size) => '{'.repeat(size)],
    ];
    for (const [name, make] of shapes) {
      const curve: number[] = [];
      for (const size of [100_000, 200_000, 400_000, 800_000, 1_600_000]) {
        const text = make(size);
        const times = [];
        for (let at = 0; at < 3; at += 1) {
          const startMs = performance.now();
          const { status } = await execute('native', { kind: 'text', text });
          expect([200, 502]).toContain(status);
          times.push(performance.now() - startMs);
        }
        curve.push(Math.min(...times));
      }
      const shown = curve.map((ms) => ms.toFixed(0)).join(', ');
      console.info(`${name}: ${shown} ms for 0.1, 0.2, 0.4, 0.8 and 1.6 MB`);
      // Sixteen times the text; 256 times the time would be its square.
      expect(curve.at(-1), shown).toBeLessThan(60 * Math.max(curve[0]!, 15));
    }
  });

  it('leave no memory behind', async () => {
    const text = sections('[1]', 'word '.repeat(MEGABYTES / 5));
    const many = async (): Promise<number> => {
      for (let at = 0; at < 12; at += 1) demand(await execute('native', { kind: 'text', text }), 200);
      return residentMiB();
    };
    await many();
    const [before, after] = [await many(), await many()];
    console.info(`resident memory of the executor: ${before.toFixed(0)} MiB, then ${after.toFixed(0)} MiB`);
    // 36 MB of text went through in between, several times over in copies.
    expect(after).toBeLessThan(before + 100);
  });

  const bytes = (content: Buffer): Buffer =>
    Buffer.concat([
      Buffer.from('{"choices":[{"index":0,"message":{"role":"assistant","content":"'),
      content,
      Buffer.from('"},"finish_reason":"stop"}]}'),
    ]);
  const event = (content: string): string =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`;
  const stream = 'text/event-stream';

  it('of invalid UTF-8 come to the same on both engines', async () => {
    const text = JSON.stringify(sections('[1]', 'broken: ')).slice(1, -1);
    const [before, after] = text.split('broken: ') as [string, string];
    const content = Buffer.concat([
      Buffer.from(`${before}broken: `),
      Buffer.from([0xff, 0xc3, 0x28]),
      Buffer.from(after),
    ]);
    const writes = [bytes(content)];
    const [python, native] = [
      await execute('python', { kind: 'raw', writes }),
      await execute('native', { kind: 'raw', writes }),
    ];
    expect(said(native)).toEqual(said(python));
    expect([200, 502]).toContain(native.status);
  });

  it.each([
    ['stops half way', 'break', 5_000],
    ['never goes on', 'hang', 1_500],
  ] as const)('as a stream that %s end with a clear reason on both engines', async (_name, ending, timeoutMs) => {
    const ends: unknown[] = [];
    for (const engine of ['python', 'native']) {
      lm.reset();
      lm.enqueue({ kind: 'raw', contentType: stream, writes: [event('[[ ## a ## ]]\n[1'), event(', 2')], ending });
      const executionOptions = { engine, maxRetries: 0, timeoutMs };
      const startMs = performance.now();
      const opened = await stack.sse(`/v1/programs/${slug}:stream`, { inputs: { q: 'x' }, executionOptions });
      const events = await Array.fromAsync(opened.events);
      expect(performance.now() - startMs).toBeLessThan(timeoutMs + 3_000);
      const last = events.at(-1)?.data as JsonObject;
      ends.push([events.at(-1)?.event, last.reason, last.status]);
    }
    expect(ends[1]).toEqual(ends[0]);
    expect(ends[1]).toEqual(['error', ending === 'hang' ? 'DEADLINE_EXCEEDED' : 'LM_UNAVAILABLE', expect.anything()]);
  });

  it('as a stream without end end at the deadline, and the socket with them', async () => {
    const writes = Array.from({ length: 2_000 }, () => event('word '));
    for (const engine of ['python', 'native']) {
      lm.reset();
      lm.enqueue({ kind: 'raw', contentType: stream, writes: [event('[[ ## a ## ]]\n'), ...writes], gapMs: 5 });
      const executionOptions = { engine, maxRetries: 0, timeoutMs: 1_500 };
      const startMs = performance.now();
      const opened = await stack.sse(`/v1/programs/${slug}:stream`, { inputs: { q: 'x' }, executionOptions });
      const events = await Array.fromAsync(opened.events);
      expect(performance.now() - startMs).toBeLessThan(4_500);
      expect(events.at(-1)?.data).toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    }
  });
});
