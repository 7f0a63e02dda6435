import type { LookupAddress } from 'node:dns';
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { context, failure, newClient, useLmClient } from '../test-support/lm-client.ts';

const { lm, client, request } = await useLmClient();
const registered = { allowPrivate: false };

describe('an endpoint that must be public', () => {
  let inside: Server;
  let reached = 0;
  beforeAll(async () => {
    inside = createServer((_request, response) => {
      reached += 1;
      response.end('{"choices":[{"message":{"content":"secret of the inside"}}]}');
    });
    await new Promise<void>((resolve) => inside.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => new Promise((resolve) => inside.close(resolve)));
  const port = (): number => (inside.address() as { port: number }).port;

  it.each(['127.0.0.1', '2130706433', '0x7f.1', '[::1]', '[::ffff:7f00:1]', 'localhost', '127.1', '１２７.０.０.１'])(
    'is not asked at %s',
    async (host) => {
      const error = await failure(
        client.complete(request({}, { ...registered, apiBase: `http://${host}:${port()}/v1` }), context()),
      );
      expect(error.reason).toBe('LM_NOT_CONFIGURED');
      expect(error.message).toMatch(/^The language model's address must not be /);
      expect(reached).toBe(0);
    },
  );

  it('is not asked if its name leads inside, and what answers there is not said', async () => {
    const apiBase = `http://models.example.com:${port()}/v1`;
    const own = newClient({ resolve: async () => [{ address: '127.0.0.1', family: 4 }] });
    const error = await failure(own.complete(request({}, { ...registered, apiBase }), context()));
    expect(error).toMatchObject({
      reason: 'LM_NOT_CONFIGURED',
      metadata: { rule: 'PRIVATE_ADDRESS' },
      retryable: false,
    });
    expect(error.message).not.toContain('127');
    await own.close();
    expect(reached).toBe(0);
  });

  it('is connected to where it was checked: a name that changes its mind leads nowhere', async () => {
    const answers = [{ address: '93.184.215.14', family: 4 }];
    let asked = 0;
    // The first answer is public, and nobody listens there at this port; each later one leads inside.
    const resolve = async (): Promise<LookupAddress[]> => [answers[asked++] ?? { address: '127.0.0.1', family: 4 }];
    const own = newClient({ resolve, connectMaxMs: 300 });
    const apiBase = `http://rebinding.example.com:${port()}/v1`;
    const first = await failure(own.complete(request({ maxRetries: 0 }, { ...registered, apiBase }), context()));
    expect(first.reason).toBe('LM_UNAVAILABLE');
    expect(asked).toBe(1);
    const second = await failure(own.complete(request({ maxRetries: 0 }, { ...registered, apiBase }), context()));
    expect(second.reason).toBe('LM_NOT_CONFIGURED');
    expect(reached).toBe(0);
    await own.close();
  });

  it('leads nowhere else by a redirect', async () => {
    const inner = `http://127.0.0.1:${port()}/`;
    const redirecting = createServer((_request, response) => response.writeHead(307, { location: inner }).end());
    await new Promise<void>((resolve) => redirecting.listen(0, '127.0.0.1', resolve));
    const apiBase = `http://127.0.0.1:${(redirecting.address() as { port: number }).port}`;
    const error = await failure(client.complete(request({}, { apiBase }), context()));
    expect([error.reason, error.metadata.status]).toEqual(['LM_ERROR', '307']);
    expect(error.message).toContain('a redirect, which is not followed');
    expect(reached).toBe(0);
    await new Promise((resolve) => redirecting.close(resolve));
  });

  it("of the environment may stand anywhere, and shares no connection with the API's", async () => {
    expect((await client.complete(request(), context())).finishReason).toBe('stop');
    const error = await failure(client.complete(request({}, registered), context()));
    expect([error.reason, lm.calls]).toEqual(['LM_NOT_CONFIGURED', 1]);
  });
});
