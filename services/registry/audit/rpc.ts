import type { Handlers } from '@signet/kit/grpc/server.ts';
import type { AuditServiceService } from '@signet/proto/gen/signet/v1/audit_service.ts';
import type { UnitOfWork } from '../repeat/handle.ts';
import { type AuditDeps, listAuditEntries } from './read-audit-entries.ts';
import { toWireAuditEntry } from './wire.ts';

/** What the handlers need. */
export type AuditRpcDeps = { readonly work: UnitOfWork<AuditDeps> };

/** The handlers of AuditService. */
export function createAuditHandlers({ work }: AuditRpcDeps): Handlers<typeof AuditServiceService> {
  return {
    listAuditEntries: async (request) => {
      const { items, nextPageToken } = await work.read((stores) => listAuditEntries(stores, request));
      return { auditEntries: items.map(toWireAuditEntry), nextPageToken };
    },
  };
}
