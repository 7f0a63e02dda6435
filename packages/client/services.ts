import type { MethodDefinition } from '@grpc/grpc-js';
import { ApiKeyServiceService } from '@signet/proto/gen/signet/v1/api_key_service.ts';
import { AuditServiceService } from '@signet/proto/gen/signet/v1/audit_service.ts';
import { BatchServiceService } from '@signet/proto/gen/signet/v1/batch_service.ts';
import { DatasetServiceService } from '@signet/proto/gen/signet/v1/dataset_service.ts';
import { EvaluationServiceService } from '@signet/proto/gen/signet/v1/evaluation_service.ts';
import { ExecutionServiceService } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { LanguageModelServiceService } from '@signet/proto/gen/signet/v1/language_model_service.ts';
import { ModuleServiceService } from '@signet/proto/gen/signet/v1/module_service.ts';
import { OptimizationServiceService } from '@signet/proto/gen/signet/v1/optimization_service.ts';
import { OptimizerServiceService } from '@signet/proto/gen/signet/v1/optimizer_service.ts';
import { ProgramServiceService } from '@signet/proto/gen/signet/v1/program_service.ts';
import { RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { SignatureServiceService } from '@signet/proto/gen/signet/v1/signature_service.ts';
import type { CallOptions, Channel } from './channel.grpc.ts';
import type { Many } from './request-stream.ts';

/** Every public service by the name that callers use. */
export const publicServices = {
  signatures: SignatureServiceService,
  modules: ModuleServiceService,
  programs: ProgramServiceService,
  runtime: RuntimeServiceService,
  executions: ExecutionServiceService,
  batches: BatchServiceService,
  evaluations: EvaluationServiceService,
  datasets: DatasetServiceService,
  optimizers: OptimizerServiceService,
  optimizations: OptimizationServiceService,
  languageModels: LanguageModelServiceService,
  apiKeys: ApiKeyServiceService,
  audit: AuditServiceService,
} as const;

/** A service as an object: one function a method. Fields that are left out of a request have their default. */
export type Stub<Service> = {
  readonly [Name in keyof Service]: Service[Name] extends {
    readonly requestDeserialize: (bytes: Buffer) => infer Req;
    readonly responseDeserialize: (bytes: Buffer) => infer Res;
    readonly requestStream: infer Takes;
    readonly responseStream: infer Streams;
  }
    ? (
        request: Takes extends true ? Many<Partial<Req>> : Partial<Req>,
        options?: CallOptions,
      ) => Streams extends true ? AsyncGenerator<Res, void> : Promise<Res>
    : never;
};

/** All public services. */
export type Services = { readonly [Name in keyof typeof publicServices]: Stub<(typeof publicServices)[Name]> };

/** Makes the functions of all services over one channel. */
export function createServices(channel: Channel): Services {
  const stubs = Object.entries(publicServices).map(([name, service]) => [name, createStub(channel, service)]);
  return Object.fromEntries(stubs) as Services;
}

function createStub(channel: Channel, service: object): object {
  const methods = Object.entries(service) as [string, MethodDefinition<object, unknown>][];
  return Object.fromEntries(
    methods.map(([name, method]) => [
      name,
      (request: object, options?: CallOptions) => {
        const complete = (given: object) => ({ ...method.requestDeserialize(Buffer.alloc(0)), ...given });
        if (method.requestStream) {
          const requests = completed(request as Many<object>, complete);
          return method.responseStream
            ? channel.duplex(method, requests, options)
            : channel.upload(method, requests, options);
        }
        const whole = complete(request);
        return method.responseStream ? channel.stream(method, whole, options) : channel.unary(method, whole, options);
      },
    ]),
  );
}

async function* completed(requests: Many<object>, complete: (given: object) => object): AsyncGenerator<object, void> {
  for await (const request of requests) yield complete(request);
}
