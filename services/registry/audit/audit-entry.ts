/** One change of one resource. */
export type AuditEntry = {
  readonly id: string;
  readonly createTime: Date;
  /** Empty if the registry itself did it. */
  readonly actorId: string;
  readonly actor: string;
  readonly action: string;
  readonly operation: 'create' | 'update' | 'delete';
  readonly resource: string;
  readonly resourceId: string;
  readonly resourceName: string;
  /** The changed columns as they were. */
  readonly before: Readonly<Record<string, unknown>> | undefined;
  /** The changed columns as they are. */
  readonly after: Readonly<Record<string, unknown>> | undefined;
  readonly traceId: string;
};
