import { ProgramKind as WireKind } from '@signet/proto/gen/signet/v1/program.ts';
import { plainFromJson } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import type { ProgramKind } from './program.ts';

/** Kinds of programs on the wire. */
export const wireKinds: Record<ProgramKind, WireKind> = {
  signature: WireKind.PROGRAM_KIND_SIGNATURE,
  pipeline: WireKind.PROGRAM_KIND_PIPELINE,
};

/** Writes a pipeline as it was given; nothing for programs that run a signature. */
export function toWirePipeline(spec: string): Record<string, unknown> | undefined {
  return spec === '' ? undefined : (plainFromJson(parseJson(spec)) as Record<string, unknown>);
}
