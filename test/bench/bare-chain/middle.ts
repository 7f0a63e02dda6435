// The second process of the bare chain: a unary call in, a row, the engine (in process, or over one open stream), a row, the answer.
import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { Rows } from './rows.ts';
import { createSessionCaller, runService, serve } from './wire.ts';

type Engine = (inputs: unknown) => Promise<unknown> | unknown;

process.on('message', async ({ databaseUrl, engine }: { databaseUrl: string; engine?: string }) => {
  const rows = new Rows(databaseUrl);
  await rows.prepare();
  const run: Engine =
    engine === undefined ? () => ({ answer: 'scripted answer', confidence: 0.5 }) : createSessionCaller(engine);
  const handle = async (body: Buffer): Promise<Buffer> => {
    const { inputs } = JSON.parse(body.toString()) as { inputs: unknown };
    const id = rows.begin(JSON.stringify(inputs));
    const outputs = await run(inputs);
    await rows.end(id, JSON.stringify(outputs));
    return Buffer.from(JSON.stringify({ executionId: id, outputs }));
  };
  const address = await serve(runService, {
    run: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => {
      handle(call.request).then((bytes) => reply(null, bytes), reply);
    },
  });
  process.send?.({ address });
});
process.on('disconnect', () => process.exit(0));
