import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTraceReceiver, type TraceReceiver } from '../../services/local/trace-receiver.ts';
import type { JsonObject } from '../support/http.ts';
import { demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { query } from '../support/query.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

const CREDENTIAL = 'sk-unmistakable-credential-0123456789';
const ENVIRONMENT_KEY = 'an-unpatterned.credential/of+the-environment';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`the search for secrets is left out: ${missing}`);

describe.skipIf(missing !== undefined)('secrets', () => {
  let stack: Stack;
  let lm: ScriptedLm;
  let receiver: TraceReceiver;
  beforeAll(async () => {
    [lm, receiver] = await Promise.all([startScriptedLm(), startTraceReceiver()]);
    stack = await startStack({
      engines: 'python',
      lm: lm.url,
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
        OTEL_TRACES_SAMPLER: 'always_on',
        SIGNET_LOG_LEVEL: 'debug',
        SIGNET_LM_ALLOW_PRIVATE: 'true',
      },
      envOf: { executor: { SIGNET_LM_API_KEY: ENVIRONMENT_KEY } },
    });
  });
  afterAll(async () => {
    await stack?.close();
    await Promise.all([lm?.close(), receiver?.close()]);
  });

  it('are in no table, no log at debug, no span and no metric after all that can be done with them', async () => {
    const { http } = stack;
    const made = demand(await http.post('/v1/apiKeys', { name: 'runner', role: 'runner' }), 201);
    const rotated = demand(
      await http.post(`/v1/apiKeys/${(made.apiKey as JsonObject).id}:rotate`, { overlapSeconds: 60 }),
      200,
    );
    const keys = [made.secret, rotated.secret, (rotated.apiKey as JsonObject | undefined)?.secret]
      .filter((key) => typeof key === 'string' && key !== '')
      .map(String);
    expect(keys.length).toBeGreaterThan(0);
    const fields = { name: 'sealed', slug: 'sealed', model: 'openai/m', apiBase: lm.url, credential: CREDENTIAL };
    demand(await http.post('/v1/languageModels', fields), 201);
    demand(await http.post('/v1/languageModels/sealed:check'), 200);
    const { slug } = await readyProgram(stack, { adapterType: 'python_port' });
    const path = `/v1/programs/${slug}:execute`;
    for (const engine of ['python', 'native']) {
      for (const options of [{ engine }, { engine, lm: 'sealed' }, { engine, lm: 'sealed', cache: true }]) {
        demand(await http.post(path, { inputs: QA_INPUTS, executionOptions: options }, { key: keys[0]! }), 200);
      }
      // An endpoint that repeats what it was sent, and a caller who asks with half a key.
      for (const secret of [CREDENTIAL, ENVIRONMENT_KEY]) {
        lm.enqueue({ kind: 'status', status: 401, message: `bad key: Authorization: Bearer ${secret} (${secret})` });
        const executionOptions = { engine, ...(secret === CREDENTIAL ? { lm: 'sealed' } : {}) };
        const failed = await http.post(path, { inputs: QA_INPUTS, executionOptions });
        expect(failed.status).not.toBe(200);
        expect(failed.text).not.toContain(secret);
      }
      const stream = await stack.sse(`/v1/programs/${slug}:stream`, {
        inputs: QA_INPUTS,
        executionOptions: { engine, lm: 'sealed' },
      });
      expect(await stream.text()).not.toContain(CREDENTIAL);
    }
    const detached = demand(await http.post('/v1/executions', { program: slug, inputs: QA_INPUTS }), 202);
    demand(await http.get(`/v1/executions/${detached.id}:wait?timeoutMs=10000`), 200);
    await http.get('/v1/programs', { key: `${keys[0]}-wrong` });
    await http.get('/v1/programs', { key: 'Basic unmistakable-basic-credential' });
    await eventually(() => expect(receiver.spans().some(({ name }) => name === 'chat m')).toBe(true));

    const secrets = [...keys, CREDENTIAL, ENVIRONMENT_KEY, stack.adminKey, stack.secretKey, stack.internalToken];
    secrets.push(new URL(stack.databaseUrl).password);
    const hidden = secrets
      .filter((secret) => secret !== '')
      .flatMap((secret) => [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64')]);
    const { tables, text } = await dump(stack.databaseUrl);
    expect(tables).toBeGreaterThan(15);
    const places = {
      tables: text,
      logs: stack.logs(),
      spans: JSON.stringify(receiver.spans(), (_key, value) => (typeof value === 'bigint' ? String(value) : value)),
      metrics: (await http.get('/metrics', { key: '' })).text,
      audit: (await http.get('/v1/auditEntries')).text,
      executions: (await http.get('/v1/executions')).text,
    };
    const found = Object.entries(places).flatMap(([name, content]) =>
      hidden.filter((secret) => content.includes(secret)).map((secret) => `${name}: ${secret.slice(0, 12)}`),
    );
    expect(found).toEqual([]);
    // What must be found shows that the search finds.
    expect(text).toContain('sealed');
    expect(places.logs).toContain('"level":"warn"');
    expect(places.spans).toContain('chat m');
  }, 60_000);
});

async function dump(databaseUrl: string): Promise<{ tables: number; text: string }> {
  const tables = await query(
    databaseUrl,
    `select format('%I.%I', table_schema, table_name) as name from information_schema.tables
     where table_schema in ('registry', 'executor') and table_type = 'BASE TABLE'`,
  );
  const texts: string[] = [];
  for (const { name } of tables) {
    texts.push(JSON.stringify(await query(databaseUrl, `select t::text as row from ${name} t`)));
  }
  return { tables: tables.length, text: texts.join('\n') };
}
