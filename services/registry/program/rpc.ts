import type { CallContext } from '@signet/kit/call-context.ts';
import type { Handlers } from '@signet/kit/grpc/server.ts';
import { Empty } from '@signet/proto/gen/google/protobuf/empty.ts';
import { ProgramVersion, Program as WireProgram } from '@signet/proto/gen/signet/v1/program.ts';
import type { ProgramServiceService } from '@signet/proto/gen/signet/v1/program_service.ts';
import { created, handleChange, type UnitOfWork } from '../repeat/handle.ts';
import type { RepeatDeps } from '../repeat/run-once.ts';
import { archiveProgram } from './archive-program.ts';
import { composeProgram } from './compose-program.ts';
import { readCompose } from './compose-wire.ts';
import { createProgram, type ProgramDeps } from './create-program.ts';
import { deleteProgram } from './delete-program.ts';
import { exportProgramVersion } from './export-version.ts';
import { importProgramVersion } from './import-version.ts';
import { toPayload } from './payload-wire.ts';
import type { PipelineDeps } from './pipeline-known.ts';
import type { ProgramView } from './program.ts';
import { getProgram, getProgramVersion, listPrograms, listProgramVersions } from './read-programs.ts';
import { resetProgram } from './reset-program.ts';
import { updateProgram } from './update-program.ts';
import { payloadKind, readCreate, readImport, readList, readUpdate, toWireProgram, toWireVersion } from './wire.ts';

type Stores = Omit<ProgramDeps, 'definitions' | 'signatureParser'> & RepeatDeps;

/** What the handlers need. */
export type ProgramRpcDeps = {
  readonly work: UnitOfWork<Stores>;
  readonly definitions: ProgramDeps['definitions'];
  readonly signatureParser: ProgramDeps['signatureParser'];
  readonly functionNames: PipelineDeps['functionNames'];
};

/** The handlers of ProgramService. */
export function createProgramHandlers(deps: ProgramRpcDeps): Handlers<typeof ProgramServiceService> {
  const { work, definitions, signatureParser, functionNames } = deps;
  const changeProgram = (
    method: string,
    request: { readonly requestId: string },
    ctx: CallContext,
    run: (stores: Stores) => Promise<ProgramView>,
  ): Promise<WireProgram> =>
    handleChange(work, method, request, WireProgram, ctx, async (stores) => ({
      response: toWireProgram(await run(stores), payloadKind(ctx)),
    }));

  return {
    createProgram: (request, ctx) =>
      handleChange(work, 'CreateProgram', request, WireProgram, ctx, async (stores) => {
        const view = await createProgram({ ...stores, definitions, signatureParser }, readCreate(request));
        const response = toWireProgram(view, payloadKind(ctx, request.configuration));
        return { response, reply: created(`/v1/programs/${view.program.id}`) };
      }),
    composeProgram: (request, ctx) =>
      handleChange(work, 'ComposeProgram', request, WireProgram, ctx, async (stores) => {
        const view = await composeProgram({ ...stores, functionNames }, readCompose(request));
        const response = toWireProgram(view, payloadKind(ctx));
        return { response, reply: created(`/v1/programs/${view.program.id}`) };
      }),
    getProgram: async (request, ctx) =>
      toWireProgram(await work.read((stores) => getProgram(stores, request, ctx)), payloadKind(ctx)),
    listPrograms: async (request, ctx) => {
      const { items, nextPageToken } = await work.read((stores) => listPrograms(stores, readList(request), ctx));
      const kind = payloadKind(ctx);
      return { programs: items.map((view) => toWireProgram(view, kind)), nextPageToken };
    },
    updateProgram: (request, ctx) =>
      handleChange(work, 'UpdateProgram', request, WireProgram, ctx, async (stores) => ({
        response: toWireProgram(
          await updateProgram({ ...stores, functionNames }, readUpdate(request)),
          payloadKind(ctx, request.configuration),
        ),
      })),
    deleteProgram: (request, ctx) =>
      handleChange(work, 'DeleteProgram', request, Empty, ctx, async (stores) => {
        await deleteProgram(stores, request);
        return { response: {} };
      }),
    archiveProgram: (request, ctx) =>
      changeProgram('ArchiveProgram', request, ctx, (stores) => archiveProgram(stores, request)),
    resetProgram: (request, ctx) =>
      changeProgram('ResetProgram', request, ctx, (stores) => resetProgram(stores, request)),
    listProgramVersions: async (request, ctx) => {
      const { program, page } = await work.read((stores) => listProgramVersions(stores, request, ctx));
      const kind = payloadKind(ctx);
      const versions = page.items.map((version) => toWireVersion(program, version, kind, false));
      return { versions, nextPageToken: page.nextPageToken };
    },
    getProgramVersion: async (request, ctx) => {
      const { program, version } = await work.read((stores) => getProgramVersion(stores, request, ctx));
      return toWireVersion(program, version, payloadKind(ctx), true);
    },
    importProgramVersion: (request, ctx) =>
      handleChange(work, 'ImportProgramVersion', request, ProgramVersion, ctx, async (stores) => {
        const { program, version } = await importProgramVersion(stores, readImport(request));
        const kind = request.state?.kind?.$case === 'json' ? 'json' : payloadKind(ctx);
        const response = toWireVersion(program, version, kind, true);
        return { response, reply: created(`/v1/programs/${program.id}/versions/${version.version}`) };
      }),
    exportProgramVersion: async (request, ctx) => {
      const { version } = await work.read((stores) => getProgramVersion(stores, request, ctx));
      return { state: toPayload(exportProgramVersion(version), payloadKind(ctx)) };
    },
  };
}
