import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const version = 1;
const ivBytes = 12;
const tagBytes = 16;

/** Seals texts for the database and opens them again. */
export type Seal = {
  /** Seals a text for one language model: under another id it does not open. */
  seal(id: string, text: string): Buffer;
  /** Opens what was sealed; undefined if it was sealed with another secret key, for another id, or was changed since. */
  open(id: string, sealed: Uint8Array): string | undefined;
};

/** Makes the seal of a secret key: AES-256-GCM under a key derived from it by HKDF-SHA256, with the id as associated data. */
export function createSeal(secretKey: string): Seal {
  const key = Buffer.from(hkdfSync('sha256', secretKey, '', 'signet language model credential', 32));
  return {
    seal(id, text) {
      const iv = randomBytes(ivBytes);
      const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes });
      cipher.setAAD(associated(id));
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return Buffer.concat([Buffer.of(version), iv, cipher.getAuthTag(), body]);
    },
    open(id, sealed) {
      const bytes = Buffer.from(sealed);
      if (bytes.length < 1 + ivBytes + tagBytes || bytes[0] !== version) return undefined;
      const iv = bytes.subarray(1, 1 + ivBytes);
      const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes });
      decipher.setAAD(associated(id));
      decipher.setAuthTag(bytes.subarray(1 + ivBytes, 1 + ivBytes + tagBytes));
      try {
        const body = decipher.update(bytes.subarray(1 + ivBytes + tagBytes));
        return Buffer.concat([body, decipher.final()]).toString('utf8');
      } catch {
        return undefined;
      }
    },
  };
}

function associated(id: string): Buffer {
  return Buffer.from(`language-model:${version}:${id}`);
}
