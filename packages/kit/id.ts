import { randomFillSync } from 'node:crypto';

const pool = Buffer.allocUnsafe(4096);
let poolOffset = pool.length;
let lastMs = 0;
let counter = 0;

/**
 * Makes a UUIDv7 (RFC 9562): milliseconds since 1970, then a 12-bit counter that keeps ids of one process in order within a
 * millisecond, then 62 random bits.
 */
export function newId(nowMs: number = Date.now()): string {
  if (poolOffset + 10 > pool.length) {
    randomFillSync(pool);
    poolOffset = 0;
  }
  if (nowMs > lastMs) {
    lastMs = nowMs;
    counter = ((pool[poolOffset]! << 8) | pool[poolOffset + 1]!) & 0x7ff;
  } else if (++counter > 0xfff) {
    lastMs++;
    counter = 0;
  }
  const time = lastMs.toString(16).padStart(12, '0');
  const tail = pool.toString('hex', poolOffset + 2, poolOffset + 10);
  poolOffset += 10;
  const variant = ((Number.parseInt(tail[0]!, 16) & 0x3) | 0x8).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, '0')}-${variant}${tail.slice(1, 4)}-${tail.slice(4)}`;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** True if a string is a UUID in lower case. */
export function isId(value: string): boolean {
  return uuid.test(value);
}

/** When a UUIDv7 was made, in milliseconds since 1970. */
export function timeOfId(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}
