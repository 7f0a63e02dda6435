import type { Principal } from '@signet/kit/call-context.ts';
import type {
  CatalogChange,
  Principal as WirePrincipal,
  ResolvedProgram as WireResolved,
} from '@signet/proto/gen/signet/internal/v1/registry.ts';
import { wireRoles } from '../api-key/wire.ts';
import { toWireConfiguration, toWirePreparation, wireAdapters, wireStatuses } from '../program/wire.ts';
import { toWireSignature } from '../signature/wire.ts';
import type { ResolvedProgram } from './catalog.ts';
import type { CatalogEvent } from './watch-catalog.ts';

/** Writes a program with what is needed to run it; demos as JSON, so that no digit is lost. */
export function toWireResolved(resolved: ResolvedProgram): WireResolved {
  return {
    programId: resolved.programId,
    slug: resolved.slug,
    name: resolved.name,
    status: wireStatuses[resolved.status],
    errorMessage: resolved.errorMessage,
    adapterType: wireAdapters[resolved.adapterType],
    version: resolved.version,
    servingVersion: resolved.servingVersion,
    signature: toWireSignature(resolved.signature),
    configuration: toWireConfiguration(resolved.configuration, resolved.demos, 'json'),
    preparation: toWirePreparation(resolved.preparation),
    deleted: resolved.deleted,
    revision: BigInt(resolved.revision),
  };
}

/** Writes a message of a watch. */
export function toWireChange(event: CatalogEvent): CatalogChange {
  const { revision } = event;
  if (event.kind === 'synced') return { revision, change: { $case: 'synced', value: {} } };
  return { revision, change: { $case: 'program', value: toWireResolved(event.program) } };
}

/** Writes whose key it is. */
export function toWirePrincipal(principal: Principal & { readonly expireTime: Date | undefined }): WirePrincipal {
  const { keyId, name, role, expireTime } = principal;
  return { keyId, name, role: wireRoles[role], expireTime };
}
