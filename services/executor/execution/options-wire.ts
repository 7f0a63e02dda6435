import { invalidField } from '@signet/kit/error/app-error.ts';
import { Engine as WireEngine } from '@signet/proto/gen/signet/v1/common.ts';
import { type ExecutionOptions, CacheScope as WireScope } from '@signet/proto/gen/signet/v1/execution.ts';
import { RoutingStrategy as WireStrategy } from '@signet/proto/gen/signet/v1/module.ts';
import type { EngineName, RoutingStrategy } from '../engine/engine.ts';
import type { RunOptions } from './execution.ts';
import { wireEngines } from './wire.ts';

/** Options as a request brings them; what is not said is absent. INVALID_REQUEST for an unknown engine. */
export function fromOptions(options: ExecutionOptions | undefined): RunOptions {
  if (options === undefined) return {};
  const engine = engineOf(options.engine);
  const shadow = engineOf(options.shadow, 'shadow');
  const strategy = strategyOf(options.routingStrategy);
  return {
    ...(options.timeoutMs === 0n ? {} : { timeout_ms: Number(options.timeoutMs) }),
    ...(options.maxRetries === undefined ? {} : { max_retries: options.maxRetries }),
    ...(options.cache === undefined ? {} : { cache: options.cache }),
    ...(engine === undefined ? {} : { engine }),
    ...(options.version === 0 ? {} : { version: options.version }),
    ...(options.versionLabel === '' ? {} : { version_label: options.versionLabel }),
    ...(options.stickyKey === '' ? {} : { sticky_key: options.stickyKey }),
    ...(options.lm === '' ? {} : { lm: options.lm }),
    ...(strategy === undefined ? {} : { routing_strategy: strategy }),
    ...(shadow === undefined ? {} : { shadow }),
    ...(isForKeyAlone(options.cacheScope) ? { cache_scope: 'key' } : {}),
  };
}

/** Options as callers see them; what was not said is unset. */
export function toWireOptions(options: RunOptions): ExecutionOptions {
  return {
    timeoutMs: BigInt(options.timeout_ms ?? 0),
    maxRetries: options.max_retries,
    cache: options.cache,
    engine: options.engine === undefined ? WireEngine.ENGINE_UNSPECIFIED : wireEngines[options.engine],
    version: options.version ?? 0,
    versionLabel: options.version_label ?? '',
    stickyKey: options.sticky_key ?? '',
    lm: options.lm ?? '',
    routingStrategy:
      options.routing_strategy === undefined
        ? WireStrategy.ROUTING_STRATEGY_UNSPECIFIED
        : wireStrategies[options.routing_strategy],
    shadow: options.shadow === undefined ? WireEngine.ENGINE_UNSPECIFIED : wireEngines[options.shadow],
    cacheScope: options.cache_scope === 'key' ? WireScope.CACHE_SCOPE_KEY : WireScope.CACHE_SCOPE_UNSPECIFIED,
  };
}

function isForKeyAlone(scope: WireScope): boolean {
  const { CACHE_SCOPE_UNSPECIFIED, CACHE_SCOPE_PROGRAM, CACHE_SCOPE_KEY } = WireScope;
  if (scope === CACHE_SCOPE_KEY) return true;
  // A scope that nobody knows may have been meant to share less.
  if (scope === CACHE_SCOPE_UNSPECIFIED || scope === CACHE_SCOPE_PROGRAM) return false;
  throw invalidField('execution_options.cache_scope', `${scope} is not a scope`);
}

function strategyOf(strategy: WireStrategy): RoutingStrategy | undefined {
  if (strategy === WireStrategy.ROUTING_STRATEGY_UNSPECIFIED) return undefined;
  const found = (Object.keys(wireStrategies) as RoutingStrategy[]).find((name) => wireStrategies[name] === strategy);
  if (found === undefined) throw invalidField('execution_options.routing_strategy', `${strategy} is not a strategy`);
  return found;
}

const wireStrategies: Readonly<Record<RoutingStrategy, WireStrategy>> = {
  native_first: WireStrategy.ROUTING_STRATEGY_NATIVE_FIRST,
  python_first: WireStrategy.ROUTING_STRATEGY_PYTHON_FIRST,
  performance_based: WireStrategy.ROUTING_STRATEGY_PERFORMANCE_BASED,
};

function engineOf(engine: WireEngine, field = 'engine'): EngineName | undefined {
  if (engine === WireEngine.ENGINE_UNSPECIFIED) return undefined;
  const found = (Object.keys(wireEngines) as EngineName[]).find((name) => wireEngines[name] === engine);
  if (found === undefined) throw invalidField(`execution_options.${field}`, `${engine} is not an engine`);
  return found;
}
