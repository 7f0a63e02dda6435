import { createHash, createHmac, randomBytes } from 'node:crypto';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const idLength = 8;
const secretLength = 32;
const checksumLength = 6;
const form = /^sgn_([0-9A-Za-z]{40})([0-9A-Za-z]{6})$/;

/** A new key: `sgn_`, 8 characters that find it again, 32 of secret (190 bits) and a checksum of 6. */
export function makeKey(): { readonly key: string; readonly prefix: string } {
  const body = randomText(idLength + secretLength);
  return { key: `sgn_${body}${checksum(body)}`, prefix: `sgn_${body.slice(0, idLength)}` };
}

/**
 * False if a text can be no key of ours, so that nonsense is refused without asking the database: 32 to 128 printable characters, and
 * the checksum of those that have our form.
 */
export function isPlausibleKey(text: string): boolean {
  if (!/^[\x21-\x7e]{32,128}$/.test(text)) return false;
  const match = form.exec(text);
  return match === null || checksum(match[1]!) === match[2];
}

/** What is kept of a key: an HMAC-SHA256 of all of it under a pepper. */
export function hashKey(key: string, pepper: string): Buffer {
  return createHmac('sha256', pepper).update('api-key:').update(key).digest();
}

function checksum(body: string): string {
  return toText(createHash('sha256').update(`signet-key:${body}`).digest(), checksumLength);
}

function randomText(length: number): string {
  let text = '';
  while (text.length < length) {
    // Bytes beyond the last whole round would make some characters likelier.
    for (const byte of randomBytes(64)) if (byte < 248 && text.length < length) text += alphabet[byte % 62];
  }
  return text;
}

function toText(bytes: Buffer, length: number): string {
  return Array.from(bytes.subarray(0, length), (byte) => alphabet[byte % 62]).join('');
}
