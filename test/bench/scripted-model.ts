// The language model of the bench, a process of its own: answers at once or after a delay that is set over the IPC channel, and cuts what is
// streamed into 37 chunks.
import { type Behaviour, type SeenRequest, startScriptedLm } from '../support/scripted-lm.ts';

const CHUNKS = [
  // The first chunk holds the header and a word, so the first text of a field could be shown the moment it arrives.
  '[[ ## answer ## ]]\nScripted',
  ...Array.from({ length: 35 }, (_, index) => ` word${index + 1}`),
  '\n\n[[ ## confidence ## ]]\n0.5\n\n[[ ## completed ## ]]',
];

let delayMs = 0;
let gapMs = 0;

function behave(seen: SeenRequest): Behaviour {
  return seen.body.stream === true && gapMs > 0
    ? { kind: 'chunks', chunks: CHUNKS, delayMs, gapMs }
    : { kind: 'answer', delayMs };
}

const model = await startScriptedLm({ behaviour: behave, record: false });

process.on('message', (setting: { delayMs: number; gapMs: number }) => {
  delayMs = setting.delayMs;
  gapMs = setting.gapMs;
  process.send?.({ url: model.url });
});
process.on('disconnect', () => process.exit(0));
