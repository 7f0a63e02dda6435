import { OptimizerType } from '@signet/proto/gen/signet/v1/optimizer.ts';
import {
  CreateOptimizerRequest,
  type DeepPartial,
  ListOptimizersRequest,
  OptimizerServiceService as optimizers,
  UpdateOptimizerRequest,
} from '@signet/proto/gen/signet/v1/optimizer_service.ts';
import { UpdateProgramRequest } from '@signet/proto/gen/signet/v1/program_service.ts';
import { describe, expect, it } from 'vitest';
import { FieldChecks } from '../check/field-checks.ts';
import { inner, programs, refusal } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';
import { checkConfig } from './check-config.ts';
import { kinds } from './kinds.ts';
import { narrowByHints } from './narrow-by-hints.ts';
import { optimizerTypes } from './optimizer.ts';

const registry = useTestRegistry();
const create = (fields: DeepPartial<CreateOptimizerRequest> = {}) =>
  registry.call(
    optimizers.createOptimizer,
    CreateOptimizerRequest.fromPartial({ name: 'search', type: OptimizerType.OPTIMIZER_TYPE_MIPRO, ...fields }),
    'editor',
  );
const update = (fields: DeepPartial<UpdateOptimizerRequest>) =>
  registry.call(optimizers.updateOptimizer, UpdateOptimizerRequest.fromPartial(fields), 'editor');
const faults = async (call: Promise<unknown>): Promise<string[]> =>
  (await refusal(call)).fieldViolations.map(({ field }) => field).toSorted();

