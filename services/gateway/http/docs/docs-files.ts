import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** One file of the documentation page, held in memory. */
export type DocsFile = { readonly type: string; readonly body: Buffer; readonly gzipped: Buffer };

/** What the page may do: run our files and ask our own door; nothing inline, nothing from elsewhere. */
export const docsPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

const html = 'text/html; charset=utf-8';
const script = 'text/javascript; charset=utf-8';
const style = 'text/css; charset=utf-8';

/** The page that shows the API and lets one try it, with everything that it needs, by path. Read once, when first asked for. */
export function createDocsFiles(): ReadonlyMap<string, () => DocsFile> {
  const ours = join(import.meta.dirname, 'page');
  const viewer = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  const files: [path: string, type: string, file: string][] = [
    ['/docs', html, join(ours, 'index.html')],
    ['/docs/docs.js', script, join(ours, 'docs.js')],
    ['/docs/docs.css', style, join(ours, 'docs.css')],
    ['/docs/icon.svg', 'image/svg+xml', join(ours, 'icon.svg')],
    ['/docs/swagger-ui-bundle.js', script, join(viewer, 'swagger-ui-bundle.js')],
    ['/docs/swagger-ui.css', style, join(viewer, 'swagger-ui.css')],
  ];
  return new Map(files.map(([path, type, file]) => [path, once(() => readDocsFile(type, file))]));
}

function readDocsFile(type: string, file: string): DocsFile {
  const body = readFileSync(file);
  return { type, body, gzipped: gzipSync(body) };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
