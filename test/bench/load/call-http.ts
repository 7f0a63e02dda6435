import { Pool } from 'undici';
import type { Caller, CallOutcome, LoadJob } from './job.ts';

const CALL_MAX_MS = 60_000;

/** Opens a pool of kept-alive connections to an HTTP door. */
export function createHttpCaller(job: LoadJob): Caller {
  const pool = new Pool(job.address, {
    connections: job.inFlight,
    pipelining: 1,
    headersTimeout: CALL_MAX_MS,
    bodyTimeout: CALL_MAX_MS,
  });
  const body = Buffer.from(job.body, 'base64');
  const streaming = job.kind === 'sse';
  const headers = {
    'content-type': 'application/json',
    ...(streaming ? { accept: 'text/event-stream' } : {}),
    ...job.headers,
  };
  return {
    close: () => pool.destroy(),
    async call() {
      const begun = performance.now();
      const answer = await pool.request({ method: 'POST', path: job.path, headers, body });
      if (answer.statusCode === 200) return streaming ? readEvents(answer.body, begun) : drain(answer.body);
      throw new Error(`${answer.statusCode}: ${(await answer.body.text()).slice(0, 300)}`);
    },
  };
}

async function drain(body: AsyncIterable<Buffer>): Promise<CallOutcome> {
  for await (const _chunk of body);
  return {};
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
