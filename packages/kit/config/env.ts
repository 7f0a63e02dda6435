import { readFileSync } from 'node:fs';

/** All faults of an environment in one message. */
export class ConfigError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`configuration: ${faults.join('; ')}`);
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

/** A host and a port; port 0 lets the system pick one. */
export type Address = { readonly host: string; readonly port: number };

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads an environment once and gathers what is wrong with it; `done` throws it all as one ConfigError. */
export class EnvReader {
  private readonly env: Environment;
  private readonly faults: string[] = [];

  constructor(env: Environment) {
    this.env = env;
  }

  /** A text, or the content of the file that NAME_FILE names. */
  optional(name: string): string | undefined {
    const direct = this.env[name];
    if (direct !== undefined && direct !== '') return direct;
    const path = this.env[`${name}_FILE`];
    if (path === undefined || path === '') return undefined;
    try {
      return readFileSync(path, 'utf8').trim();
    } catch (error) {
      this.faults.push(`${name}_FILE: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
      return undefined;
    }
  }

  text(name: string, fallback: string): string {
    return this.optional(name) ?? fallback;
  }

  required(name: string): string {
    const value = this.optional(name);
    if (value === undefined) this.faults.push(`${name} (or ${name}_FILE) is not set`);
    return value ?? '';
  }

  address(name: string, fallback: string): Address {
    const address = parseAddress(this.text(name, fallback));
    if (address === undefined) this.faults.push(`${name} must be HOST:PORT, such as ${fallback}`);
    return address ?? { host: '127.0.0.1', port: 0 };
  }

  /** Addresses between commas, at least one. */
  addresses(name: string, fallback: string): readonly Address[] {
    const found = this.text(name, fallback)
      .split(',')
      .map((part) => parseAddress(part.trim()));
    if (found.some((address) => address === undefined)) {
      this.faults.push(`${name} must be HOST:PORT, or several of them between commas`);
    }
    return found.filter((address) => address !== undefined);
  }

  optionalAddress(name: string): Address | undefined {
    return this.optional(name) === undefined ? undefined : this.address(name, '127.0.0.1:9464');
  }

  optionalUrl(name: string): string | undefined {
    const value = this.optional(name);
    if (value === undefined) return undefined;
    if (URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)) return value;
    this.faults.push(`${name} must be a URL such as http://127.0.0.1:4317`);
    return undefined;
  }

  number(name: string, fallback: number, bounds: { min: number; max: number }): number {
    const text = this.optional(name);
    if (text === undefined) return fallback;
    const value = Number(text);
    if (Number.isFinite(value) && value >= bounds.min && value <= bounds.max) return value;
    this.faults.push(`${name} must be a number from ${bounds.min} to ${bounds.max}`);
    return fallback;
  }

  integer(name: string, fallback: number, bounds: { min: number; max: number }): number {
    const value = this.number(name, fallback, bounds);
    if (Number.isInteger(value)) return value;
    this.faults.push(`${name} must be a whole number`);
    return fallback;
  }

  flag(name: string, fallback: boolean): boolean {
    return this.choice(name, ['true', 'false'] as const, fallback ? 'true' : 'false') === 'true';
  }

  choice<const T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const text = this.optional(name);
    if (text === undefined) return fallback;
    const found = choices.find((choice) => choice === text);
    if (found === undefined) this.faults.push(`${name} must be one of ${choices.join(', ')}`);
    return found ?? fallback;
  }

  /** Adds a fault that only the caller can see. */
  fault(message: string): void {
    this.faults.push(message);
  }

  /** Throws ConfigError if anything was wrong. */
  done(): void {
    if (this.faults.length > 0) throw new ConfigError(this.faults);
  }
}

/** Reads `HOST:PORT`, `[::1]:PORT` included. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:\s[\]]+):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[2]);
  return port > 65535 ? undefined : { host: match[1]!, port };
}

/** Reads `HOST:PORT,HOST:PORT`; undefined if any part of it is no address. */
export function parseAddresses(text: string): Address[] | undefined {
  const addresses = text.split(',').map((part) => parseAddress(part.trim()));
  return addresses.every((address) => address !== undefined) ? addresses : undefined;
}

/** Writes addresses as `HOST:PORT,HOST:PORT`. */
export function formatAddresses(addresses: readonly Address[]): string {
  return addresses.map(formatAddress).join(',');
}

/** Writes an address as `HOST:PORT`. */
export function formatAddress(address: Address): string {
  return `${address.host}:${address.port}`;
}
