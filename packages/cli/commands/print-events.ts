import type { ExecutionEvent } from '@signet/client/execution.ts';
import type { JsonObject } from '@signet/client/json.ts';
import type { Printer } from '../output/printer.ts';
import { clean } from '../output/table.ts';

/** Prints the events of one execution as they come: states on a line of their own, text as it is written, the outputs at the end. Throws the error that ended it. */
export async function printEvents(printer: Printer, events: AsyncIterable<ExecutionEvent>): Promise<void> {
  const text = new OpenText(printer);
  for await (const event of events) {
    if (printer.isJson) {
      if (event.type !== 'error') printer.jsonLine(event as unknown as JsonObject);
    } else if (event.type === 'token') {
      text.write(event.predictor, event.field, event.text);
    } else {
      text.close();
      printEvent(printer, event, text.fields);
    }
    if (event.type === 'error') throw event.error;
  }
}

/** Prints how a run ended: its outputs, and in a remark what it took; with `--json` all of it as one document. */
export function printResult(printer: Printer, result: object): void {
  const { outputs, ...rest } = result as { outputs?: JsonObject } & JsonObject;
  if (printer.isJson) {
    printer.json(result as JsonObject);
    return;
  }
  printer.document(outputs ?? {});
  const { executionId = '', engine = '', durationMs = 0 } = rest;
  printer.note(`execution ${executionId}, engine ${engine}, ${durationMs} ms`);
}

function printEvent(printer: Printer, event: ExecutionEvent, streamed: ReadonlySet<string>): void {
  if (event.type === 'state') printer.note(event.status);
  if (event.type === 'step') printer.note(`step ${clean(event.step)} ${clean(event.status)}`);
  if (event.type !== 'result') return;
  // What stands there already is not said again.
  const unseen = Object.entries(event.result.outputs).filter(([name]) => !streamed.has(name));
  printResult(printer, { ...event.result, outputs: Object.fromEntries(unseen) });
}

/** Text that is being written, field after field. */
class OpenText {
  readonly fields = new Set<string>();
  private readonly printer: Printer;
  private open = '';

  constructor(printer: Printer) {
    this.printer = printer;
  }

  write(predictor: string, field: string, text: string): void {
    const key = `${predictor} ${field}`;
    if (this.open !== key) {
      this.close();
      this.printer.text(`${this.printer.paint('dim', field)}  `);
      this.open = key;
      this.fields.add(field);
    }
    this.printer.text(clean(text));
  }

  close(): void {
    if (this.open !== '') this.printer.text('\n');
    this.open = '';
  }
}
