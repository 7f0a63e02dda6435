import type { OpenApi } from './document.ts';

const style =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}' +
  'table{border-collapse:collapse;width:100%}td{padding:.3rem .6rem;border-bottom:1px solid #d8dee4;vertical-align:top}' +
  'code{font-family:ui-monospace,monospace}@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}td{border-color:#30363d}}';

/** Makes a page that lists every route; it needs nothing from the network. */
export function createDocsPage(openapi: OpenApi): () => string {
  const tags = [...new Set(openapi.routes.map((route) => route.tag))];
  const sections = tags.map((tag) => {
    const lines = openapi.routes
      .filter((route) => route.tag === tag)
      .map(
        (route) =>
          `<tr><td><code>${route.httpMethod}</code></td><td><code>${escapeHtml(route.path)}</code></td><td>${escapeHtml(route.summary)}</td></tr>`,
      );
    return `<h2>${escapeHtml(tag)}</h2><table>${lines.join('')}</table>`;
  });
  const page = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Signet API</title><style>${style}</style><h1>Signet API</h1><p>Send your key as <code>Authorization: Bearer KEY</code>. The whole description: <a href="/openapi.json">openapi.json</a>.</p>${sections.join('')}</html>\n`;
  return () => page;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
