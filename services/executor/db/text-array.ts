/** A cell of an array: text, or nothing. */
export type Cell = string | null;

const textOid = 25;

/**
 * Writes a `text[]` in Postgres' binary form. The driver sends buffers as they are, so no quotes have to be escaped here and read
 * again there, which is most of the price of long JSON texts.
 */
export function encodeTextArray(cells: readonly Cell[]): Buffer {
  let sizeBytes = 20;
  for (const cell of cells) sizeBytes += 4 + (cell === null ? 0 : bytesAtMost(cell));
  const buffer = Buffer.allocUnsafe(cells.length === 0 ? 12 : sizeBytes);
  buffer.writeInt32BE(cells.length === 0 ? 0 : 1, 0);
  buffer.writeInt32BE(1, 4);
  buffer.writeInt32BE(textOid, 8);
  if (cells.length === 0) return buffer;
  buffer.writeInt32BE(cells.length, 12);
  buffer.writeInt32BE(1, 16);
  let at = 20;
  for (const cell of cells) {
    const written = cell === null ? -1 : write(buffer, cell, at + 4);
    buffer.writeInt32BE(written, at);
    at += 4 + Math.max(written, 0);
  }
  return at === buffer.length ? buffer : buffer.subarray(0, at);
}

// Most cells are ids, names and numbers: to call out of JavaScript for each of them costs more than they do.
const shortChars = 64;

function bytesAtMost(cell: string): number {
  return cell.length <= shortChars ? cell.length * 3 : Buffer.byteLength(cell);
}

function write(buffer: Buffer, cell: string, at: number): number {
  if (cell.length > shortChars) return buffer.write(cell, at);
  for (let index = 0; index < cell.length; index++) {
    const code = cell.charCodeAt(index);
    if (code > 0x7f) return buffer.write(cell, at);
    buffer[at + index] = code;
  }
  return cell.length;
}
