import { Agent } from 'undici';
import { createGuardedLookup, type Resolver } from './guarded-lookup.ts';

/**
 * Makes an undici agent whose connections go to public addresses only, whatever a name is said to mean: see `createGuardedLookup`. Hosts that
 * are addresses themselves must be looked at by `urlFault` before. Redirects are not followed, as an agent never does by itself.
 */
export function createGuardedAgent(options: Agent.Options, resolve?: Resolver): Agent {
  const timeout = options.connectTimeout;
  const lookup = createGuardedLookup(resolve);
  return new Agent({ ...options, connect: { lookup, ...(timeout === undefined ? {} : { timeout }) } });
}
