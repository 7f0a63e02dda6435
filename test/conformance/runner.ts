import type { Sidecar } from './sidecar-client.ts';

/** What all cases of a run share. */
export type Runner = {
  readonly sidecar: Sidecar;
  /** Who is to answer. */
  readonly via: 'native' | 'sidecar';
  /** Runs native work and counts its time. */
  clock<T>(work: () => T): T;
};
