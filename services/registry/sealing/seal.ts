import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const version = 1;
const ivBytes = 12;
const tagBytes = 16;

/** What is sealed: the credential of a language model, or a pepper of API keys. */
export type SealedKind = 'language-model' | 'pepper';

/** A sealed text, and which secret key opens it: the first 16 hex digits of a value derived from that key. */
export type Sealed = { readonly bytes: Buffer; readonly keyId: string };

/** Seals texts for the database and opens them again. */
export type Seal = {
  /** Names the secret key that seals; the same in each process that has it. */
  readonly keyId: string;
  /** Seals a text for one row: under another kind or id it does not open. */
  seal(kind: SealedKind, id: string, text: string): Sealed;
  /** Opens what was sealed; undefined if no secret key that is known sealed it, it was for another row, or was changed since. */
  open(kind: SealedKind, id: string, sealed: Uint8Array): string | undefined;
};

/**
 * Makes the seal of secret keys, of which the first seals and all open: AES-256-GCM under a key derived from it by HKDF-SHA256, with
 * kind and id as associated data.
 */
export function createSeal([secretKey, ...others]: readonly [string, ...string[]]): Seal {
  const key = sealingKey(secretKey);
  const keyId = derive(secretKey, 'signet secret key id', 8).toString('hex');
  const opening = [key, ...others.map(sealingKey)];
  return {
    keyId,
    seal(kind, id, text) {
      const iv = randomBytes(ivBytes);
      const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes });
      cipher.setAAD(associated(kind, id));
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return { bytes: Buffer.concat([Buffer.of(version), iv, cipher.getAuthTag(), body]), keyId };
    },
    open(kind, id, sealed) {
      const bytes = Buffer.from(sealed);
      if (bytes.length < 1 + ivBytes + tagBytes || bytes[0] !== version) return undefined;
      for (const candidate of opening) {
        const text = openWith(candidate, associated(kind, id), bytes);
        if (text !== undefined) return text;
      }
      return undefined;
    },
  };
}

function openWith(key: Buffer, data: Buffer, bytes: Buffer): string | undefined {
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(1, 1 + ivBytes), { authTagLength: tagBytes });
  decipher.setAAD(data);
  decipher.setAuthTag(bytes.subarray(1 + ivBytes, 1 + ivBytes + tagBytes));
  try {
    const body = decipher.update(bytes.subarray(1 + ivBytes + tagBytes));
    return Buffer.concat([body, decipher.final()]).toString('utf8');
  } catch {
    return undefined;
  }
}

function sealingKey(secretKey: string): Buffer {
  return derive(secretKey, 'signet language model credential', 32);
}

function derive(secretKey: string, use: string, sizeBytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secretKey, '', use, sizeBytes));
}

function associated(kind: SealedKind, id: string): Buffer {
  return Buffer.from(`${kind}:${version}:${id}`);
}
