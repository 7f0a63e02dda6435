import type { TestProject } from 'vitest/node';
import { whyNoEngine } from './container-engine.ts';
import { type ProjectHandle, startProject } from './project.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The project that is up, or why there is none. */
    compose: ProjectHandle | { readonly missing: string };
  }
}

/** Brings one project up for the whole run and removes it at the end, however the run went. */
export async function setup(run: TestProject): Promise<() => Promise<void>> {
  const missing = await whyNoEngine();
  if (missing !== undefined) {
    console.warn(`everything in containers is left out: ${missing}`);
    run.provide('compose', { missing });
    return async () => undefined;
  }
  const project = await startProject();
  run.provide('compose', project.handle);
  return () => project.down();
}
