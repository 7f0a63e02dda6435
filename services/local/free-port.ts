import { createServer } from 'node:net';

/** Asks the system for a port of 127.0.0.1 that nobody listens on. Another process may take it before it is used: try again then. */
export async function freePort(): Promise<number> {
  const server = createServer();
  try {
    await listen(server, 0, '127.0.0.1');
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('a listening server has no address');
    return address.port;
  } finally {
    server.close();
  }
}

/** Says whether a port can be listened on now. Throws what is wrong with the host when it is not of this machine. */
export async function isPortFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  const server = createServer();
  try {
    await listen(server, port, host);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return false;
    throw error;
  } finally {
    server.close();
  }
}

function listen(server: ReturnType<typeof createServer>, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host, exclusive: true }, resolve);
  });
}
