import type { BatchItem } from './batch-items.ts';

const pieceCharacters = 65_536;

/** Writes items as NDJSON; inputs and outputs keep every digit. */
export async function* jsonResults(items: AsyncIterable<BatchItem>): AsyncGenerator<Uint8Array, void> {
  let text = '';
  for await (const item of items) {
    text += lineOf(item);
    if (text.length < pieceCharacters) continue;
    yield Buffer.from(text);
    text = '';
  }
  if (text !== '') yield Buffer.from(text);
}

function lineOf({
  index,
  executionId,
  exampleId,
  status,
  inputsJson,
  outputsJson,
  fault,
  durationMs,
}: BatchItem): string {
  const example = exampleId === '' ? '' : `,"exampleId":"${exampleId}"`;
  const inputs = inputsJson === undefined ? '' : `,"inputs":${oneLine(inputsJson)}`;
  const outputs = outputsJson === undefined ? '' : `,"outputs":${oneLine(outputsJson)}`;
  const error =
    fault === undefined ? '' : `,"error":${JSON.stringify({ reason: fault.reason, message: fault.message })}`;
  const head = `{"index":${index},"executionId":"${executionId}","status":"${status}"`;
  return `${head}${example}${inputs}${outputs}${error},"durationMs":${durationMs}}\n`;
}

// A raw line break in JSON can only be white space.
function oneLine(json: string): string {
  return /[\r\n]/.test(json) ? json.replace(/[\r\n]+/g, ' ') : json;
}
