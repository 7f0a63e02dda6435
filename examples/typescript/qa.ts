// Signet from TypeScript: create, initialize, execute, stream, wrong inputs, a deadline.
import { ProgramStatus, SignetClient, SignetError, signature } from '@signet/client/index.ts';

// Reads SIGNET_ADDRESS and SIGNET_KEY; `new SignetClient({ address, key })` does without.
const client = SignetClient.fromEnvironment(process.env);
const qa = signature('question: str, context: list[str] -> answer: str, confidence: float');

const { slug } = await client.programs.createWithSignature(qa, { name: 'typescript example' });
console.log(`created ${slug}`);

const program = client.program(qa, slug);
const { status } = await program.initialize();
console.log(`initialized ${status === ProgramStatus.PROGRAM_STATUS_READY ? 'READY' : 'ERROR'}`);

const inputs = { question: 'Who wrote the first program?', context: ['Ada Lovelace wrote it.'] };
const result = await program.execute(inputs);
// `outputs.answer` is a string and `outputs.confidence` a number: the signature says so.
console.log(`executed ${result.status.toUpperCase()}: ${result.outputs.answer}`);

let last = '';
for await (const event of program.stream(inputs)) {
  if (event.type !== last) console.log(`streamed ${event.type}`);
  last = event.type;
}

await explain('refused', client.executeProgram(slug, { question: 7 }));
await explain('late', program.execute(inputs, { timeoutMs: 1 }));
client.close();

async function explain(what: string, call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof SignetError)) throw error;
    console.log(`${what} ${error.reason}`);
    for (const { field } of error.fieldViolations.toSorted((a, b) => a.field.localeCompare(b.field))) {
      console.log(`  ${field}`);
    }
  }
}