describe('optimizers', () => {
  it('OPT-01 are made of a name and a type, with an empty config and state', async () => {
    const made = await create({ name: 'Große Suche' });
    expect(made).toMatchObject({
      slug: 'gro-e-suche',
      type: OptimizerType.OPTIMIZER_TYPE_MIPRO,
      config: {},
      state: {},
    });
    for (const optimizer of [made.id, made.slug]) {
      expect(await registry.call(optimizers.getOptimizer, { optimizer })).toEqual(made);
    }
    expect((await create({ name: 'Große Suche' })).slug).toBe('gro-e-suche-2');
    expect((await refusal(create({ slug: made.slug }))).reason).toBe('NAME_TAKEN');
  });

  it.each(['SIMBA', 'BEACON', 'BOOTSTRAP', 'MIPRO', 'CUSTOM'] as const)('OPT-01 takes the type %s', async (name) => {
    const config = name === 'CUSTOM' ? { name: 'mine' } : {};
    expect((await create({ type: OptimizerType[`OPTIMIZER_TYPE_${name}`], config })).config).toEqual(config);
  });

  it('OPT-01 refuses what has no name or no type, all at once', async () => {
    expect(await faults(create({ name: ' ', type: 0, slug: 'No', labels: { X: '' } }))).toEqual([
      ...['labels["X"]', 'name', 'slug', 'type'],
    ]);
    expect(await faults(create({ type: 99 as OptimizerType }))).toEqual(['type']);
  });

  it('refuses settings out of range, of another kind and of another type, each by its path', async () => {
    const config = { num_candidates: 0, num_trials: 1.5, minibatch: 'yes', auto: 'enormous', breadth: 3, seed: -1 };
    expect(await faults(create({ config }))).toEqual([
      ...['config.auto', 'config.auto', 'config.breadth', 'config.minibatch', 'config.num_candidates'],
      ...['config.num_trials', 'config.seed'],
    ]);
    expect(await faults(create({ config: { num_trials: 3 } }))).toEqual(['config.num_candidates']);
    const budget = { lm_calls: -1, tokens: 'many', usd: 1e308, seconds: 0.5, hours: 3 };
    expect(await faults(create({ config: { budget, metric: { kind: 'luck' } } }))).toEqual([
      ...['config.budget.hours', 'config.budget.lm_calls', 'config.budget.seconds', 'config.budget.tokens'],
      ...['config.budget.usd', 'config.metric.kind'],
    ]);
    const right = { budget: { lmCalls: '500', usd: 0.5 }, metric: { kind: 'exact_match', field: 'answer' } };
    expect((await create({ config: right })).config).toEqual(right);
    const gepa = { type: OptimizerType.OPTIMIZER_TYPE_GEPA, config: { auto: 'light', max_metric_calls: 3 } };
    expect(await faults(create(gepa))).toEqual(['config.max_metric_calls']);
    expect(await faults(create({ type: OptimizerType.OPTIMIZER_TYPE_CUSTOM }))).toEqual(['config.name']);
    const steps = { type: OptimizerType.OPTIMIZER_TYPE_BEACON, config: { steps: ['bootstrap', 'custom', 7] } };
    expect(await faults(create(steps))).toEqual(['config.steps[1]', 'config.steps[2]']);
  });

  it('are changed by those who saw them, their type and slug apart', async () => {
    const made = await create({ config: { auto: 'light' } });
    const changed = await update({ optimizer: made.slug, etag: made.etag, config: { auto: 'heavy' }, name: 'wide' });
    expect(changed).toMatchObject({ name: 'wide', config: { auto: 'heavy' }, slug: made.slug });
    expect((await refusal(update({ optimizer: made.id, etag: made.etag, name: 'x' }))).reason).toBe('ETAG_MISMATCH');
    expect(await faults(update({ optimizer: made.id, config: { auto: 'no' } }))).toEqual(['config.auto']);
    expect(await faults(update({ optimizer: made.id, updateMask: ['type'] }))).toEqual(['update_mask']);
    expect((await refusal(update({ optimizer: 'nobody', name: 'x' }))).reason).toBe('OPTIMIZER_NOT_FOUND');
  });

  it('are listed by filter and page, and forgotten', async () => {
    const made = await create({ name: 'lost', type: OptimizerType.OPTIMIZER_TYPE_COPRO });
    const list = (fields: DeepPartial<ListOptimizersRequest>) =>
      registry.call(optimizers.listOptimizers, ListOptimizersRequest.fromPartial(fields));
    expect((await list({ filter: 'type = copro' })).optimizers).toEqual([made]);
    const { nextPageToken } = await list({ pageSize: 1 });
    expect((await list({ pageSize: 1, pageToken: nextPageToken })).optimizers).toHaveLength(1);
    expect((await refusal(list({ filter: 'type = pony' }))).reason).toBe('FILTER_SYNTAX');
    await registry.call(optimizers.deleteOptimizer, { optimizer: made.id, etag: made.etag, requestId: '' }, 'editor');
    expect((await list({ filter: 'type = copro' })).optimizers).toEqual([]);
    expect((await refusal(registry.call(optimizers.getOptimizer, { optimizer: 'lost' }))).reason).toBe(
      'OPTIMIZER_NOT_FOUND',
    );
  });

  it('are named by programs, which forget one that goes', async () => {
    const made = await create({ name: 'of a program' });
    const program = await registry.createProgram({ name: 'with one', optimizer: made.slug });
    expect(program.optimizerId).toBe(made.id);
    const change = (optimizer: string) =>
      registry.call(
        programs.updateProgram,
        UpdateProgramRequest.fromPartial({ program: program.id, optimizer, updateMask: ['optimizer'] }),
      );
    expect((await change('')).optimizerId).toBe('');
    expect((await change(made.id)).optimizerId).toBe(made.id);
    expect((await refusal(change('nobody'))).reason).toBe('OPTIMIZER_NOT_FOUND');
    await registry.call(optimizers.deleteOptimizer, { optimizer: made.id, etag: '', requestId: '' }, 'editor');
    const after = await registry.call(programs.getProgram, { program: program.id, includeArchived: false });
    expect(after.optimizerId).toBe('');
  });

  it('leaves a trace of each change in the audit log', async () => {
    const { id } = await create({ name: 'watched' });
    const { rows } = await registry.sql.query(
      `select operation, actor from registry.audit_log where resource = 'optimizer' and resource_id = $1`,
      [id],
    );
    expect(rows).toEqual([{ operation: 'create', actor: 'editor' }]);
  });

  it('tells every kind with its settings, and takes each default as a setting', async () => {
    const { kinds: listed } = await registry.call(optimizers.listOptimizerKinds, {});
    expect(listed.map(({ name }) => name)).toEqual([...optimizerTypes]);
    for (const type of optimizerTypes) {
      const checks = new FieldChecks();
      const defaults = kinds[type].keys.flatMap(({ name, defaultValue }) =>
        defaultValue === undefined ? [] : [[name, defaultValue] as const],
      );
      const config = { ...Object.fromEntries(defaults), ...(type === 'custom' ? { name: 'mine' } : {}) };
      checkConfig(type, config, checks);
      expect(() => checks.done()).not.toThrow();
    }
  });
});

