import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { isObject, type JsonObject } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import type { LookupContext } from '../catalog/catalog.ts';
import type { LanguageModels } from '../catalog/language-models.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import type { DatasetClient, DatasetExample, DatasetVersion, Split } from '../dataset/datasets.grpc.ts';
import { type Engines, requireEngine } from '../engine/choose-engine.ts';
import type { LmEndpoint } from '../engine/engine.ts';
import { asksLm, dspyMetrics, type Metric, needsExpected } from '../metric/metric.ts';
import { metricProgram } from '../metric/sidecar-metric.ts';
import { prepareWhenThere } from '../runtime/initialize-program.ts';

/** What looking at a metric needs. */
export type CheckMetricDeps = {
  readonly datasets: DatasetClient;
  readonly languageModels: LanguageModels;
  readonly engines: Engines;
};

/** What is to fit together. */
export type Fit = {
  readonly metric: Metric;
  readonly program: ServedProgram;
  readonly dataset: DatasetVersion;
  readonly splits: readonly Split[];
  /** Whom the program asks; undefined if nobody. */
  readonly programLm: LmEndpoint | undefined;
};

const prepareMaxMs = 30_000;

/**
 * Makes sure that a program can be given these examples and a metric score its answers by them, as far as the first example tells; each further one is looked at
 * when its turn comes. Fails with INVALID_REQUEST, LM_NOT_FOUND, LM_NOT_CONFIGURED and MODULE_INVALID.
 */
export async function checkFit(deps: CheckMetricDeps, fit: Fit, ctx: LookupContext): Promise<void> {
  const { metric, program } = fit;
  const first = await firstExample(deps, fit, ctx);
  if (first !== undefined) checkInputs(first, program);
  const expected = first === undefined ? new Map() : objectOf(first.outputsJson);
  checkFields(metric, expected, program);
  if (asksLm(metric) && metric.kind !== 'python') await endpointOf(deps, metric, fit.programLm, ctx);
  if (metric.kind === 'python' || metric.kind === 'dspy') {
    // Says at once that a name is not on the allow-list, or that its arguments do not fit.
    const made = metricProgram({ ...metric, kind: metric.kind });
    const deadlineMs = Math.min(ctx.deadlineMs ?? Number.POSITIVE_INFINITY, Date.now() + prepareMaxMs);
    await prepareWhenThere(requireEngine(deps.engines, 'python'), made, { ...ctx, deadlineMs }).catch(aboutMetric);
  }
}

// The sidecar knows a metric as a program; its caller knows it as a field.
function aboutMetric(error: unknown): never {
  if (!(error instanceof AppError) || error.reason !== 'MODULE_INVALID') throw error;
  const description = error.message.replace(/^module_config\./, 'metric.arguments.');
  const field = /^metric\.arguments\.\w+/.exec(description)?.[0] ?? 'metric.name';
  throw new AppError(error.reason, description, {
    ...{ fieldViolations: [{ field, reason: error.reason, description }], metadata: { ...error.metadata, field } },
    cause: error,
  });
}

/** Whom a metric asks: the language model that it names, else the program's; undefined for a metric that may do without. */
export async function endpointOf(
  deps: Pick<CheckMetricDeps, 'languageModels'>,
  metric: Metric,
  programLm: LmEndpoint | undefined,
  ctx: LookupContext,
): Promise<LmEndpoint | undefined> {
  if (metric.lm !== undefined) return deps.languageModels.resolve(metric.lm, ctx);
  if (programLm !== undefined || !asksLm(metric)) return programLm;
  if (metric.kind === 'python') return deps.languageModels.peek('');
  return deps.languageModels.resolve('', ctx);
}

async function firstExample(deps: CheckMetricDeps, { dataset, splits }: Fit, ctx: LookupContext) {
  const query = { dataset: dataset.id, version: dataset.version, splits, limit: 1 };
  let first: DatasetExample | undefined;
  for await (const example of deps.datasets.read(query, ctx)) first ??= example;
  return first;
}

// One value may be odd; fields that the program does not have, or needs and does not get, are those of another program.
function checkInputs({ inputsJson }: DatasetExample, program: ServedProgram): void {
  const checked = program.checkInputs(objectOf(inputsJson));
  const misfit = checked.ok ? undefined : checked.violations.find(({ reason }) => reason.startsWith('FIELD_'));
  if (misfit === undefined) return;
  throw invalidField(
    'dataset',
    `its examples are not for this program: ${misfit.field}: ${misfit.description}`,
    misfit.reason,
  );
}

function checkFields(metric: Metric, expected: JsonObject, { engineProgram }: ServedProgram): void {
  const outputs = engineProgram.signature.outputs.map(({ name }) => name);
  const dspy = metric.kind === 'dspy' ? dspyMetrics.get(metric.name ?? '') : undefined;
  const field = metric.field ?? dspy?.field;
  // A module may tell more than its signature declares, so only a signature that is certain to lack the field is an error.
  if (field !== undefined && engineProgram.module === 'predict' && outputs.length > 0 && !outputs.includes(field)) {
    const names = outputs.map((name) => `\`${name}\``).join(', ');
    throw invalidField('metric.field', `the program gives ${names} and no \`${field}\``, 'UNKNOWN');
  }
  if (!needsExpected(metric)) return;
  if (expected.size === 0) {
    throw invalidField('metric', 'the examples expect no outputs, which this metric needs', 'EXPECTED_MISSING');
  }
  const wanted = metric.expected_field ?? (dspy && dspy.expected !== dspy.field ? dspy.expected : field);
  if (wanted !== undefined ? expected.has(wanted) : expected.size === 1 || outputs.length === 1) return;
  const names = [...expected.keys()].map((name) => `\`${name}\``).join(', ');
  const name = metric.expected_field === undefined ? 'field' : 'expected_field';
  const what = wanted === undefined ? 'it has to say which one is compared' : `there is no \`${wanted}\` among them`;
  throw invalidField(`metric.${name}`, `the examples expect ${names}: ${what}`, 'EXPECTED_MISSING');
}

function objectOf(json: string): JsonObject {
  const value = parseJson(json || '{}');
  return isObject(value) ? value : new Map();
}
