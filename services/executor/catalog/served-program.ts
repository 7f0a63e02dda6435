import { createHash } from 'node:crypto';
import { invariant } from '@signet/kit/error/app-error.ts';
import { loadPipeline } from '@signet/pipeline/load-pipeline.ts';
import type { Pipeline } from '@signet/pipeline/pipeline.ts';
import { type Payload, AdapterType as WireAdapterType } from '@signet/proto/gen/signet/v1/common.ts';
import { type LmOptions, PreparationState, ProgramStatus } from '@signet/proto/gen/signet/v1/program.ts';
import { isObject, JsonNumber, type JsonObject, type JsonValue, jsonFromPlain } from '@signet/signature/json.ts';
import { parseSpec } from '@signet/signature/parser.ts';
import { type Field, type MlTypeName, mlTypeNames, type SignatureSpec } from '@signet/signature/types.ts';
import { type Checker, compileChecker } from '@signet/signature/value.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { AdapterType } from '../engine/choose-engine.ts';
import type { EngineProgram } from '../engine/engine.ts';
import { compileServing, type ServingPlan } from '../serving/serving-plan.ts';
import { fromServingPolicy } from '../serving/wire.ts';
import { type ModuleSettings, moduleSettingsOf } from './known-module.ts';
import type { ResolvedProgram } from './registry.grpc.ts';

/** Where a program stands, in the short words that messages use. */
export type ProgramState = 'draft' | 'initializing' | 'ready' | 'optimizing' | 'error' | 'archived';

/** A program and one version of it, compiled: all that a call needs and nothing that has to be made anew for each. */
export type ServedProgram = {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly state: ProgramState;
  readonly errorMessage: string;
  readonly adapterType: AdapterType;
  readonly version: number;
  readonly servingVersion: number;
  readonly isDeleted: boolean;
  readonly isPrepared: boolean;
  readonly dspyProgramId: string;
  /** The slug of the language model that it asks; empty means the default one. */
  readonly lm: string;
  readonly engineProgram: EngineProgram;
  /** The registered module behind it; undefined if there is none. */
  readonly moduleSettings: ModuleSettings | undefined;
  /** What it is composed of; absent for a program that runs a signature. */
  readonly pipeline?: Pipeline;
  /** Who gets which version; undefined if the serving one gets all. */
  readonly serving: ServingPlan | undefined;
  readonly checkInputs: Checker;
  readonly checkOutputs: Checker;
};

/** Compiles what the registry tells of a program. */
export function compileProgram(resolved: ResolvedProgram): ServedProgram {
  invariant(resolved.signature !== undefined, `the program ${resolved.programId} came without its signature`);
  const engineProgram = engineProgramOf(resolved);
  const { signature } = engineProgram;
  const pipeline =
    resolved.pipelineJson.length === 0 ? undefined : loadPipeline(resolved.pipelineJson.toString('utf8'));
  const outputs = pipeline === undefined ? outputFields(signature, engineProgram.module) : resultFields(pipeline);
  return {
    id: resolved.programId,
    slug: resolved.slug,
    name: resolved.name,
    state: stateOf(resolved.status),
    errorMessage: resolved.errorMessage,
    adapterType: adapterTypeOf(resolved.adapterType),
    version: resolved.version,
    servingVersion: resolved.servingVersion,
    isDeleted: resolved.deleted,
    isPrepared: resolved.preparation?.state === PreparationState.PREPARATION_STATE_READY,
    dspyProgramId: resolved.preparation?.dspyProgramId ?? '',
    lm: resolved.configuration?.lm ?? '',
    engineProgram,
    moduleSettings: resolved.moduleSettings && moduleSettingsOf(resolved.moduleSettings),
    serving: compileServing(fromServingPolicy(resolved.servingPolicy)),
    checkInputs: compileChecker(signature.inputs, { strictMode: resolved.signature.strictMode, root: 'inputs' }),
    checkOutputs: outputs,
    ...(pipeline === undefined ? {} : { pipeline }),
  };
}

const checkersMax = 64;

// A step that was left out, or whose compensation stands for it, may give less: what is there has to fit.
function resultFields({ outputs }: Pipeline): Checker {
  const checkers = new Map<string, Checker>();
  return (value) => {
    if (!isObject(value)) {
      const violation = { field: 'outputs', reason: 'TYPE_MISMATCH' as const, description: 'must be an object' };
      return { ok: false, violations: [violation] };
    }
    const given = outputs.filter(({ name }) => value.has(name) && value.get(name) !== null);
    if (given.length === 0) return { ok: true, values: value };
    const key = given.map(({ name }) => name).join(' ');
    let check = checkers.get(key);
    if (check === undefined) {
      check = compileChecker(given, { root: 'outputs' });
      if (checkers.size >= checkersMax) checkers.clear();
      checkers.set(key, check);
    }
    const declared = new Map(given.map(({ name }) => [name, value.get(name)!]));
    const result = check(declared);
    return result.ok ? { ok: true, values: new Map([...value, ...result.values]) } : result;
  };
}

