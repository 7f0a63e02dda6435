export { AdapterType, Engine } from '@signet/proto/gen/signet/v1/common.ts';
export { type Program, ProgramStatus } from '@signet/proto/gen/signet/v1/program.ts';
export { type Signature, SignatureStatus } from '@signet/proto/gen/signet/v1/signature.ts';
export type { BatchExecuteOptions, BatchResult } from './batch-execute.ts';
export type { Batches, BatchOptions, BatchRows, ResultFormat } from './batches.ts';
export { type CallDefaults, type CallOptions, Channel } from './channel.grpc.ts';
export { type Connection, connectionFromEnvironment, type TlsOptions } from './connection.ts';
export type {
  EngineName,
  Execution,
  ExecutionEvent,
  ExecutionResult,
  ExecutionStatus,
  RunOptions,
} from './execution.ts';
export { type JsonObject, type JsonValue, parseJson, writeJson } from './json.ts';
export { fromPayload, toPayload } from './payload.ts';
export type { ProgramHandle } from './program-handle.ts';
export type { ExecuteOptions, NewPipeline, NewProgram, Programs } from './programs.ts';
export type { Services, Stub } from './services.ts';
export { signature, type TypedSignature } from './signature.ts';
export { type ClientOptions, SignetClient } from './signet-client.ts';
export { type FieldViolation, SignetError } from './signet-error.ts';
export type { InputsOf, OutputsOf } from './spec-types.ts';
