import type { Span } from './otlp.ts';

/** Writes one trace as a tree: a line a span with its service, its start after the root's and its duration. Spans whose parent did not come stand at the top. */
export function printTrace(spans: readonly Span[]): string {
  const ids = new Set(spans.map((span) => span.spanId));
  const byStart = [...spans].sort((a, b) => Number(a.startNs - b.startNs));
  const childrenOf = (parent: string) => byStart.filter((span) => span.parentSpanId === parent);
  const roots = byStart.filter((span) => !ids.has(span.parentSpanId));
  const rows: { tree: string; span: Span }[] = [];
  const seen = new Set<string>();
  const walk = (span: Span, lead: string, branch: string) => {
    // Ids come from outside: a circle must not hang the printer.
    if (seen.has(span.spanId)) return;
    seen.add(span.spanId);
    rows.push({ tree: `${lead}${branch}${span.name}`, span });
    const below = branch === '' ? lead : `${lead}${branch === '└─ ' ? '   ' : '│  '}`;
    const children = childrenOf(span.spanId);
    children.forEach((child, at) => {
      walk(child, below, at === children.length - 1 ? '└─ ' : '├─ ');
    });
  };
  for (const root of roots) walk(root, '', '');
  return layOut(rows);
}

function layOut(rows: { tree: string; span: Span }[]): string {
  const first = rows[0]?.span.startNs ?? 0n;
  const treeWidth = Math.max(...rows.map(({ tree }) => tree.length), 0);
  const serviceWidth = Math.max(...rows.map(({ span }) => span.service.length), 0);
  const lines = rows.map(({ tree, span }) => {
    const columns = [
      tree.padEnd(treeWidth),
      span.service.padEnd(serviceWidth),
      `+${ms(span.startNs - first)}`.padStart(10),
      ms(span.endNs - span.startNs).padStart(10),
    ];
    return `${columns.join('  ')}${span.status.code === 'error' ? '  ERROR' : ''}`;
  });
  return lines.join('\n');
}

function ms(durationNs: bigint): string {
  return `${(Number(durationNs) / 1e6).toFixed(1)} ms`;
}
