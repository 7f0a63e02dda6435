import { randomBytes } from 'node:crypto';
import type { HttpAnswer, JsonObject } from './http.ts';
import type { Stack } from './stack.ts';

/** The signature of the first minute. */
export const QA_SPEC = 'question: str, context: list[str] -> answer: str, confidence: float';

/** A name that no other test uses. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${randomBytes(5).toString('hex')}`;
}

/** Creates a program (of adapter type mock unless said) and throws with the answer's text if it was refused. */
export async function createProgram(stack: Pick<Stack, 'http'>, fields: JsonObject = {}): Promise<JsonObject> {
  const signature = 'signature' in fields || 'signatureModule' in fields ? {} : { signatureSpec: QA_SPEC };
  const body = { name: uniqueName('program'), adapterType: 'mock', ...signature, ...fields };
  return demand(await stack.http.post('/v1/programs', body), 201);
}

/** Creates a program and initializes it; it is READY. */
export async function readyProgram(stack: Pick<Stack, 'http'>, fields: JsonObject = {}): Promise<JsonObject> {
  const { slug } = await createProgram(stack, fields);
  const program = demand(await stack.http.post(`/v1/programs/${slug}:initialize`), 200);
  if (program.status !== 'PROGRAM_STATUS_READY') throw new Error(`not ready: ${JSON.stringify(program)}`);
  return program;
}

/** Inputs that fit QA_SPEC. */
export const QA_INPUTS = { question: 'Who wrote the first program?', context: ['Ada Lovelace wrote it.'] } as const;

/** The body of an answer that must have a status; throws with its text otherwise. */
export function demand(answer: HttpAnswer, status: number): JsonObject {
  if (answer.status !== status) throw new Error(`${answer.status} instead of ${status}: ${answer.text}`);
  return answer.body;
}
