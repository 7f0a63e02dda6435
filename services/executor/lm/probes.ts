import { type OutputField, Type, TypeKind } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { isObject, type JsonValue } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import type { LmEndpoint, LmProvider } from '../engine/engine.ts';
import type { LmCompletion, LmMessage } from './language-model.ts';

/** One thing to be tried with a language model. */
export type Probe = {
  readonly name: string;
  readonly messages: readonly LmMessage[];
  readonly options: Readonly<Record<string, unknown>>;
  readonly outputFields: readonly OutputField[];
  readonly constrained: LmEndpoint['constrained'];
  readonly isStream: boolean;
  /** Whose form has it at all. */
  readonly providers: readonly LmProvider[];
  /** What is wrong with a reply; empty if it shows that the endpoint can do it. */
  fault(completion: LmCompletion): string;
};

const everybody: readonly LmProvider[] = ['openai', 'anthropic', 'gemini'];
const plain = {
  messages: say('Reply with the one word: yes'),
  options: { max_tokens: 16 },
  outputFields: [],
  constrained: 'none',
  isStream: false,
  providers: everybody,
  fault: () => '',
} as const;
const answer: OutputField = { name: 'answer', text: true, type: Type.create({ kind: TypeKind.TYPE_KIND_STR }) };

// Nobody would choose these words and names unasked.
const schema = {
  type: 'object',
  properties: { held_to: { type: 'string', enum: ['signet'] } },
  required: ['held_to'],
  additionalProperties: false,
};
const tool = {
  type: 'function',
  function: {
    name: 'tell_weather',
    description: 'Tells the weather of a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

/** A plain call: without an answer to it nothing else is worth trying. */
export const plainProbe: Probe = { ...plain, name: 'plain' };

/** The other tries, in their order. */
export const probes: readonly Probe[] = [
  { ...plain, name: 'streaming', isStream: true },
  {
    ...plain,
    name: 'json_object',
    messages: say('Reply with a JSON object of one key, `ok`, whose value is true.'),
    options: { max_tokens: 64, response_format: { type: 'json_object' } },
    fault: ({ text }) => (readObject(text) === undefined ? 'the reply was no JSON object' : ''),
  },
  {
    ...plain,
    name: 'json_schema',
    messages: say('Reply with any JSON object.'),
    options: {
      max_tokens: 64,
      response_format: { type: 'json_schema', json_schema: { name: 'probe', schema, strict: true } },
    },
    fault: ({ text }) => (readObject(text)?.get('held_to') === 'signet' ? '' : 'the reply was not held to the schema'),
  },
  {
    ...plain,
    name: 'grammar',
    messages: say('Reply with the one word: yes'),
    outputFields: [answer],
    constrained: 'grammar',
    providers: ['openai'],
    fault: ({ text }) =>
      text.trimStart().startsWith('[[ ## answer ## ]]') ? '' : 'the reply was not held to the grammar',
  },
  {
    ...plain,
    name: 'tools',
    messages: say('What is the weather in Paris? Call the tool.'),
    options: { max_tokens: 64, tools: [tool] },
    fault: ({ finishReason }) => (finishReason === 'tool_calls' ? '' : 'the reply called no tool'),
  },
];

function say(content: string): readonly LmMessage[] {
  return [{ role: 'user', content }];
}

function readObject(text: string): ReadonlyMap<string, JsonValue> | undefined {
  try {
    const value = parseJson(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
