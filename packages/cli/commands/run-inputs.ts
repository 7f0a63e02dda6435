import { type JsonObject, type JsonValue, parseJson } from '@signet/client/json.ts';
import { readObject, readText, splitPair } from '../read-value.ts';
import type { Session } from '../session.ts';

const TEXT_TYPE = /^(?:str|string)\b|^Literal\[|^enum\[/;

/**
 * Gathers the inputs of a run: objects (`{…}`, `@file.json`, `-`) and pairs. `KEY=VALUE` is read as the program's signature types the
 * field, `KEY:=JSON` as JSON, `KEY=@file` as the text of a file. Later ones win.
 */
export async function readInputs(session: Session, program: string, given: readonly string[]): Promise<JsonObject> {
  const inputs: Record<string, JsonValue> = {};
  const untyped = new Map<string, string>();
  for (const one of given) {
    if (/^[{@-]/.test(one)) {
      Object.assign(inputs, await readObject(session.terminal, one, 'the input'));
      continue;
    }
    const [key, value] = splitPair(one, '--input');
    if (key.endsWith(':')) {
      inputs[key.slice(0, -1)] = parsed(value) ?? value;
      continue;
    }
    inputs[key] = value.startsWith('@') ? await readText(session.terminal, value) : value;
    // What can only be text needs no look at the signature.
    if (parsed(value) !== undefined) untyped.set(key, value);
  }
  if (untyped.size === 0) return inputs;
  const types = await fieldTypes(session, program);
  for (const [key, value] of untyped) {
    if (!TEXT_TYPE.test(types.get(key) ?? '')) inputs[key] = parsed(value) ?? value;
  }
  return inputs;
}

async function fieldTypes({ client, call }: Session, program: string): Promise<Map<string, string>> {
  const { servingVersion, latestVersion } = await client.services.programs.getProgram({ program }, call);
  const version = servingVersion || latestVersion;
  const { signature } = await client.services.programs.getProgramVersion({ program, version }, call);
  return new Map((signature?.inputs ?? []).map(({ name, type }) => [name, type]));
}

function parsed(text: string): JsonValue | undefined {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}
