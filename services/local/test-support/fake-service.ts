// A process as the launcher expects one: says where it listens, ends on SIGTERM and when its standard input closes. Behaves otherwise when told.
import { createServer } from 'node:http';

const behaviour = process.env.BEHAVIOUR ?? '';
if (behaviour === 'dies at once') {
  process.stderr.write('fake: the database refuses\n');
  process.exit(1);
}
const server = createServer((_request, response) => response.end(String(process.pid)));
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  if (behaviour !== 'never listens')
    process.stdout.write(`${JSON.stringify({ event: 'listening', address: `127.0.0.1:${port}` })}\n`);
});
process.on('SIGTERM', () => {
  if (behaviour !== 'ignores SIGTERM') process.exit(0);
});
process.stdin.resume().on('end', () => process.exit(0));
