import {
  type Field,
  type LmCapabilities,
  type ProgramDefinition,
  type Type,
  TypeKind,
} from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { isArray, isObject, type JsonObject } from '@signet/signature/json.ts';
import { type LoweredField, type LoweredType, lowerSpec } from '@signet/signature/lower.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { EngineProgram, LmEndpoint } from '../engine/engine.ts';
import type { NamedProgram } from './sidecar-run.ts';

const named = new WeakMap<EngineProgram, Map<string, NamedProgram>>();

/**
 * Writes a program for the sidecar and names it. What DSPy asks for depends on what the endpoint can do, so one program
 * behind two kinds of endpoint has two names. Without an endpoint it is written for one that can do nothing special.
 */
export function nameProgram(program: EngineProgram, lm: LmEndpoint | undefined): NamedProgram {
  const model = lm?.model ?? 'openai/unknown';
  const { jsonSchema = false, jsonObject = false } = lm?.capabilities ?? {};
  const key = `${jsonSchema ? 'schema' : ''}+${jsonObject ? 'object' : ''} ${model}`;
  let byLm = named.get(program);
  if (byLm === undefined) {
    byLm = new Map();
    named.set(program, byLm);
  }
  const known = byLm.get(key);
  if (known !== undefined) return known;
  const made = {
    ref: `${program.ref} ${key}`,
    program: writeProgram(program, { model, jsonSchema, jsonObject, tools: false }),
  };
  byLm.set(key, made);
  return made;
}

// Replies carry text alone, so DSPy is told of no model that it calls tools.
function writeProgram(program: EngineProgram, lm: LmCapabilities): ProgramDefinition {
  return {
    signature: { instructions: program.instructions, fields: lowerSpec(program.signature).map(writeField) },
    module: program.module,
    promptAdapter: program.promptAdapter,
    demosJson: program.demosJson.map((demo) => Buffer.from(demo)),
    stateJson: Buffer.from(program.stateJson ?? ''),
    lmOptionsJson: Buffer.from(writeJson(program.lmOptions)),
    moduleConfigJson: writeConfig(program.moduleConfig),
    lm,
  };
}

// Where a tool is and how it is called stays with us: Python shows it to the model and no more.
const toolKeys = ['name', 'description', 'args'];

function writeConfig(config: JsonObject | undefined): Buffer {
  if (config === undefined) return Buffer.alloc(0);
  const tools = config.get('tools');
  if (tools === undefined || !isArray(tools)) return Buffer.from(writeJson(config));
  const shown = tools.map((tool) =>
    isObject(tool) ? new Map([...tool].filter(([key]) => toolKeys.includes(key))) : tool,
  );
  return Buffer.from(writeJson(new Map([...config, ['tools', shown]])));
}

function writeField(field: LoweredField): Field {
  return {
    name: field.name,
    output: field.output,
    type: writeType(field.type),
    description: field.description,
    constraints: field.constraints.map(({ name, value }) => ({ name, value })),
    defaultJson: Buffer.from(field.defaultJson),
  };
}

function writeType(type: LoweredType): Type {
  return {
    kind: TypeKind[`TYPE_KIND_${type.kind}`],
    args: type.args.map(writeType),
    valuesJson: type.valuesJson.map((value) => Buffer.from(value)),
  };
}
