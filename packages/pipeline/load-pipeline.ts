import { invariant } from '@signet/kit/error/app-error.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { trusting } from './known.ts';
import type { Pipeline } from './pipeline.ts';
import { readPipeline } from './read-pipeline.ts';

/** Reads the JSON text of a pipeline that was checked when it was composed, as `writePipeline` wrote it. */
export function loadPipeline(text: string): Pipeline {
  const { pipeline, faults } = readPipeline(parseJson(text), trusting, 'pipeline');
  invariant(pipeline !== undefined, `a stored pipeline cannot be read: ${faults[0]?.path} ${faults[0]?.message}`);
  return pipeline;
}
