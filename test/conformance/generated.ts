import type { PromptAdapter } from '@signet/predict/plan/plan.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import { runFormatCase } from './format-case.ts';
import { type CaseOutcome, skipped } from './outcome.ts';
import { runParseCase } from './parse-case.ts';
import { asObject, fromRecord, listAt, objectAt, textAt } from './record.ts';
import type { Runner } from './runner.ts';
import { readSignature } from './signature-record.ts';

/** Runs one record of a generated file. */
export async function runGenerated(runner: Runner, record: JsonObject): Promise<CaseOutcome> {
  const id = textAt(record, 'id');
  const kind = textAt(record, 'kind');
  if (kind === 'format') {
    const flags = listAt(record, 'flags');
    if (flags.includes('py_values')) return skipped(id, 'a value is a tuple or a set, which no JSON carries');
    return await runFormatCase(runner, {
      id,
      signature: readSignature(record),
      demos: listAt(record, 'demos').map((demo) => asObject(fromRecord(demo), 'a demo')),
      inputs: asObject(fromRecord(objectAt(record, 'inputs')), 'inputs'),
      flags,
      messages: objectAt(record, 'messages'),
    });
  }
  if (kind !== 'parse') return skipped(id, `the kind \`${kind.slice(0, 40)}\` is not known`);
  return await runParseCase(runner, {
    id,
    signature: readSignature(record),
    adapter: adapterOf(textAt(record, 'adapter')),
    reply: textAt(record, 'reply'),
    result: objectAt(record, 'result'),
  });
}

function adapterOf(text: string): PromptAdapter {
  if (text === 'chat' || text === 'json') return text;
  throw new Error(`unknown adapter \`${text.slice(0, 40)}\``);
}
