/** A process that serves public services. */
export type Owner = 'registry' | 'executor';

/** Which process serves which public service; whole services are forwarded. */
export const owners: Readonly<Record<string, Owner>> = {
  'signet.v1.SignatureService': 'registry',
  'signet.v1.ModuleService': 'registry',
  'signet.v1.ProgramService': 'registry',
  'signet.v1.ApiKeyService': 'registry',
  'signet.v1.AuditService': 'registry',
  'signet.v1.LanguageModelService': 'registry',
  'signet.v1.RuntimeService': 'executor',
  'signet.v1.ExecutionService': 'executor',
  'signet.v1.BatchService': 'executor',
  'signet.v1.DatasetService': 'registry',
  'signet.v1.OptimizerService': 'registry',
  'signet.v1.OptimizationService': 'executor',
  'signet.v1.EvaluationService': 'executor',
};

const minuteMs = 60_000;
const streamMs = 6 * 60 * minuteMs;

type Timed = { readonly owner: Owner; readonly takesStream: boolean; readonly isDownload: boolean };

/**
 * How long a call may last whose caller set no deadline, in milliseconds. The executor ends an attached run after a minute by
 * itself, or when the request's own `timeout_ms` says so; a bound of a minute here would cut the longer ones short.
 */
export function defaultTimeoutMs({ owner, takesStream, isDownload }: Timed): number {
  // How long a file takes is up to whoever sends or reads it.
  if (takesStream || isDownload) return streamMs;
  return owner === 'registry' ? minuteMs : 15 * minuteMs;
}
