import type { JsonObject, JsonValue } from '@signet/signature/json.ts';

/** How a flow went: the calls of the model and what came of them. */
export type Played = {
  readonly calls: readonly JsonValue[];
  readonly outcome: JsonValue;
  /** True if the calls were seen as they leave for a model, where numbers have lost their form. */
  readonly byWire?: boolean;
};

type Call = {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly options: JsonObject;
};

/** A call of the model as the corpus writes it. */
export function shownCall({ messages, options }: Call): JsonValue {
  const kwargs = [...options].map(
    ([name, value]) => [name, name === 'response_format' ? asClass(value) : value] as const,
  );
  const shown = messages.map(
    ({ role, content }) =>
      new Map([
        ['role', role],
        ['content', content],
      ]),
  );
  return new Map<string, JsonValue>([
    ['messages', shown],
    ['kwargs', new Map(kwargs)],
  ]);
}

// The corpus shows the class that DSPy hands to its LM; what leaves for the endpoint is its schema in OpenAI's envelope.
function asClass(format: JsonValue): JsonValue {
  const made = format instanceof Map ? format.get('json_schema') : undefined;
  if (!(made instanceof Map)) return format;
  return new Map([
    ['json_schema_class', made.get('name') ?? null],
    ['schema', made.get('schema') ?? null],
  ]);
}
