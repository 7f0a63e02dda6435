import net from 'node:net';
import type { ConfigError } from '@signet/kit/config/env.ts';
import { deriveInternalToken } from '@signet/kit/config/internal-token.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { createTestDatabase } from '../../test/support/database.ts';
import { readConfig } from './config.ts';
import { inner, refusal, startTestRegistry } from './test-support/registry.ts';

describe('a registry', () => {
  it('DOM-05 DOM-06 reads its configuration, and says all that is wrong with it at once', () => {
    const good = { DATABASE_URL: 'postgres://postgres@localhost/signet', SIGNET_SECRET_KEY: 'secret' };
    expect(readConfig(good)).toMatchObject({
      address: { host: '127.0.0.1', port: 50051 },
      internalToken: deriveInternalToken('secret'),
      adminKey: undefined,
    });
    const bad = { SIGNET_REGISTRY_ADDRESS: 'nowhere', SIGNET_ADMIN_KEY: 'short', DATABASE_URL: 'mysql://x' };
    try {
      readConfig(bad);
      expect.unreachable();
    } catch (error) {
      const { faults } = error as ConfigError;
      expect(faults.join('\n')).toMatch(
        /SIGNET_REGISTRY_ADDRESS[\s\S]*SIGNET_SECRET_KEY[\s\S]*DATABASE_URL[\s\S]*SIGNET_ADMIN_KEY/,
      );
      expect(faults.join('\n')).not.toContain('short');
    }
  });

  it('shows its metrics where it is told to', async () => {
    const database = await createTestDatabase(['registry']);
    const registry = await startTestRegistry(database.url, {
      config: { metricsAddress: { host: '127.0.0.1', port: 0 } },
    });
    try {
      await registry.createProgram();
      const text = await (await fetch(`http://${registry.app.listening.metrics}/metrics`)).text();
      expect(text).toMatch(/rpc_server_call_duration.*CreateProgram/);
      expect((await fetch(`http://${registry.app.listening.metrics}/secret`)).status).toBe(404);
    } finally {
      await registry.close();
      await database.drop();
    }
  });

  it('says DATABASE_UNAVAILABLE while the database is away, and goes on when it is back', async () => {
    const database = await createTestDatabase(['registry']);
    const gate = await openGate(new URL(database.url));
    const registry = await startTestRegistry(gate.url);
    try {
      const made = await registry.createProgram({ name: 'before' });
      gate.shut();
      const away = await refusal(registry.createProgram({ name: 'during' }));
      expect(away).toMatchObject({ reason: 'DATABASE_UNAVAILABLE', retryAfterMs: 1000 });
      expect((await refusal(registry.call(inner.resolveProgram, { program: made.id, version: 0 }))).reason).toBe(
        'DATABASE_UNAVAILABLE',
      );
      gate.open();
      await eventually(async () => expect((await registry.createProgram({ name: 'after' })).slug).toBe('after'));
      const client = new pg.Client(database.url);
      await client.connect();
      const { rows } = await client.query('select name from registry.programs order by create_time');
      await client.end();
      expect(rows.map(({ name }) => name)).toEqual(['before', 'after']);
    } finally {
      await registry.close();
      gate.close();
      await database.drop();
    }
  });

  it('gives up after ten seconds without a database, in one line', async () => {
    const started = performance.now();
    await expect(startTestRegistry('postgres://nobody:secret@127.0.0.1:1/none')).rejects.toThrow(
      /^the database does not answer \(ECONNREFUSED\)$/,
    );
    expect(performance.now() - started).toBeGreaterThan(9000);
  });
});

/** A door before the database that can be shut: it cuts every connection and refuses new ones. */
async function openGate(target: URL) {
  const sockets = new Set<net.Socket>();
  let isOpen = true;
  const server = net.createServer((socket) => {
    if (!isOpen) return void socket.destroy();
    const behind = net.connect(Number(target.port), target.hostname);
    for (const one of [socket, behind]) {
      sockets.add(one);
      one
        .on('error', () => {})
        .on('close', () => {
          sockets.delete(one);
          socket.destroy();
          behind.destroy();
        });
    }
    socket.pipe(behind).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(target);
  url.port = String((server.address() as net.AddressInfo).port);
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: url.href,
    shut: () => {
      isOpen = false;
      cut();
    },
    open: () => {
      isOpen = true;
    },
    close: () => {
      cut();
      server.close();
    },
  };
}
