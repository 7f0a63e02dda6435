import type { ProgramStatistics } from '@signet/proto/gen/signet/v1/execution_service.ts';
import type { Program } from '@signet/proto/gen/signet/v1/program.ts';
import { type Signature, SignatureStatus } from '@signet/proto/gen/signet/v1/signature.ts';
import { Batches } from './batches.ts';
import { type CallDefaults, type CallOptions, Channel } from './channel.grpc.ts';
import { type Connection, connectionFromEnvironment } from './connection.ts';
import type { ExecutionResult } from './execution.ts';
import { Executions } from './executions.ts';
import type { JsonObject } from './json.ts';
import { toPayload } from './payload.ts';
import { ProgramHandle } from './program-handle.ts';
import { type ExecuteOptions, type NewProgram, Programs, runFields } from './programs.ts';
import { createServices, type Services } from './services.ts';
import type { TypedSignature } from './signature.ts';
import type { InputsOf, OutputsOf } from './spec-types.ts';
import { fromResult } from './wire.ts';

const PAGE_SIZE = 1_000;

/** What a client is told. */
export type ClientOptions = Connection & CallDefaults;

/** A Signet service from TypeScript. Every verb throws SignetError. */
export class SignetClient {
  /** The connection, for methods that this client does not know by name. */
  readonly channel: Channel;
  /** Every method of every public service, in the contract's own messages. */
  readonly services: Services;
  /** Programs by id or slug. */
  readonly programs: Programs;
  /** Executions by id. */
  readonly executions: Executions;
  /** Batches by id. */
  readonly batches: Batches;

  /** Connects when it is first used. Throws TypeError for an address or a key that cannot be one. */
  constructor(options: ClientOptions) {
    this.channel = new Channel(options, options);
    this.services = createServices(this.channel);
    this.programs = new Programs(this.services);
    this.executions = new Executions(this.services);
    this.batches = new Batches(this.services);
  }

  /** A client by what an environment says, such as that of the process, and by what else is given. */
  static fromEnvironment(
    env: Readonly<Record<string, string | undefined>>,
    options: Partial<ClientOptions> = {},
  ): SignetClient {
    return new SignetClient({ ...connectionFromEnvironment(env), ...options });
  }

  /** One program, whose inputs and outputs are typed by a signature. */
  program<Spec extends string>(
    signature: TypedSignature<Spec>,
    program: string,
  ): ProgramHandle<InputsOf<Spec>, OutputsOf<Spec>>;
  /** One program, of which TypeScript knows nothing. */
  program(program: string): ProgramHandle;
  program(first: TypedSignature | string, second?: string): ProgramHandle {
    return new ProgramHandle(this.programs, second ?? (first as string));
  }

  /** Registers a signature, DRAFT, out of a registered signature module such as a Python class. */
  createSignatureFromModule(
    signatureModule: string,
    fields: { readonly name?: string; readonly description?: string; readonly version?: string } = {},
    options?: CallOptions,
  ): Promise<Signature> {
    return this.services.signatures.createSignatureFromModule({ signatureModule, ...fields }, options);
  }

  /** Moves a signature, by id or module, from DRAFT to ACTIVE. */
  activateSignature(signature: string, options?: CallOptions): Promise<Signature> {
    return this.services.signatures.activateSignature({ signature }, options);
  }

  /** All ACTIVE signatures, newest first. */
  async listActiveSignatures(options?: CallOptions): Promise<Signature[]> {
    const found: Signature[] = [];
    let pageToken = '';
    do {
      const request = { status: SignatureStatus.SIGNATURE_STATUS_ACTIVE, pageSize: PAGE_SIZE, pageToken };
      const page = await this.services.signatures.listSignatures(request, options);
      found.push(...page.signatures);
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    return found;
  }

  /** Makes a program; it is DRAFT. */
  createProgram(program: NewProgram, options?: CallOptions): Promise<Program> {
    return this.programs.create(program, options);
  }

  /** Prepares a DRAFT program. It comes back READY, or in ERROR with an `errorMessage`. */
  initializeProgram(program: string, options?: CallOptions): Promise<Program> {
    return this.programs.initialize(program, options);
  }

  /** Runs a program once and waits for its outputs. */
  executeProgram(program: string, inputs: JsonObject, options?: ExecuteOptions): Promise<ExecutionResult> {
    return this.programs.execute(program, inputs, options);
  }

  /** Runs a signature (its text, a typed one, or a registered module) once without making a program first. The engine is mock unless said. */
  async quickExecute<Spec extends string>(
    signature: Spec | TypedSignature<Spec> | { readonly signatureModule: string },
    inputs: InputsOf<Spec>,
    options: ExecuteOptions = {},
  ): Promise<ExecutionResult<OutputsOf<Spec>>> {
    const { executionOptions, requestId = '' } = runFields(options);
    const request = { ...namedBy(signature), inputs: toPayload(inputs), executionOptions, requestId };
    return fromResult(await this.services.runtime.quickExecute(request, options));
  }

  /** All executions of a program in figures, read afresh. */
  getProgramStatistics(program: string, options?: CallOptions): Promise<ProgramStatistics> {
    return this.services.executions.getProgramStatistics({ program }, options);
  }

  /** Closes the connection; calls under way end as they would. */
  close(): void {
    this.channel.close();
  }
}

function namedBy(
  signature: string | { readonly spec: string } | { readonly signatureModule: string },
): { signatureSpec: string } | { signatureModule: string } {
  if (typeof signature === 'string') return { signatureSpec: signature };
  return 'spec' in signature ? { signatureSpec: signature.spec } : { signatureModule: signature.signatureModule };
}
