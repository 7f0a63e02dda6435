import { createServer, request as openRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { guardArrival, mayTakeLong } from './arrival.ts';

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

// Sends the beginning of a body, and the rest after a while.
async function send(takesLong: boolean, restAfterMs: number): Promise<string> {
  const server = createServer((request, response) => {
    guardArrival(request, 100);
    if (takesLong) mayTakeLong(request);
    request.resume().on('end', () => response.end('whole'));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    const request = openRequest({ port, host: '127.0.0.1', method: 'POST' }, (response) => {
      response.setEncoding('utf8').on('data', (text: string) => resolve(`${response.statusCode} ${text}`));
    });
    request.on('error', reject);
    request.write('beginning');
    setTimeout(() => request.end('rest'), restAfterMs);
  });
}

test('a body has its time to arrive, and then its connection is ended with 408', async () => {
  expect(await send(false, 0)).toBe('200 whole');
  const late = await send(false, 2_000);
  expect(late).toMatch(/^408 .*The request took too long to arrive/);
});

test('a streamed body may take as long as its call', async () => {
  expect(await send(true, 400)).toBe('200 whole');
});
