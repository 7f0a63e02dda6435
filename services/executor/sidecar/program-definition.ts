import {
  type Field,
  type ProgramDefinition,
  type Type,
  TypeKind,
} from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
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
  const key = `${lm?.constrained ?? 'none'} ${model}`;
  let byLm = named.get(program);
  if (byLm === undefined) {
    byLm = new Map();
    named.set(program, byLm);
  }
  const known = byLm.get(key);
  if (known !== undefined) return known;
  const made = { ref: `${program.ref} ${key}`, program: writeProgram(program, model, lm?.constrained ?? 'none') };
  byLm.set(key, made);
  return made;
}

function writeProgram(
  program: EngineProgram,
  model: string,
  constrained: LmEndpoint['constrained'],
): ProgramDefinition {
  // Whoever is led by a grammar takes schemas too; of others nothing is known, and plain text always works.
  const structured = constrained !== 'none';
  return {
    signature: { instructions: program.instructions, fields: lowerSpec(program.signature).map(writeField) },
    module: program.module,
    promptAdapter: program.promptAdapter,
    demosJson: program.demosJson.map((demo) => Buffer.from(demo)),
    lmOptionsJson: Buffer.from(writeJson(program.lmOptions)),
    lm: { model, jsonSchema: structured, jsonObject: structured, tools: false },
  };
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
