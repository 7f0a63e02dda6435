import { AppError, invariant } from '@signet/kit/error/app-error.ts';
import type { SettledOutcome } from '@signet/predict/parse/outcome.ts';
import { readAnswer } from '@signet/predict/parse/read-answer.ts';
import type { ParseCompletionResponse } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { CompletionReader } from '../native/completion-reader.ts';
import { nameProgram } from './program-definition.ts';
import type { SidecarPool } from './sidecar-pool.ts';

// What the sidecar takes.
const replyBytesMax = 4_194_304;

/** Reads replies by DSPy's own adapters, in the sidecar. */
export function createCompletionReader(deps: { readonly pool: SidecarPool }): CompletionReader {
  return {
    async read(program, { predictor, adapter, completion }, ctx) {
      const replyJson = Buffer.from(JSON.stringify(completion));
      if (replyJson.length > replyBytesMax) {
        const message = `A reply of more than ${replyBytesMax} bytes is not repaired`;
        throw new AppError('LM_REPLY_UNREADABLE', message, { category: 'parse' });
      }
      const request = {
        program: nameProgram(program, undefined).program,
        predictor,
        promptAdapter: adapter,
        replyJson,
      };
      // Another DSPy may read the same reply as something else.
      return settled(await deps.pool.supervisors.parse(request, ctx, program.dialect));
    },
  };
}

function settled({ outcome }: ParseCompletionResponse): SettledOutcome {
  invariant(outcome !== undefined, 'the sidecar read a reply and said nothing');
  if (outcome.$case === 'outputs') {
    const { outputsJson, marks } = outcome.value;
    const placed = marks.map(({ pathJson, kind }) => ({ pathJson: pathJson.toString('utf8'), kind }));
    return { kind: 'value', outputs: readAnswer(outputsJson.toString('utf8'), placed) };
  }
  const { pythonType, kind, fields, message } = outcome.value;
  const failed = { kind: 'error', pythonType, message } as const;
  if (kind === 'value') return { ...failed, reason: { kind, field: fields[0] ?? '' } };
  if (kind === 'missing') return { ...failed, reason: { kind, fields } };
  return { ...failed, reason: { kind: kind === 'no_object' ? kind : 'exception' } };
}
