import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A door before a Postgres that counts what comes through. */
export type CountingProxy = {
  /** The connection string that leads through it. */
  readonly url: string;
  /** Statements that clients have sent so far. */
  readonly statements: number;
  close(): Promise<void>;
};

/** Opens a door on a free port that leads to the server of a connection string. */
export async function startCountingProxy(databaseUrl: string): Promise<CountingProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let statements = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    const count = messageCounter(() => {
      statements += 1;
    });
    client.on('data', count).pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket
        .on('error', () => undefined)
        .on('close', () => {
          sockets.delete(socket);
          client.destroy();
          upstream.destroy();
        });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as { port: number }).port);
  return {
    url: url.href,
    get statements() {
      return statements;
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

// The first message has no type; each later one is a letter and a length. Q runs a text, E a prepared statement.
function messageCounter(onStatement: () => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  let started = false;
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      const head = started ? 1 : 0;
      if (rest.length < head + 4) return;
      const sizeBytes = head + rest.readUInt32BE(head);
      if (rest.length < sizeBytes) return;
      if (started && (rest[0] === 0x51 || rest[0] === 0x45)) onStatement();
      started = true;
      rest = rest.subarray(sizeBytes);
    }
  };
}
