import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A key and a certificate for `localhost`, good for a day; undefined where there is no openssl to make them. */
export function selfSigned(): { key: Buffer; certificate: Buffer } | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'signet-tls-'));
  try {
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const files = ['-keyout', key, '-out', certificate];
    const how = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
    const made = spawnSync('openssl', ['req', ...how, ...files, ...subject], { stdio: 'ignore' });
    if (made.status !== 0) return undefined;
    return { key: readFileSync(key), certificate: readFileSync(certificate) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