// What modules tell beside the outputs that the signature declares.
const told: Readonly<Record<string, string>> = {
  chain_of_thought: 'reasoning',
  react: 'reasoning',
  multi_chain_comparison: 'rationale',
};

function outputFields({ outputs }: SignatureSpec, module: string): Checker {
  const plain = compileChecker(outputs, { root: 'outputs' });
  const extra = told[module];
  if (extra === undefined || outputs.some(({ name }) => name === extra)) return plain;
  const field: Field = { name: extra, type: { kind: 'str' }, constraints: [] };
  const withExtra = compileChecker([field, ...outputs], { root: 'outputs' });
  return (value) => (isObject(value) && value.has(extra) ? withExtra(value) : plain(value));
}

function engineProgramOf(resolved: ResolvedProgram): EngineProgram {
  const { signature, configuration } = resolved;
  const mlTypes = mlTypeNames.filter((name) => signature!.mlTypes.includes(name)) as MlTypeName[];
  const spec = parseSpec(signature!.spec, { mlTypes });
  const metadata = configuration?.metadata === undefined ? undefined : objectOf(jsonFromPlain(configuration.metadata));
  const config = configuration?.moduleConfig;
  const moduleConfig = config === undefined ? undefined : objectOf(jsonFromPlain(config));
  const parts = {
    module: resolved.pipelineJson.length > 0 ? 'pipeline' : configuration?.module || 'predict',
    promptAdapter: configuration?.promptAdapter === 'json' ? ('json' as const) : ('chat' as const),
    instructions: configuration?.instructions || signature!.description,
    demosJson: (configuration?.demos ?? []).map(payloadText),
    lmOptions: lmOptionsOf(configuration?.lmOptions),
  };
  const content: unknown[] = [signature!.spec, mlTypes, { ...parts, lmOptions: writeJson(parts.lmOptions) }];
  if (metadata !== undefined) content.push(writeJson(metadata));
  if (moduleConfig !== undefined) content.push({ moduleConfig: writeJson(moduleConfig) });
  const stateJson = resolved.dspyState.toString('utf8');
  if (stateJson !== '') content.push({ stateJson });
  return {
    programId: resolved.programId,
    slug: resolved.slug,
    version: resolved.version,
    ref: createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 32),
    signature: spec,
    ...planOf(resolved),
    ...parts,
    ...(moduleConfig === undefined ? {} : { moduleConfig }),
    ...(stateJson === '' ? {} : { stateJson }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}

function planOf({ preparation }: ResolvedProgram): Pick<EngineProgram, 'planJson' | 'nativeFault' | 'dialect'> {
  const plan = preparation?.promptPlan?.kind;
  return {
    planJson: plan?.$case === 'json' ? plan.value.toString('utf8') : '',
    nativeFault: preparation?.nativeFault ?? '',
    ...(Object.keys(preparation?.dialect ?? {}).length === 0 ? {} : { dialect: preparation!.dialect }),
  };
}

function payloadText(payload: Payload): string {
  if (payload.kind?.$case === 'json') return payload.kind.value.toString('utf8');
  return JSON.stringify(payload.kind?.value ?? {});
}

function objectOf(value: JsonValue): JsonObject | undefined {
  return isObject(value) && value.size > 0 ? value : undefined;
}

/** The options of an LM call by the names of OpenAI and DSPy; what is not set is not there. */
export function lmOptionsOf(options: LmOptions | undefined): JsonObject {
  const named = new Map<string, JsonValue>();
  if (options === undefined) return named;
  const put = (name: string, value: number | bigint | undefined): void => {
    if (value !== undefined) named.set(name, new JsonNumber(String(value)));
  };
  put('temperature', options.temperature);
  put('max_tokens', options.maxTokens);
  put('top_p', options.topP);
  if (options.stop.length > 0) named.set('stop', options.stop);
  put('seed', options.seed);
  put('presence_penalty', options.presencePenalty);
  put('frequency_penalty', options.frequencyPenalty);
  return named;
}

const states: Readonly<Record<number, ProgramState>> = {
  [ProgramStatus.PROGRAM_STATUS_DRAFT]: 'draft',
  [ProgramStatus.PROGRAM_STATUS_INITIALIZING]: 'initializing',
  [ProgramStatus.PROGRAM_STATUS_READY]: 'ready',
  [ProgramStatus.PROGRAM_STATUS_OPTIMIZING]: 'optimizing',
  [ProgramStatus.PROGRAM_STATUS_ERROR]: 'error',
  [ProgramStatus.PROGRAM_STATUS_ARCHIVED]: 'archived',
};

function stateOf(status: ProgramStatus): ProgramState {
  return states[status] ?? 'draft';
}

function adapterTypeOf(type: WireAdapterType): AdapterType {
  if (type === WireAdapterType.ADAPTER_TYPE_MOCK) return 'mock';
  return type === WireAdapterType.ADAPTER_TYPE_NATIVE ? 'native' : 'python_port';
}