describe('hints of a module', () => {
  const narrow = (type: 'mipro' | 'bootstrap' | 'beacon' | 'copro', hints: readonly object[], config = {}) => {
    const checks = new FieldChecks();
    const given = hints.map((hint) => ({ strategy: '', ...hint })) as never;
    const narrowed = narrowByHints({ type, config, hints: given }, checks);
    checks.done();
    return narrowed;
  };

  it('narrow numbers to their range and choices to what is allowed', () => {
    const hints = [
      { parameter: 'max_demos', range: { min: 0, max: 2 } },
      { parameter: 'auto', choices: ['medium'] },
    ];
    expect(narrow('mipro', hints)).toEqual({ max_bootstrapped_demos: 2, max_labeled_demos: 2, auto: 'medium' });
    expect(narrow('bootstrap', [{ parameter: 'max_rounds', choices: [4, 9] }], { max_rounds: 8 })).toEqual({
      max_rounds: 9,
    });
    expect(narrow('bootstrap', [{ parameter: 'max_demos', range: { min: 0, max: 99 } }])).toEqual({});
    expect(
      narrow('mipro', [
        { parameter: 'elsewhere', choices: [1] },
        { parameter: 'auto', choices: ['x'] },
      ]),
    ).toEqual({});
  });

  it('keep instructions as they are: kinds that change them are refused, a policy leaves them out', () => {
    const fixed = { parameter: 'instructions', choices: ['as they are'], strategy: 'fixed' };
    expect(() => narrow('copro', [fixed])).toThrow(/copro changes the instructions/);
    expect(narrow('bootstrap', [fixed])).toEqual({});
    expect(narrow('beacon', [fixed])).toEqual({ steps: ['labeled_few_shot', 'bootstrap', 'random_search'] });
    expect(() => narrow('beacon', [fixed], { steps: ['gepa'] })).toThrow(/all of them change the instructions/);
  });
});

describe('the service between our processes', () => {
  it('joins kept settings with those of a job and tells what jobs look for', async () => {
    const { slug, id } = await create({ config: { auto: 'light', dataset: 'questions', seed: 4 } });
    const { id: program } = await registry.createProgram({ name: 'resolved' });
    const resolve = (fields: object) =>
      registry.call(inner.resolveOptimizer, { optimizer: '', type: 0, config: undefined, program, ...fields });
    expect(await resolve({ optimizer: slug, config: { auto: 'heavy', max_errors: 0 } })).toEqual({
      ...{ id, slug, type: OptimizerType.OPTIMIZER_TYPE_MIPRO, narrowed: {} },
      ...{ config: { auto: 'heavy', max_errors: 0 }, jobDefaults: { dataset: 'questions', seed: 4 } },
    });
    expect(await faults(resolve({}))).toEqual(['optimizer']);
    expect(await faults(resolve({ optimizer: slug, type: OptimizerType.OPTIMIZER_TYPE_COPRO }))).toEqual(['type']);
    expect(await faults(resolve({ optimizer: slug, config: { auto: 3 } }))).toEqual(['config.auto']);
    expect((await refusal(resolve({ optimizer: 'nobody' }))).reason).toBe('OPTIMIZER_NOT_FOUND');
    expect((await refusal(resolve({ program: 'nobody', type: 1 }))).reason).toBe('PROGRAM_NOT_FOUND');
  });
});
