import type { HttpClient } from '../support/http.ts';
import { demand, readyProgram, uniqueName } from '../support/programs.ts';
import { clientOf } from './product-client.ts';
import { startSignet } from './signet.ts';
import type { StageContext } from './stages.ts';
import { writeRest } from './table.ts';

/** The name by which these figures are asked for. */
export const QUEUED_JOBS = 'queued jobs';

const JOBS = 100;
/** Longer than anything here takes: the job that is under way waits for its model. */
const SLOW_MODEL_MS = 600_000;

/** Measures what the product takes at rest, and what with 100 optimization jobs of which one waits for its model and the others for it. */
export async function measureQueuedJobs(context: StageContext, python: string): Promise<string[]> {
  const { bench, postgres, modelUrl } = context;
  const signet = await startSignet({ databaseUrl: postgres.url, python, lmUrl: modelUrl });
  context.onStop(signet.close);
  const http = clientOf(signet);
  const groups = { ...signet.pids, postgres: [postgres.pid] };
  try {
    await bench.setModel(0, 0);
    const dataset = await makeDataset(http);
    const slugs: string[] = [];
    for (let at = 0; at < JOBS; at += 1) {
      const { slug } = await readyProgram(
        { http },
        { adapterType: 'python_port', signatureSpec: 'question -> answer' },
      );
      slugs.push(String(slug));
    }
    await bench.measureRest('with 100 programs and no job', groups);
    await bench.setModel(SLOW_MODEL_MS, 0);
    for (const slug of slugs) {
      const body = { dataset, type: 'random_search', config: { num_candidate_programs: 2 } };
      demand(await http.post(`/v1/programs/${slug}:optimize`, body), 202);
    }
    await bench.measureRest('with 100 jobs queued', groups);
    return bench.rests.splice(-2).map(writeRest);
  } finally {
    await http.close();
    await signet.close();
    await bench.setModel(0, 0);
  }
}

async function makeDataset(http: HttpClient): Promise<string> {
  const name = uniqueName('data');
  demand(await http.post('/v1/datasets', { name, slug: name, signatureSpec: 'question -> answer' }), 201);
  const rows = ['train', 'validation', 'test'].flatMap((split) =>
    Array.from({ length: 8 }, (_, at) =>
      JSON.stringify({ inputs: { question: `${split} ${at}` }, outputs: { answer: 'yes' }, split }),
    ),
  );
  const headers = { 'content-type': 'application/x-ndjson' };
  demand(await http.post(`/v1/datasets/${name}/examples:import`, rows.join('\n'), { headers }), 201);
  return name;
}
