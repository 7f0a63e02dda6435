import { connect, type Socket } from 'node:net';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type GatewayRig, rigKeys, sampleResult, startRig } from '../test-support/owners.ts';

const path = '/v1/programs/qa:execute';

/** Answers of one connection in the order in which they came. */
class Line {
  readonly socket: Socket;
  private text = '';

  constructor(address: string) {
    const { hostname, port } = new URL(address);
    this.socket = connect({ host: hostname, port: Number(port) });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (text: string) => {
      this.text += text;
    });
  }

  post(key: string, body = '{"inputs":{}}', more = ''): void {
    this.socket.write(
      `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\n` +
        `content-length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`,
    );
  }

  get statuses(): number[] {
    return [...this.text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
  }

  get last(): string {
    return this.text.slice(this.text.lastIndexOf('HTTP/1.1 '));
  }
}

describe('a call that finds no place, on a connection that was refused before', () => {
  let rig: GatewayRig;
  let free: () => void;
  let held: Promise<void>;
  const lines: Line[] = [];
  beforeAll(async () => {
    rig = await startRig({ inFlightMax: 1 });
  });
  beforeEach(() => {
    rig.reset();
    held = new Promise((resolve) => {
      free = resolve;
    });
    rig.answer('ExecuteProgram', async () => {
      await held;
      return sampleResult('{}');
    });
  });
  afterAll(async () => {
    for (const { socket } of lines) socket.destroy();
    await rig.close();
  });

  const open = (): Line => {
    const line = new Line(rig.http);
    lines.push(line);
    return line;
  };
  const told = (line: Line, statuses: number[]) => eventually(async () => expect(line.statuses).toEqual(statuses));
  const takeThePlace = async (): Promise<Line> => {
    const holder = open();
    holder.post(rigKeys.runner);
    await eventually(async () => expect(rig.seen).toHaveLength(1));
    return holder;
  };

  test('is told so as ever: when to come back, in header and body, on a connection that stays', async () => {
    const holder = await takeThePlace();
    const line = open();
    line.post(rigKeys.runner);
    await told(line, [429]);
    const first = line.last;
    line.post(rigKeys.runner);
    await told(line, [429, 429]);
    const names = (answer: string) =>
      [...answer.matchAll(/^[a-z-]+(?=:)/gim)].map(([name]) => name.toLowerCase()).toSorted();
    expect(names(line.last)).toEqual(names(first));
    expect(line.last).toMatch(/\r\nretry-after: [1-9]/);
    const problem = JSON.parse(line.last.slice(line.last.indexOf('\r\n\r\n') + 4));
    expect(problem).toMatchObject({ reason: 'QUEUE_FULL', status: 429, retryAfterMs: expect.any(Number) });
    free();
    await told(holder, [200]);
    line.post(rigKeys.runner);
    await told(line, [429, 429, 200]);
  });

  test('is refused without a look at its key, and let in with one once there is a place', async () => {
    const holder = await takeThePlace();
    const line = open();
    line.post('unknown');
    await told(line, [429]);
    line.post('unknown');
    await told(line, [429, 429]);
    free();
    await told(holder, [200]);
    line.post('unknown');
    await told(line, [429, 429, 401]);
  });

  test('is answered in its order where calls come before their answers', async () => {
    const holder = await takeThePlace();
    const line = open();
    line.post(rigKeys.runner);
    await told(line, [429]);
    const third = new Promise<void>((resolve) => {
      rig.answer('ExecuteProgram', async () => {
        await new Promise((later) => setTimeout(later, 50));
        resolve();
        return sampleResult('{}');
      });
    });
    free();
    await told(holder, [200]);
    line.post(rigKeys.runner);
    await eventually(async () => expect(rig.seen).toHaveLength(2));
    // The place is taken by the one before it, whose answer comes first.
    line.post(rigKeys.runner);
    await third;
    await eventually(async () => expect(line.statuses).toHaveLength(3));
    expect(line.statuses.slice(0, 2)).toEqual([429, 200]);
  });

  test('is left to the HTTP server where its bytes are not plainly one small call', async () => {
    const holder = await takeThePlace();
    const odd: [string, (line: Line) => void][] = [
      ['in pieces', ({ socket }) => socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-le`)],
      [
        'in chunks',
        ({ socket }) => socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`),
      ],
      ['no HTTP', ({ socket }) => socket.write('POST what is this\r\n\r\n')],
    ];
    const expected = [
      [429, 429],
      [429, 429],
      [429, 400],
    ];
    for (const [at, [, write]] of odd.entries()) {
      const line = open();
      line.post(rigKeys.runner);
      await told(line, [429]);
      write(line);
      if (at === 0) line.socket.write('ngth: 2\r\n\r\n{}');
      await told(line, expected[at]!);
    }
    const looker = open();
    looker.post(rigKeys.runner);
    await told(looker, [429]);
    looker.socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
    await told(looker, [429, 200]);
    free();
    await told(holder, [200]);
  });
});
