import type { Rest, Row } from './bench.ts';

const HEAD = [
  'row',
  'LM ms',
  'in flight',
  'per s',
  'CPU ms',
  'p50 ms',
  'p99 ms',
  'first token',
  'CPU ms by process',
  'aside',
  'budget',
];

/** Writes rows as a Markdown table. CPU is milliseconds per call of everything but the load generator and the model, which stand aside. */
export function writeTable(rows: readonly Row[]): string {
  const cells = [HEAD, ...rows.map(writeRow)];
  const widths = HEAD.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => (column === 0 || column > 7 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [line(cells[0]!), rule, ...cells.slice(1).map(line)].join('\n');
}

function writeRow(row: Row): string[] {
  const first = row.firstTokenP50Ms;
  return [
    row.failures > 0 ? `${row.name} (${row.failures} FAILED)` : row.name,
    String(row.delayMs),
    String(row.inFlight),
    row.perSecond.toFixed(row.perSecond < 100 ? 1 : 0),
    row.cpuMs.toFixed(2),
    row.p50Ms.toFixed(1),
    row.p99Ms.toFixed(1),
    first === undefined ? '' : `${first.toFixed(1)} / ${row.firstTokenP99Ms?.toFixed(1)}`,
    by(row.cpuBy),
    by(row.aside),
    writeBudget(row),
  ];
}

function by(times: Readonly<Record<string, number>>): string {
  return Object.entries(times)
    .map(([name, ms]) => `${name} ${ms.toFixed(2)}`)
    .join(' ');
}

/** Writes what processes take at rest; Postgres may still be vacuuming what the load left. */
export function writeRest({ name, cpuMsPerSecond, cpuBy }: Rest): string {
  return `${name} at rest: ${cpuMsPerSecond.toFixed(1)} ms CPU a second (${by(cpuBy)})`;
}

/** What the design allows a row, and whether it kept to it; empty where nothing is said. */
export function writeBudget(row: Row): string {
  const judged = (what: string, is: number, most: number): string =>
    `${what} ≤ ${most}: ${is <= most ? 'kept' : `missed by ${(is - most).toFixed(2)}`}`;
  if (row.name === 'Signet, native, HTTP' || row.name === 'Signet, native, gRPC') return judged('CPU', row.cpuMs, 0.6);
  if (!row.name.startsWith('Signet, Python')) return '';
  if (row.firstTokenP50Ms !== undefined) {
    return `${judged('CPU', row.cpuMs, 4)}; ${judged('first token', row.firstTokenP50Ms, 5)}`;
  }
  const cpu = judged('CPU', row.cpuMs, 1.1);
  if (row.delayMs !== 50 || row.inFlight !== 32) return cpu;
  return `${cpu}; ${judged('added p50', row.p50Ms - 50, 5)}; ${judged('added p99', row.p99Ms - 50, 25)}`;
}

/** Compares rows of one run: the mock engine with the bare chain, Python with FastAPI + DSPy. */
export function writeRatios(rows: readonly Row[]): string[] {
  const lines: string[] = [];
  const find = (name: string, like: Row): Row | undefined =>
    rows.find((row) => row.name === name && row.inFlight === like.inFlight && row.delayMs === like.delayMs);
  const compare = (row: Row, other: Row | undefined, aim: string): void => {
    if (other === undefined || other.calls === 0 || row.calls === 0) return;
    const rate = (row.perSecond / other.perSecond).toFixed(2);
    const cpu = (row.cpuMs / other.cpuMs).toFixed(2);
    lines.push(
      `${row.name} / ${other.name} (${row.inFlight} in flight, LM ${row.delayMs} ms): ${rate} of the rate, ${cpu} of the CPU${aim}`,
    );
  };
  for (const row of rows) {
    const door = row.name.split(', ').at(-1);
    if (row.name.startsWith('Signet, mock')) {
      compare(row, find(`bare chain, 1 hop, ${door}`, row), '; aim ≥ 0.4 of the rate');
      compare(row, find(`bare chain, 2 hops, ${door}`, row), '; aim ≥ 0.4 of the rate');
    }
    if (row.name === 'Signet, native, HTTP') {
      compare(row, find('Signet, Python, HTTP', row), '');
      compare(row, find('FastAPI + DSPy, own engine', row), '');
      compare(row, find("FastAPI + DSPy, DSPy's client", row), '; aim ≤ 0.25 of the CPU');
      compare(row, find('bare chain, 1 hop, HTTP', row), '');
    }
    if (row.name.startsWith('Signet, native, cached')) {
      compare(row, find(row.name.replace(', cached', ''), row), '; aim ≥ 2 times the rate');
    }
    if (row.name === 'Signet, Python, HTTP') {
      compare(row, find('FastAPI + DSPy, own engine', row), '; aim ≤ 0.5 of the CPU');
      compare(row, find("FastAPI + DSPy, DSPy's client", row), '; aim ≤ 0.5 of the CPU');
    }
  }
  return lines;
}
