/** Who did what to an execution. */
export type ExecutionAuditEntry = {
  readonly id: string;
  readonly createTime: Date;
  readonly actorId: string;
  readonly actor: string;
  readonly action: string;
  readonly operation: 'update' | 'delete';
  readonly executionId: string;
  readonly slug: string;
  /** How the execution stood before. */
  readonly status: string;
  readonly traceId: string;
};
