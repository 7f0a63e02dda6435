import type { ComposeProgramRequest } from '@signet/proto/gen/signet/v1/program_service.ts';
import type { ComposeProgramInput } from './compose-program.ts';
import { readAdapter } from './wire.ts';

/** Reads a request to compose a program. */
export function readCompose(request: ComposeProgramRequest): ComposeProgramInput {
  const { name, slug, description, modules, pipelineSpec, variables, labels } = request;
  const adapterType = readAdapter(request.adapterType, 'python_port');
  return { name, slug, description, modules, pipelineSpec, adapterType, variables, labels };
}
