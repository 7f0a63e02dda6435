import type { Context } from '@opentelemetry/api';
import type { Logger } from 'pino';
import { AppError } from './error/app-error.ts';

/** What a key may do; each role may do what those before it may. */
export const roles = ['viewer', 'runner', 'editor', 'admin'] as const;

/** A role of a key. */
export type Role = (typeof roles)[number];

/** Who calls. */
export type Principal = { readonly keyId: string; readonly name: string; readonly role: Role };

/** What every use case knows of the call that it serves. */
export type CallContext = {
  /** Aborted when the caller went away or the deadline passed; its reason is an AppError CANCELLED or DEADLINE_EXCEEDED. */
  readonly signal: AbortSignal;
  /** When the caller stops waiting, in milliseconds since 1970; undefined means never. */
  readonly deadlineMs: number | undefined;
  /** Who calls; undefined for our own processes. */
  readonly principal: Principal | undefined;
  /** The trace: the call's span is current in it. */
  readonly trace: Context;
  /** A logger that knows the trace. */
  readonly log: Logger;
  /** What came in the request's metadata, by lower-case name; undefined if absent. */
  header(name: string): string | undefined;
  /** Sets a header of the answer, such as `signet-http-status`. To be called before the first answer is given. */
  reply(name: string, value: string): void;
};

/** True if the caller's key has at least a role; our own processes have all. */
export function hasRole(ctx: CallContext, role: Role): boolean {
  return ctx.principal === undefined || roles.indexOf(ctx.principal.role) >= roles.indexOf(role);
}

/** Throws ROLE_REQUIRED unless the caller's key has at least a role. */
export function requireRole(ctx: CallContext, role: Role): void {
  if (!hasRole(ctx, role))
    throw new AppError('ROLE_REQUIRED', `this needs a key with the role ${role}`, { metadata: { role } });
}

/** Writes a principal for the metadata between our processes. */
export function encodePrincipal(principal: Principal): string {
  return Buffer.from(JSON.stringify([principal.keyId, principal.name, principal.role])).toString('base64url');
}

// Callers are few, and each of their calls brings the same text.
const decoded = new Map<string, Principal>();
const decodedMax = 1_000;

/** Reads a principal back; undefined if it is not one. */
export function decodePrincipal(text: string): Principal | undefined {
  const known = decoded.get(text);
  if (known !== undefined) return known;
  const principal = readPrincipal(text);
  if (principal === undefined) return undefined;
  if (decoded.size >= decodedMax) decoded.clear();
  decoded.set(text, principal);
  return principal;
}

function readPrincipal(text: string): Principal | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    if (!Array.isArray(value) || value.length !== 3) return undefined;
    const [keyId, name, role] = value as unknown[];
    if (typeof keyId !== 'string' || typeof name !== 'string') return undefined;
    const known = roles.find((candidate) => candidate === role);
    return known === undefined ? undefined : { keyId, name, role: known };
  } catch {
    return undefined;
  }
}
