// Starts a server in the folder given, prints what a test needs to know, and holds it until this process is killed.
import { startEmbeddedPostgres } from '../postgres.ts';

const server = await startEmbeddedPostgres({ dataDir: process.argv[2] ?? '' });
process.stdout.write(`${JSON.stringify({ pid: server.pid, url: server.url, socketDir: server.socketDir })}\n`);
setInterval(() => undefined, 60_000);
