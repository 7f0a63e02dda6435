// The third process of the bare chain: answers each frame of a stream with a frame.
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { serve, sessionService } from './wire.ts';

process.on('message', async () => {
  const address = await serve(sessionService, {
    session: (call: ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', (bytes: Buffer) => {
        const { id } = JSON.parse(bytes.toString()) as { id: string };
        call.write(Buffer.from(JSON.stringify({ id, outputs: { answer: 'scripted answer', confidence: 0.5 } })));
      });
      call.on('end', () => call.end());
      call.on('error', () => undefined);
    },
  });
  process.send?.({ address });
});
process.on('disconnect', () => process.exit(0));
