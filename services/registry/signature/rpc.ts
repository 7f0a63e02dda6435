import type { CallContext } from '@signet/kit/call-context.ts';
import type { Handlers } from '@signet/kit/grpc/server.ts';
import { Empty } from '@signet/proto/gen/google/protobuf/empty.ts';
import { Signature as WireSignature } from '@signet/proto/gen/signet/v1/signature.ts';
import type { SignatureServiceService } from '@signet/proto/gen/signet/v1/signature_service.ts';
import { created, handleChange, type MessageCodec, type UnitOfWork } from '../repeat/handle.ts';
import type { Outcome, RepeatDeps } from '../repeat/run-once.ts';
import { activateSignature } from './activate-signature.ts';
import { createSignatureFromModule } from './create-signature-from-module.ts';
import { deleteSignature } from './delete-signature.ts';
import { deprecateSignature } from './deprecate-signature.ts';
import { listFieldTypes } from './field-types.ts';
import type { FoundSignature } from './find-or-create-signature.ts';
import { optimizeSignature } from './optimize-signature.ts';
import { parseSignature } from './parse-signature.ts';
import { getSignature, listSignatures, listSignatureVersions, validateModule } from './read-signatures.ts';
import type { Signature } from './signature.ts';
import type { ModuleDeps } from './signature-modules.ts';
import { updateSignature } from './update-signature.ts';
import { readFromModule, readList, readParse, readUpdate, toWireSignature, toWireSignatureVersion } from './wire.ts';

type Stores = Pick<ModuleDeps, 'signatures'> & RepeatDeps;

/** What the handlers need. */
export type SignatureRpcDeps = {
  readonly work: UnitOfWork<Stores>;
  readonly definitions: ModuleDeps['definitions'];
  readonly signatureParser: ModuleDeps['signatureParser'];
};

/** The handlers of SignatureService. */
export function createSignatureHandlers(deps: SignatureRpcDeps): Handlers<typeof SignatureServiceService> {
  const { work, definitions, signatureParser } = deps;
  const change = <Res>(
    method: string,
    request: { readonly requestId: string },
    codec: MessageCodec<Res>,
    ctx: CallContext,
    run: (stores: Stores) => Promise<Outcome<Res>>,
  ): Promise<Res> => handleChange(work, method, request, codec, ctx, run);
  const answer = (signature: Signature): Outcome<WireSignature> => ({ response: toWireSignature(signature) });
  const found = ({ signature, created: isNew }: FoundSignature): Outcome<WireSignature> =>
    isNew ? { ...answer(signature), reply: created(`/v1/signatures/${signature.id}`) } : answer(signature);

  return {
    parseSignature: (request, ctx) =>
      change('ParseSignature', request, WireSignature, ctx, async (stores) =>
        found(await parseSignature({ ...stores, signatureParser }, readParse(request))),
      ),
    createSignatureFromModule: (request, ctx) =>
      change('CreateSignatureFromModule', request, WireSignature, ctx, async (stores) =>
        found(await createSignatureFromModule({ ...stores, definitions, signatureParser }, readFromModule(request))),
      ),
    validateModule: async ({ module }) => ({
      valid: await work.read((stores) => validateModule({ ...stores, definitions, signatureParser }, module)),
    }),
    getSignature: async ({ signature }) =>
      toWireSignature(await work.read((stores) => getSignature(stores, signature))),
    listSignatures: async (request) => {
      const { items, nextPageToken } = await work.read((stores) => listSignatures(stores, readList(request)));
      return { signatures: items.map(toWireSignature), nextPageToken };
    },
    updateSignature: (request, ctx) =>
      change('UpdateSignature', request, WireSignature, ctx, async (stores) =>
        answer(await updateSignature({ ...stores, signatureParser }, readUpdate(request))),
      ),
    deleteSignature: (request, ctx) =>
      change('DeleteSignature', request, Empty, ctx, async (stores) => {
        await deleteSignature(stores, request);
        return { response: {} };
      }),
    activateSignature: (request, ctx) =>
      change('ActivateSignature', request, WireSignature, ctx, async (stores) =>
        answer(await activateSignature(stores, request)),
      ),
    optimizeSignature: (request, ctx) =>
      change('OptimizeSignature', request, WireSignature, ctx, async (stores) =>
        answer(await optimizeSignature(stores, { ...request, results: request.optimizationResults })),
      ),
    deprecateSignature: (request, ctx) =>
      change('DeprecateSignature', request, WireSignature, ctx, async (stores) =>
        answer(await deprecateSignature(stores, request)),
      ),
    listSignatureVersions: async (request) => {
      const { items, nextPageToken } = await work.read((stores) => listSignatureVersions(stores, request));
      return { versions: items.map(toWireSignatureVersion), nextPageToken };
    },
    listFieldTypes: async () => ({ fieldTypes: listFieldTypes() }),
  };
}
