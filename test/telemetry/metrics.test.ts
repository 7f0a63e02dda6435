import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../services/local/free-port.ts';
import type { JsonObject } from '../support/http.ts';
import { demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { ROOT } from '../support/source-files.ts';
import { type ProcessName, type Stack, startStack } from '../support/stack.ts';

const dashboard = JSON.parse(readFileSync(join(ROOT, 'docs', 'grafana-dashboard.json'), 'utf8')) as Dashboard;
type Panel = { type: string; id: number; title: string; targets?: { expr: string; datasource: { uid: string } }[] };
type Dashboard = { title: string; schemaVersion: number; panels: Panel[]; templating: { list: { name: string }[] } };

/** The words of PromQL that look like names of metrics, by what stands behind them. */
const namesIn = (expr: string): string[] => expr.match(/\b(?:signet|rpc|http)_[a-z_]+(?=[[)\s{]|$)/g) ?? [];
const inLabels = /^(http_response_status_code|rpc_response_status_code|signet_call_kind)$/;

const missing = whyNoPython();
if (missing !== undefined) console.warn(`metrics of the whole chain are left out: ${missing}`);

describe('the dashboard', () => {
  it('is one of Grafana, with a unique id for each panel and a data source that can be chosen', () => {
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(36);
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual(['datasource']);
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { type, title, targets } of dashboard.panels) {
      expect(title).not.toBe('');
      if (type === 'row') continue;
      expect(targets?.every(({ expr, datasource }) => expr !== '' && datasource.uid === '$' + '{datasource}')).toBe(
        true,
      );
    }
  });
});

describe.skipIf(missing !== undefined)('metrics', () => {
  let stack: Stack;
  let lm: ScriptedLm;
  let spare: ScriptedLm;
  const doors = new Map<ProcessName, string>();
  /** All that any process showed so far. */
  let shown = '';

  beforeAll(async () => {
    [lm, spare] = await Promise.all([startScriptedLm(), startScriptedLm()]);
    for (const name of ['registry', 'executor', 'sidecar'] as const) doors.set(name, `127.0.0.1:${await freePort()}`);
    const metricsOf = (name: ProcessName) => ({ SIGNET_METRICS_ADDRESS: doors.get(name)! });
    stack = await startStack({
      engines: 'python',
      lm: lm.url,
      // Nobody takes spans there.
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_TRACES_SAMPLER: 'always_on' },
      envOf: {
        gateway: { SIGNET_IN_FLIGHT_MAX: '2' },
        registry: { ...metricsOf('registry'), SIGNET_LM_ALLOW_PRIVATE: 'true' },
        executor: { ...metricsOf('executor'), SIGNET_LM_ALLOW_PRIVATE: 'true' },
        sidecar: metricsOf('sidecar'),
      },
    });
  });
  afterAll(async () => {
    await stack?.close();
    await Promise.all([lm?.close(), spare?.close()]);
  });

  const look = async (): Promise<string> => {
    const texts = [(await stack.http.get('/metrics', { key: '' })).text];
    for (const address of doors.values()) {
      const answer = await fetch(`http://${address}/metrics`).catch(() => undefined);
      if (answer !== undefined) texts.push(await answer.text());
    }
    const now = texts.join('\n');
    shown += now;
    return now;
  };
  const execute = (slug: unknown, executionOptions: JsonObject = {}) =>
    stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS, executionOptions });

  it('TEL-01 TEL-02 shows every metric that the dashboard asks for, once what it tells of has happened', async () => {
    const { slug } = await readyProgram(stack, { adapterType: 'python_port' });
    for (const [name, url] of [
      ['spare', spare.url],
      ['priced', lm.url],
    ] as const) {
      const prices = { inputPerMillion: 1, outputPerMillion: 2 };
      const fallbacks = name === 'priced' ? { fallbacks: ['spare'] } : {};
      const fields = {
        name,
        slug: name,
        model: 'openai/m',
        apiBase: url,
        credential: 'sk-metrics-0123456789',
        prices,
        ...fallbacks,
      };
      const made = await stack.http.post('/v1/languageModels', fields);
      if (made.status !== 201) throw new Error(made.text);
    }
    for (const engine of ['python', 'native']) demand(await execute(slug, { engine }), 200);
    for (const _ of [1, 2]) demand(await execute(slug, { engine: 'native', cache: true }), 200);
    demand(await execute(slug, { engine: 'native', lm: 'priced' }), 200);
    lm.enqueue(...Array.from({ length: 12 }, () => ({ kind: 'status' as const, status: 503 })));
    for (let times = 0; times < 3; times++) await execute(slug, { engine: 'native', lm: 'priced' });
    await look();
    lm.reset();
    lm.enqueue({ kind: 'status', status: 401 });
    await execute(slug, { engine: 'python' });
    lm.enqueue({ kind: 'answer', delayMs: 300 }, { kind: 'answer', delayMs: 300 });
    const crowd = await Promise.all(Array.from({ length: 6 }, () => execute(slug, { engine: 'native' })));
    expect(crowd.map(({ status }) => status)).toContain(429);
    await stack.kill('sidecar');
    await eventually(async () => expect(demand(await execute(slug), 200).engine).toBe('ENGINE_NATIVE'), 20_000);
    await eventually(async () => {
      await look();
      expect(shown).toContain('signet_telemetry_span_lost_total{');
    }, 20_000);
    const asked = dashboard.panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => namesIn(expr)));
    const names = [...new Set(asked)].filter((name) => !inLabels.test(name));
    expect(names.length).toBeGreaterThan(25);
    expect(names.filter((name) => !new RegExp(`^${name}(\\{| )`, 'm').test(shown))).toEqual([]);
  }, 90_000);

  it('TEL-01 TEL-02 has the thirteen instruments by their names', () => {
    const named = [
      'signet_execution_count_total',
      'signet_execution_duration_bucket',
      'signet_execution_token_count_bucket',
      'signet_module_execute_count_total{module_name="predict",implementation="native"',
      'signet_module_execute_duration_bucket{module_name="predict"',
      'signet_python_call_count_total',
      'signet_python_call_duration_bucket',
      'signet_python_error_count_total',
      'signet_cache_hit_total',
      'signet_cache_miss_total',
      'signet_llm_request_count_total{provider="openai"',
      'signet_llm_request_duration_bucket{provider="openai"',
      'signet_llm_request_tokens_total{provider="openai"',
    ];
    expect(named.filter((name) => !shown.includes(name))).toEqual([]);
  });

  it('times calls by the conventions: in seconds, with their bounds, and no id or key among the labels', () => {
    expect(shown).toMatch(
      /http_server_request_duration_bucket\{url_scheme="http",http_request_method="POST",http_response_status_code="200",http_route="\/v1\/programs\/\{program\}:execute"[^}]*le="0\.075"\}/,
    );
    expect(shown).toMatch(
      /rpc_server_call_duration_bucket\{rpc_system_name="grpc",rpc_method="signet\.v1\.RuntimeService\/ExecuteProgram",rpc_response_status_code="OK"[^}]*le="0\.005"\}/,
    );
    for (const hidden of [stack.adminKey, stack.internalToken, stack.secretKey, 'sk-metrics-0123456789']) {
      expect(shown.includes(hidden)).toBe(false);
    }
    expect(shown).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/);
  });
});
