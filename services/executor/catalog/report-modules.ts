import { type Context, ROOT_CONTEXT } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import { type Field, type Signature, type Type, TypeKind } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { liftSpec } from '@signet/signature/lift.ts';
import type { LoweredField, LoweredKind, LoweredType } from '@signet/signature/lower.ts';
import { isModuleName } from '@signet/signature/module-name.ts';
import { printSpec } from '@signet/signature/print.ts';
import type { RegistryClient, ReportedModule } from './registry.grpc.ts';

/** Where the user's signature classes are looked at. */
export type ModuleSource = {
  ready(): boolean;
  moduleNames(): readonly string[];
  describe(
    name: string,
    ctx: { signal: AbortSignal; deadlineMs: number; trace: Context },
  ): Promise<{ readonly name: string; readonly signature: Signature }>;
};

/** What reporting needs. */
export type ReportDeps = { readonly source: ModuleSource; readonly registry: RegistryClient; readonly log: Logger };

const lookMs = 1_000;
// The sidecar itself gives up after 30 s.
const describeMs = 35_000;

/** Reports under way. */
export type ModuleReports = {
  /** The names that stand for signatures and functions, and so for no modules; undefined until they were looked at. */
  otherNames(): ReadonlySet<string> | undefined;
  close(): void;
};

/** Tells the registry what the allow-listed signature classes declare: once the workers are there, and whenever the list changed. */
export function startReporting(deps: ReportDeps): ModuleReports {
  const stop = new AbortController();
  let told = '';
  let isBusy = false;
  let others: ReadonlySet<string> | undefined;
  const look = async (): Promise<void> => {
    if (isBusy || !deps.source.ready()) return;
    const listed = [...deps.source.moduleNames()].sort();
    if (listed.join() === told) return;
    // One that the registry cannot take must not keep the others from it.
    const names = listed.filter(isModuleName);
    isBusy = true;
    try {
      const reports: ReportedModule[] = [];
      const found = new Set<string>();
      // One after the other, as the sidecar looks at them: each is imported in a process of its own.
      for (const name of names) {
        const { report, kind } = await describe(deps, name, stop.signal);
        reports.push(report);
        if (report.spec !== '' || kind === 'function') found.add(name);
      }
      others = found;
      await deps.registry.reportModules(reports, stop.signal);
      told = listed.join();
      const refused = listed.filter((name) => !isModuleName(name));
      if (refused.length > 0)
        deps.log.warn({ refused }, 'names of the allow-list that are no module names are left out');
    } catch (error) {
      deps.log.debug({ reason: normalizeError(error).reason }, 'could not report signature modules');
    } finally {
      isBusy = false;
    }
  };
  const timer = setInterval(() => void look(), lookMs);
  timer.unref();
  return {
    otherNames: () => others,
    close() {
      clearInterval(timer);
      stop.abort(new AppError('CANCELLED', 'The executor is shutting down'));
    },
  };
}

type Described = { readonly report: ReportedModule; readonly kind: string };

async function describe({ source }: ReportDeps, name: string, signal: AbortSignal): Promise<Described> {
  try {
    const { signature } = await source.describe(name, {
      signal,
      deadlineMs: Date.now() + describeMs,
      trace: ROOT_CONTEXT,
    });
    const spec = printSpec(liftSpec(signature.fields.map(lowered)));
    return { report: { name, spec, description: signature.instructions, error: '' }, kind: 'signature' };
  } catch (error) {
    const { reason, message, metadata } = normalizeError(error);
    // What is away now may come back: the whole report is made again then.
    if (reason === 'ENGINE_UNAVAILABLE' || reason === 'CANCELLED' || reason === 'DEADLINE_EXCEEDED') throw error;
    const fault = reason === 'INTERNAL' && error instanceof Error ? error.message : message;
    return { report: { name, spec: '', description: '', error: fault.slice(0, 2000) }, kind: metadata.kind ?? '' };
  }
}

function lowered(field: Field): LoweredField {
  const { name, output, type, description, constraints, defaultJson } = field;
  return { name, output, type: loweredType(type), description, constraints, defaultJson: defaultJson.toString('utf8') };
}

const kinds: Readonly<Record<number, LoweredKind>> = Object.fromEntries(
  Object.entries(TypeKind)
    .filter(([name]) => name.startsWith('TYPE_KIND_'))
    .map(([name, value]) => [value, name.replace('TYPE_KIND_', '') as LoweredKind]),
);

function loweredType(type: Type | undefined): LoweredType {
  const kind = kinds[type?.kind ?? TypeKind.TYPE_KIND_STR] ?? 'ANY';
  return {
    kind,
    args: (type?.args ?? []).map(loweredType),
    valuesJson: (type?.valuesJson ?? []).map((text) => text.toString('utf8')),
  };
}
