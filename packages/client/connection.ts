import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';

/** Certificates of an encrypted connection, in PEM. Without `ca` those that Node trusts are taken. */
export type TlsOptions = { readonly ca?: Buffer; readonly key?: Buffer; readonly certificate?: Buffer };

/** Where the service is and who calls. */
export type Connection = {
  /** `host:port` of the gateway's gRPC door; `https://host:port` stands for TLS. */
  readonly address: string;
  /** The API key; without one only what needs none can be called. */
  readonly key?: string;
  /** True, or certificates, for TLS. Default: by the address. */
  readonly tls?: boolean | TlsOptions;
};

type Environment = Readonly<Record<string, string | undefined>>;

/** Where a stack listens by default. */
export const DEFAULT_ADDRESS = '127.0.0.1:50050';

/**
 * Reads the connection out of an environment: SIGNET_ADDRESS or SIGNET_GRPC_ADDRESS, else the `run.json` of the stack that runs on
 * SIGNET_DATA_DIR (default `.signet`), else 127.0.0.1:50050; SIGNET_API_KEY or SIGNET_KEY, each also as NAME_FILE. Throws where a
 * file that is named cannot be read.
 */
export function connectionFromEnvironment(env: Environment): Connection {
  const address = env.SIGNET_ADDRESS || env.SIGNET_GRPC_ADDRESS || runningAddress(env.SIGNET_DATA_DIR || '.signet');
  const key = secret(env, 'SIGNET_API_KEY') ?? secret(env, 'SIGNET_KEY');
  return { address: address ?? DEFAULT_ADDRESS, ...(key === undefined ? {} : { key }) };
}

/** The gRPC door of the stack that runs on a data folder; undefined if none does. */
export function runningAddress(dataDir: string): string | undefined {
  try {
    const run = JSON.parse(readFileSync(join(dataDir, 'run.json'), 'utf8')) as { gateway?: { grpc?: unknown } };
    return typeof run.gateway?.grpc === 'string' ? run.gateway.grpc : undefined;
  } catch {
    return undefined;
  }
}

/** The target that grpc-js dials and how it secures the channel. Throws TypeError for what is no address. */
export function channelOf(connection: Connection): { target: string; credentials: ChannelCredentials } {
  const { address, tls } = connection;
  const [, scheme, target] =
    /^(?:(https?|grpcs?):\/\/)?((?:\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5})\/?$/.exec(address) ?? [];
  if (target === undefined) throw new TypeError('the address must be HOST:PORT, or https://HOST:PORT for TLS');
  const isSecure = tls === undefined ? scheme === 'https' || scheme === 'grpcs' : tls !== false;
  if (!isSecure) return { target: dialled(target), credentials: credentials.createInsecure() };
  const { ca, key, certificate } = typeof tls === 'object' ? tls : {};
  return { target: dialled(target), credentials: credentials.createSsl(ca, key, certificate) };
}

/** The value of the header `authorization`. Throws TypeError, without the key, for what cannot be one. */
export function bearerOf(key: string): string {
  if (!/^[\x21-\x7e]{1,512}$/.test(key)) throw new TypeError('the API key must be 1 to 512 printable characters');
  return `Bearer ${key}`;
}

// Names are looked up anew when a replica goes; literals need no look-up.
function dialled(target: string): string {
  const host = target.slice(0, target.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return isIP(host) === 0 ? `dns:///${target}` : target;
}

function secret(env: Environment, name: string): string | undefined {
  if (env[name]) return env[name];
  const path = env[`${name}_FILE`];
  return path ? readFileSync(path, 'utf8').trim() : undefined;
}
