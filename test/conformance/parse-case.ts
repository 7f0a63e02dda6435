import type { SettledOutcome } from '@signet/predict/parse/outcome.ts';
import { parseReply } from '@signet/predict/parse/parse-reply.ts';
import { readAnswer } from '@signet/predict/parse/read-answer.ts';
import type { PromptAdapter } from '@signet/predict/plan/plan.ts';
import type { ParseCompletionResponse, ProgramDefinition } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import { canonicalText, encode } from './encode.ts';
import { type CaseOutcome, type Difference, differ } from './outcome.ts';
import { defineProgram, makePlan, onlyPredictor } from './program.ts';
import type { Runner } from './runner.ts';
import type { RecordedSignature } from './signature-record.ts';

/** What a parse case asks: what one reply is read as. */
export type ParseCase = {
  readonly id: string;
  readonly signature: RecordedSignature;
  readonly adapter: PromptAdapter;
  readonly reply: string;
  /** `{ok}` or `{error, reason}`. */
  readonly result: JsonObject;
};

/** Reads the reply and compares values with their types, or class and reason. */
export async function runParseCase(runner: Runner, given: ParseCase): Promise<CaseOutcome> {
  const program = defineProgram(given.signature, [], given.adapter);
  const { via, outcome, reason } = await read(runner, program, given);
  const got = report(outcome);
  const difference = compare(given.result, got);
  return { id: given.id, via, got, ...(reason && { reason }), ...(difference && { difference }) };
}

type Read = { readonly via: CaseOutcome['via']; readonly outcome: SettledOutcome; readonly reason?: string };

async function read(runner: Runner, program: ProgramDefinition, { adapter, reply }: ParseCase): Promise<Read> {
  const ask = async (): Promise<SettledOutcome> =>
    settled(await runner.sidecar.parse(program, 'predict', adapter, reply));
  if (runner.via === 'sidecar') return { via: 'sidecar', outcome: await ask() };
  const predictor = onlyPredictor(await makePlan(runner.sidecar, program));
  const outcome = runner.clock(() => parseReply(predictor, adapter, reply));
  if (outcome.kind !== 'doubtful') return { via: 'native', outcome };
  return { via: 'routed', outcome: await ask(), reason: outcome.why };
}

/** What a ParseCompletion answer says. */
export function settled({ outcome }: ParseCompletionResponse): SettledOutcome {
  if (outcome?.$case === 'outputs') {
    const outputs = outcome.value;
    const marks = outputs.marks.map(({ pathJson, kind }) => ({ pathJson: pathJson.toString('utf8'), kind }));
    return { kind: 'value', outputs: readAnswer(outputs.outputsJson.toString('utf8'), marks) };
  }
  if (outcome === undefined) throw new Error('the sidecar gave no outcome');
  const { pythonType, kind, fields, message } = outcome.value;
  if (kind === 'value') return { kind: 'error', pythonType, reason: { kind, field: fields[0] ?? '' }, message };
  if (kind === 'missing') return { kind: 'error', pythonType, reason: { kind, fields }, message };
  return { kind: 'error', pythonType, reason: { kind: kind === 'no_object' ? kind : 'exception' }, message };
}

function report(outcome: SettledOutcome): JsonValue {
  if (outcome.kind === 'value') return new Map([['ok', encode(outcome.outputs)]]);
  const { reason, pythonType } = outcome;
  const said = new Map<string, JsonValue>([['kind', reason.kind]]);
  if (reason.kind === 'value') said.set('field', reason.field);
  if (reason.kind === 'missing') said.set('fields', reason.fields);
  return new Map<string, JsonValue>([
    ['error', pythonType],
    ['reason', said],
  ]);
}

function compare(want: JsonObject, got: JsonValue): Difference | undefined {
  const wanted = want.has('ok')
    ? new Map([['ok', want.get('ok') ?? null]])
    : new Map([
        ['error', want.get('error') ?? null],
        ['reason', want.get('reason') ?? null],
      ]);
  return differ('result', canonicalText(wanted), canonicalText(got));
}
