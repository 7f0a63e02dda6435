/** An execution as an example. */
export type ExecutionExample = {
  readonly executionId: string;
  readonly inputsJson: string;
  readonly outputsJson: string;
  readonly label: string;
};
