import type { ResolvedOptimizer as WireResolved } from '@signet/proto/gen/signet/internal/v1/registry.ts';
import {
  type OptimizerKind as WireKind,
  type Optimizer as WireOptimizer,
  OptimizerType as WireType,
} from '@signet/proto/gen/signet/v1/optimizer.ts';
import type { CreateOptimizerRequest, UpdateOptimizerRequest } from '@signet/proto/gen/signet/v1/optimizer_service.ts';
import { etagOf } from '../check/etag.ts';
import type { CreateOptimizerInput } from './create-optimizer.ts';
import { kinds } from './kinds.ts';
import { type Optimizer, type OptimizerType, optimizerTypes } from './optimizer.ts';
import type { ResolvedOptimizer } from './resolve-optimizer.ts';
import type { OptimizerField, UpdateOptimizerInput } from './update-optimizer.ts';

/** Kinds of optimizers on the wire. */
export const wireTypes: Record<OptimizerType, WireType> = {
  labeled_few_shot: WireType.OPTIMIZER_TYPE_LABELED_FEW_SHOT,
  bootstrap: WireType.OPTIMIZER_TYPE_BOOTSTRAP,
  random_search: WireType.OPTIMIZER_TYPE_RANDOM_SEARCH,
  copro: WireType.OPTIMIZER_TYPE_COPRO,
  mipro: WireType.OPTIMIZER_TYPE_MIPRO,
  simba: WireType.OPTIMIZER_TYPE_SIMBA,
  gepa: WireType.OPTIMIZER_TYPE_GEPA,
  infer_rules: WireType.OPTIMIZER_TYPE_INFER_RULES,
  beacon: WireType.OPTIMIZER_TYPE_BEACON,
  custom: WireType.OPTIMIZER_TYPE_CUSTOM,
};

/** Reads a kind; undefined if nothing is said, null for a value that nobody knows. */
export function readType(wire: WireType): OptimizerType | undefined | null {
  if (wire === WireType.OPTIMIZER_TYPE_UNSPECIFIED) return undefined;
  return optimizerTypes.find((type) => wireTypes[type] === wire) ?? null;
}

/** Writes an optimizer. */
export function toWireOptimizer(optimizer: Optimizer): WireOptimizer {
  const { id, slug, name, description, config, state, labels, createTime, updateTime } = optimizer;
  return {
    ...{ id, slug, name, description, config, state, labels, createTime, updateTime },
    type: wireTypes[optimizer.type],
    etag: etagOf(optimizer),
  };
}

/** Writes the table of kinds. */
export function toWireKinds(): WireKind[] {
  return optimizerTypes.map((type) => ({
    type: wireTypes[type],
    name: type,
    implementation: kinds[type].implementation,
    description: kinds[type].description,
    keys: kinds[type].keys.map(({ defaultValue, choices = [], required = false, ...key }) => ({
      ...key,
      choices: [...choices],
      required,
      defaultValue,
    })),
  }));
}

/** Writes an optimizer with the settings of one job. */
export function toWireResolvedOptimizer(resolved: ResolvedOptimizer): WireResolved {
  const { optimizer, type, config, jobDefaults, narrowed } = resolved;
  return {
    id: optimizer?.id ?? '',
    slug: optimizer?.slug ?? '',
    type: wireTypes[type],
    ...{ config, jobDefaults, narrowed },
  };
}

/** Reads a request to make an optimizer. */
export function readCreate(request: CreateOptimizerRequest): CreateOptimizerInput {
  const { name, slug, description, config, labels } = request;
  return { name, slug, description, config, labels, type: readType(request.type) };
}

/** Reads a request to change an optimizer. */
export function readUpdate(request: UpdateOptimizerRequest): UpdateOptimizerInput {
  const { optimizer, etag, updateMask, name, description, config, labels } = request;
  const given: Record<OptimizerField, boolean> = {
    name: name !== undefined,
    description: description !== undefined,
    config: config !== undefined,
    labels: Object.keys(labels).length > 0,
  };
  return {
    ...{ optimizer, etag, updateMask, config, labels },
    set: (Object.keys(given) as OptimizerField[]).filter((field) => given[field]),
    name: name ?? '',
    description: description ?? '',
  };
}
