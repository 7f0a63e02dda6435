import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import { readCorpusSignature } from './corpus-signature.ts';
import type { Case } from './file-header.ts';
import { runFlowCase } from './flow-case.ts';
import { runFormatCase } from './format-case.ts';
import { type CaseOutcome, skipped } from './outcome.ts';
import { runParseCase } from './parse-case.ts';
import { asObject, fromRecord, listAt, objectAt, textAt, UntellableError } from './record.ts';
import type { Runner } from './runner.ts';

/** The cases of the hand-made corpus, which is one document. What a plan cannot tell is skipped with the reason. */
export function corpusCases(corpus: JsonObject): Case[] {
  return (['format', 'parse', 'flow'] as const).flatMap((kind) =>
    listAt(corpus, kind).map((value) => {
      const record = asObject(value, 'a case');
      return { kind, record, run: (runner: Runner) => runOrSkip(runner, kind, record) };
    }),
  );
}

async function runOrSkip(runner: Runner, kind: 'format' | 'parse' | 'flow', record: JsonObject): Promise<CaseOutcome> {
  const id = textAt(record, 'id');
  try {
    if (kind === 'format') return await runFormat(runner, id, record);
    if (kind === 'parse') return await runParse(runner, id, record);
    return await runFlowCase(runner, id, record);
  } catch (error) {
    if (error instanceof UntellableError) return skipped(id, error.message);
    throw error;
  }
}

async function runFormat(runner: Runner, id: string, record: JsonObject): Promise<CaseOutcome> {
  const messages = new Map([...objectAt(record, 'messages')].filter(([adapter]) => adapter !== 'xml'));
  if (messages.size === 0) return skipped(id, 'only XML is expected');
  return await runFormatCase(runner, {
    id,
    signature: readCorpusSignature(record),
    demos: listAt(record, 'demos').map((demo) => asObject(fromRecord(demo), 'a demo')),
    inputs: asObject(fromRecord(objectAt(record, 'inputs')), 'inputs'),
    flags: [],
    messages,
  });
}

async function runParse(runner: Runner, id: string, record: JsonObject): Promise<CaseOutcome> {
  const results = objectAt(record, 'results');
  for (const adapter of ['chat', 'json'] as const) {
    const result = results.get(adapter);
    if (result === undefined) continue;
    const made = asObject(result, 'a result').get('ok');
    const signature = readCorpusSignature(record, made instanceof Map ? made : undefined);
    const expected = withReason(
      asObject(result, 'a result'),
      signature.spec.outputs.map(({ name }) => name),
    );
    return await runParseCase(runner, {
      id,
      signature,
      adapter,
      reply: textAt(record, 'completion'),
      result: expected,
    });
  }
  return skipped(id, 'only XML is expected');
}

// The corpus keeps messages alone; the reason stands in them.
function withReason(result: JsonObject, outputs: readonly string[]): JsonObject {
  const ok = result.get('ok');
  if (ok !== undefined) {
    // Values that the maker could not write as JSON exist as repr alone.
    fromRecord(ok);
    return result;
  }
  const message = textAt(result, 'message');
  return new Map<string, JsonValue>([
    ['error', result.get('error') ?? null],
    ['reason', reasonOf(message, outputs)],
  ]);
}

function reasonOf(message: string, outputs: readonly string[]): JsonValue {
  const field = /^Failed to parse field (.+?)(?: with value |: )/s.exec(message)?.[1];
  if (field !== undefined)
    return new Map([
      ['kind', 'value'],
      ['field', field],
    ]);
  if (message.startsWith('LM response cannot be serialized')) return new Map([['kind', 'no_object']]);
  const read = /\nActual output fields parsed from the LM response: \[(.*)\] \n\n$/.exec(message)?.[1] ?? '';
  const fields = outputs.filter((name) => !read.split(', ').includes(name));
  return new Map<string, JsonValue>([
    ['kind', 'missing'],
    ['fields', fields],
  ]);
}
