import { Pool } from 'undici';
import { FloodConnection } from '../../support/flood-connection.ts';
import type { Caller, CallOutcome, LoadJob } from './job.ts';

const CALL_MAX_MS = 60_000;

const READ_BYTES = 65_536;

/** Opens kept-alive connections to an HTTP door. */
export function createHttpCaller(job: LoadJob): Caller {
  return job.kind === 'sse' ? createStreamCaller(job) : createPlainCaller(job);
}

// On plain sockets: a client of more comfort takes as much of the machine as a third of a call does.
function createPlainCaller(job: LoadJob): Caller {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  const body = Buffer.from(job.body, 'base64');
  const headers = { host: new URL(job.address).host, 'content-type': 'application/json', ...job.headers };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const head = [`POST ${job.path} HTTP/1.1`, ...lines, `content-length: ${body.length}`].join('\r\n');
  const request = Buffer.concat([Buffer.from(`${head}\r\n\r\n`), body]);
  const all = new Set<FloodConnection>();
  const idle: FloodConnection[] = [];
  const open = (): FloodConnection => {
    const connection = new FloodConnection(job.address, buffer, true);
    all.add(connection);
    return connection;
  };
  return {
    async close() {
      for (const connection of all) connection.close();
    },
    call: () =>
      new Promise((resolve, reject) => {
        const connection = idle.pop() ?? open();
        const late = setTimeout(() => connection.close(), CALL_MAX_MS);
        connection.ask(request, (_asked, answer) => {
          clearTimeout(late);
          if (connection.isOpen) idle.push(connection);
          else all.delete(connection);
          if (answer?.status === 200) resolve({});
          else
            reject(new Error(answer === undefined ? 'no answer' : `${answer.status}: ${answer.text?.slice(0, 300)}`));
        });
      }),
  };
}

function createStreamCaller(job: LoadJob): Caller {
  const pool = new Pool(job.address, {
    connections: job.inFlight,
    pipelining: 1,
    headersTimeout: CALL_MAX_MS,
    bodyTimeout: CALL_MAX_MS,
  });
  const body = Buffer.from(job.body, 'base64');
  const headers = { 'content-type': 'application/json', accept: 'text/event-stream', ...job.headers };
  return {
    close: () => pool.destroy(),
    async call() {
      const begun = performance.now();
      const answer = await pool.request({ method: 'POST', path: job.path, headers, body });
      if (answer.statusCode === 200) return readEvents(answer.body, begun);
      throw new Error(`${answer.statusCode}: ${(await answer.body.text()).slice(0, 300)}`);
    },
  };
}

const TOKEN = 'event: token';

async function readEvents(body: AsyncIterable<Buffer>, begun: number): Promise<CallOutcome> {
  let firstTokenMs: number | undefined;
  let tokens = 0;
  let finished = false;
  let rest = '';
  for await (const chunk of body) {
    const text = rest + chunk.toString('latin1');
    const end = text.lastIndexOf('\n\n');
    rest = text.slice(end + 1);
    for (let at = text.indexOf(TOKEN); at >= 0 && at < end; at = text.indexOf(TOKEN, at + TOKEN.length)) {
      firstTokenMs ??= performance.now() - begun;
      tokens++;
    }
    finished ||= text.includes('event: result');
  }
  if (!finished) throw new Error('the stream ended without a result');
  if (firstTokenMs === undefined) throw new Error('the stream carried no text');
  return { firstTokenMs, tokens };
}
