import { isArray, isObject, JsonNumber, type JsonObject, type JsonValue } from '@signet/signature/json.ts';

/** A tool that an agent may use: an HTTP endpoint with the JSON schema of each argument. */
export type Tool = {
  readonly name: string;
  readonly description: string;
  readonly args: JsonObject;
  readonly url: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** How long one call may take, in milliseconds. */
  readonly timeoutMs: number;
};

const timeoutDefaultMs = 30_000;
const timeoutMaxMs = 600_000;
const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
const none: ReadonlyMap<string, Tool> = new Map();
const known = new WeakMap<JsonObject, ReadonlyMap<string, Tool>>();

/** The tools of a module's settings by name; entries that are none are left out, since the registry has checked them. */
export function toolsOf(config: JsonObject | undefined): ReadonlyMap<string, Tool> {
  const given = config?.get('tools');
  if (config === undefined || given === undefined || !isArray(given)) return none;
  let tools = known.get(config);
  if (tools === undefined) {
    tools = new Map(given.flatMap(readTool).map((tool) => [tool.name, tool]));
    known.set(config, tools);
  }
  return tools;
}

function readTool(value: JsonValue): Tool[] {
  if (!isObject(value)) return [];
  const text = (name: string): string => {
    const found = value.get(name);
    return typeof found === 'string' ? found : '';
  };
  const args = value.get('args');
  const timeout = value.get('timeout_ms');
  const timeoutMs = timeout instanceof JsonNumber ? timeout.toNumber() : timeoutDefaultMs;
  const tool: Tool = {
    name: text('name'),
    description: text('description'),
    args: args !== undefined && isObject(args) ? args : new Map(),
    url: text('url'),
    method: methods.find((method) => method === text('method').toUpperCase()) ?? 'POST',
    timeoutMs: Math.min(Math.max(timeoutMs, 1), timeoutMaxMs),
  };
  return tool.name === '' ? [] : [tool];
}

/** Why arguments do not fit a tool, in the words that the model is shown; undefined if they do. */
export function argsFault(tool: Tool, args: JsonObject): string | undefined {
  for (const [name, value] of args) {
    const schema = tool.args.get(name);
    if (schema === undefined || !isObject(schema)) return `Arg ${name} is not in the tool's args.`;
    const type = schema.get('type');
    if (typeof type === 'string' && !isOfType(value, type))
      return `Arg ${name} is invalid: it must be of type ${type}.`;
    const choices = schema.get('enum');
    if (choices !== undefined && isArray(choices) && !choices.some((choice) => isSame(choice, value))) {
      return `Arg ${name} is invalid: it must be one of those that the tool lists.`;
    }
  }
  for (const [name, schema] of tool.args) {
    if (!args.has(name) && isObject(schema) && !schema.has('default')) return `Arg ${name} is missing.`;
  }
  return undefined;
}

function isOfType(value: JsonValue, type: string): boolean {
  if (type === 'string') return typeof value === 'string';
  if (type === 'boolean') return typeof value === 'boolean';
  if (type === 'null') return value === null;
  if (type === 'integer') return value instanceof JsonNumber && Number.isInteger(value.toNumber());
  if (type === 'number') return value instanceof JsonNumber;
  if (type === 'array') return isArray(value);
  return type === 'object' ? isObject(value) : true;
}

function isSame(a: JsonValue, b: JsonValue): boolean {
  if (a instanceof JsonNumber && b instanceof JsonNumber) return a.toNumber() === b.toNumber();
  return a === b;
}
