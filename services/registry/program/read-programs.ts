import { type CallContext, hasRole, requireRole } from '@signet/kit/call-context.ts';
import { invalidField } from '@signet/kit/error/app-error.ts';
import { pageSize } from '@signet/kit/page-token.ts';
import type { Page } from '../page.ts';
import {
  type Program,
  type ProgramStatus,
  type ProgramVersion,
  type ProgramView,
  programNotFound,
  versionNotFound,
} from './program.ts';
import type { ProgramStore } from './store.postgres.ts';

type Deps = { readonly programs: ProgramStore };

/** Asks for a page of programs. */
export type ListProgramsInput = {
  readonly pageSize: number;
  readonly pageToken: string;
  readonly filter: string;
  readonly orderBy: string;
  readonly includeArchived: boolean;
  readonly name: string;
  readonly status: ProgramStatus | undefined;
};

/** Reads a program by id or slug. PROGRAM_NOT_FOUND, also for an archived one unless an admin asks for it. */
export async function getProgram(
  deps: Deps,
  input: { readonly program: string; readonly includeArchived: boolean },
  ctx: CallContext,
): Promise<ProgramView> {
  const program = await deps.programs.find(input.program);
  const isHidden = program?.status === 'archived' && !(input.includeArchived && hasRole(ctx, 'admin'));
  if (program === undefined || isHidden) throw programNotFound(input.program);
  return deps.programs.view(program);
}

/** Reads a page of programs. INVALID_REQUEST, FILTER_SYNTAX, PAGE_TOKEN_INVALID; ROLE_REQUIRED for archived ones unless an admin asks. */
export function listPrograms(deps: Deps, input: ListProgramsInput, ctx: CallContext): Promise<Page<ProgramView>> {
  if (input.includeArchived) requireRole(ctx, 'admin');
  return deps.programs.list({ ...input, pageSize: pageSize(input.pageSize) });
}

/** Reads a page of a program's versions, newest first. PROGRAM_NOT_FOUND, INVALID_REQUEST and PAGE_TOKEN_INVALID. */
export async function listProgramVersions(
  deps: Deps,
  input: { readonly program: string; readonly pageSize: number; readonly pageToken: string },
  ctx: CallContext,
): Promise<{ readonly program: Program; readonly page: Page<ProgramVersion> }> {
  const size = pageSize(input.pageSize);
  const program = await visible(deps, input.program, ctx);
  return { program, page: await deps.programs.versions(program.id, size, input.pageToken) };
}

/** Reads one version of a program. PROGRAM_NOT_FOUND and VERSION_NOT_FOUND. */
export async function getProgramVersion(
  deps: Deps,
  input: { readonly program: string; readonly version: number },
  ctx: CallContext,
): Promise<{ readonly program: Program; readonly version: ProgramVersion }> {
  if (input.version < 1) throw invalidField('version', 'must be 1 or more');
  const program = await visible(deps, input.program, ctx);
  const version = await deps.programs.version(program.id, input.version);
  if (version === undefined) throw versionNotFound(input.program, input.version);
  return { program, version };
}

// Versions of an archived program are there for admins, who need no flag to look at what they already know of.
async function visible(deps: Deps, named: string, ctx: CallContext): Promise<Program> {
  const program = await deps.programs.find(named);
  if (program === undefined || (program.status === 'archived' && !hasRole(ctx, 'admin'))) throw programNotFound(named);
  return program;
}
