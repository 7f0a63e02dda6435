/** What the bytes of a request say before anybody has parsed them. */
export type RawHead = {
  /** Path and query as they were written. */
  readonly target: string;
  readonly authorization: string | undefined;
  readonly bodyBytes: number;
};

const post = Buffer.from('POST ');
const blank = Buffer.from('\r\n\r\n');
const version = ' HTTP/1.1';
const headBytesMax = 8_192;
const bodyBytesMax = 65_536;

/** Headers that make a request more than bytes that stand here: each is left to the HTTP server. */
const special: ReadonlySet<string> = new Set(['transfer-encoding', 'connection', 'upgrade', 'expect', 'te', 'trailer']);

/**
 * Reads the head of a chunk that is exactly one whole POST request with a small body of known length; undefined for all else, however
 * slightly it differs.
 */
export function readHead(chunk: Buffer): RawHead | undefined {
  if (chunk.length < post.length || post.compare(chunk, 0, post.length) !== 0) return undefined;
  const end = chunk.indexOf(blank);
  if (end < 0 || end > headBytesMax) return undefined;
  const lines = chunk.toString('latin1', 0, end).split('\r\n');
  const [first = ''] = lines;
  if (!first.endsWith(version)) return undefined;
  let authorization: string | undefined;
  let bodyBytes: number | undefined;
  for (let at = 1; at < lines.length; at++) {
    const line = lines[at]!;
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
    if (colon <= 0 || (special.has(name) && !isKeepAlive(name, line))) return undefined;
    if (name === 'authorization') {
      if (authorization !== undefined) return undefined;
      authorization = line.slice(colon + 1).trim();
    } else if (name === 'content-length') {
      const text = line.slice(colon + 1).trim();
      if (bodyBytes !== undefined || !/^[0-9]{1,5}$/.test(text)) return undefined;
      bodyBytes = Number(text);
    }
  }
  if (bodyBytes === undefined || bodyBytes > bodyBytesMax) return undefined;
  if (chunk.length !== end + blank.length + bodyBytes) return undefined;
  return { target: first.slice(post.length, -version.length), authorization, bodyBytes };
}

function isKeepAlive(name: string, line: string): boolean {
  return (
    name === 'connection' &&
    line
      .slice(name.length + 1)
      .trim()
      .toLowerCase() === 'keep-alive'
  );
}
