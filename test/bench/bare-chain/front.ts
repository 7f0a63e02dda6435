// The first process of the bare chain: HTTP and gRPC in, one unary call out, bytes handed through.
import { createServer } from 'node:http';
import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { createRunCaller, runService, serve } from './wire.ts';

process.on('message', async ({ middle }: { middle: string }) => {
  const run = createRunCaller(middle);
  const http = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      run(parts.length === 1 ? parts[0]! : Buffer.concat(parts)).then(
        (reply) =>
          response.writeHead(200, { 'content-type': 'application/json', 'content-length': reply.length }).end(reply),
        (error: Error) => response.writeHead(500).end(error.message),
      );
    });
  });
  http.listen(0, '127.0.0.1', async () => {
    const grpc = await serve(runService, {
      run: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => {
        run(call.request).then((bytes) => reply(null, bytes), reply);
      },
    });
    const { port } = http.address() as { port: number };
    process.send?.({ http: `http://127.0.0.1:${port}`, grpc });
  });
});
process.on('disconnect', () => process.exit(0));
