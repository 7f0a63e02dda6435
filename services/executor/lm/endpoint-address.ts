import { AppError } from '@signet/kit/error/app-error.ts';
import type { LmEndpoint } from '../engine/engine.ts';
import { providerName } from './request-body.ts';

/** Where the requests of an endpoint go. */
export type LmAddress = {
  readonly origin: string;
  readonly path: string;
  /** `host:port`, for messages and spans. */
  readonly host: string;
  readonly hostname: string;
  readonly port: number;
};

const openAiBase = 'https://api.openai.com/v1';
const known = new Map<string, LmAddress>();

/** Finds the chat completions door of an endpoint; LM_NOT_CONFIGURED if its address is missing or cannot be one. */
export function resolveEndpoint(endpoint: LmEndpoint): LmAddress {
  const base = endpoint.apiBase === '' && providerName(endpoint.model) === 'openai' ? openAiBase : endpoint.apiBase;
  const seen = known.get(base);
  if (seen !== undefined) return seen;
  const address = parseBase(base);
  if (known.size >= 1000) known.clear();
  known.set(base, address);
  return address;
}

function parseBase(base: string): LmAddress {
  if (base === '') throw new AppError('LM_NOT_CONFIGURED', 'The language model has no address');
  const url = URL.parse(base);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new AppError('LM_NOT_CONFIGURED', "The language model's address is not an http or https URL");
  }
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  const path = `${url.pathname.replace(/\/+$/, '')}/chat/completions${url.search}`;
  return { origin: url.origin, path, host: `${url.hostname}:${port}`, hostname: url.hostname, port };
}
