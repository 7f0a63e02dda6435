import { Outbox } from '@signet/kit/grpc/outbox.ts';
import type { ExecutorFrame } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';

/** Gathers the frames of one turn of the event loop into one message, or several if they are many or large. */
export class FrameOutbox extends Outbox<ExecutorFrame> {
  constructor(write: (frames: ExecutorFrame[]) => void) {
    super(write, sizeOf);
  }
}

// Near enough: only what can be large is measured.
function sizeOf({ kind }: ExecutorFrame): number {
  if (kind?.$case === 'start') return kind.value.inputsJson.length + 256;
  if (kind?.$case === 'lmReply' && kind.value.outcome?.$case === 'completion')
    return kind.value.outcome.value.text.length * 3;
  if (kind?.$case === 'toolReply') return kind.value.observationJson.length + 256;
  if (kind?.$case === 'define')
    return (kind.value.program?.demosJson ?? []).reduce((sum, demo) => sum + demo.length, 65_536);
  return 256;
}
