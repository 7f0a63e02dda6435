import { pageSize } from '@signet/kit/page-token.ts';
import type { Page } from '../page.ts';
import { type Signature, type SignatureStatus, type SignatureVersion, signatureNotFound } from './signature.ts';
import { findSignatureModule, type ModuleDeps } from './signature-modules.ts';
import type { SignatureStore } from './store.postgres.ts';

type Deps = { readonly signatures: SignatureStore };

/** Asks for a page of signatures. */
export type ListSignaturesInput = {
  readonly pageSize: number;
  readonly pageToken: string;
  readonly filter: string;
  readonly orderBy: string;
  readonly name: string;
  readonly status: SignatureStatus | undefined;
};

/** Reads a signature by id or module; SIGNATURE_NOT_FOUND. */
export async function getSignature(deps: Deps, named: string): Promise<Signature> {
  const found = await deps.signatures.find(named);
  if (found === undefined) throw signatureNotFound(named);
  return found;
}

/** Reads a page of signatures; INVALID_REQUEST, FILTER_SYNTAX and PAGE_TOKEN_INVALID. */
export function listSignatures(deps: Deps, input: ListSignaturesInput): Promise<Page<Signature>> {
  return deps.signatures.list({ ...input, pageSize: pageSize(input.pageSize) });
}

/** Reads a page of a signature's snapshots, newest first; SIGNATURE_NOT_FOUND, INVALID_REQUEST and PAGE_TOKEN_INVALID. */
export async function listSignatureVersions(
  deps: Deps,
  input: { readonly signature: string; readonly pageSize: number; readonly pageToken: string },
): Promise<Page<SignatureVersion>> {
  const size = pageSize(input.pageSize);
  const { id } = await getSignature(deps, input.signature);
  return deps.signatures.versions(id, size, input.pageToken);
}

/** True if a registered signature module can be read; whatever is wrong with it is false. */
export async function validateModule(deps: ModuleDeps, name: string): Promise<boolean> {
  return (await findSignatureModule(deps, name)).kind === 'found';
}
