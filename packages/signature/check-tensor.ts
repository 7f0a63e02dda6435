import { isArray, isObject, JsonNumber, type JsonValue } from './json.ts';
import { isSettled, type Run, refuse } from './violation.ts';

// Bytes of one element.
const dtypes = new Map([
  ['bool', 1],
  ['int8', 1],
  ['int16', 2],
  ['int32', 4],
  ['int64', 8],
  ['uint8', 1],
  ['uint16', 2],
  ['uint32', 4],
  ['uint64', 8],
  ['float16', 2],
  ['bfloat16', 2],
  ['float32', 4],
  ['float64', 8],
]);

const axesMax = 16;
const base64 = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * Checks a tensor: `shape` (at most 16 sizes), `dtype`, and either `data` (numbers, flat or nested as the shape says) or
 * `bytes` (base64), of as many elements as the shape says.
 */
export function checkTensor(value: JsonValue, run: Run): JsonValue | undefined {
  if (!isObject(value))
    return refuse(run, 'TYPE_MISMATCH', 'expected `tensor`, an object of shape, dtype and data or bytes');
  for (const key of value.keys()) {
    if (!['shape', 'dtype', 'data', 'bytes'].includes(key)) {
      return at(run, key, () => refuse(run, 'FIELD_UNKNOWN', 'a tensor has shape, dtype and data or bytes'));
    }
  }
  const shape = at(run, 'shape', () => readShape(value.get('shape'), run));
  const dtype = at(run, 'dtype', () => readDtype(value.get('dtype'), run));
  if (shape === undefined || dtype === undefined) return undefined;
  const data = value.get('data');
  const bytes = value.get('bytes');
  if ((data === undefined) === (bytes === undefined)) {
    return refuse(run, 'TYPE_MISMATCH', 'a tensor has either data or bytes');
  }
  const count = shape.reduce((product, size) => product * size, 1);
  const fits =
    data === undefined
      ? at(run, 'bytes', () => checkBytes(bytes, run, count * dtypes.get(dtype)!))
      : at(run, 'data', () => checkData(data, run, shape, count, dtype));
  return fits ? value : undefined;
}

function at<T>(run: Run, key: string, look: () => T): T {
  run.path[run.depth++] = key;
  const found = look();
  run.depth--;
  return found;
}

function readShape(value: JsonValue | undefined, run: Run): number[] | undefined {
  const sizes = value !== undefined && isArray(value) ? value.map(sizeOf) : [-1];
  const product = sizes.reduce((count, size) => count * Math.max(size, 1), 1);
  if (sizes.length <= axesMax && sizes.every((size) => size >= 0) && Number.isSafeInteger(product)) return sizes;
  return refuse(run, 'TYPE_MISMATCH', `expected a list of at most ${axesMax} sizes, integers from 0`);
}

function sizeOf(value: JsonValue): number {
  if (!(value instanceof JsonNumber) || !value.isInteger) return -1;
  const size = value.toNumber();
  return Number.isSafeInteger(size) ? size : -1;
}

function readDtype(value: JsonValue | undefined, run: Run): string | undefined {
  if (typeof value === 'string' && dtypes.has(value)) return value;
  return refuse(run, 'TYPE_MISMATCH', `expected one of ${[...dtypes.keys()].join(', ')}`);
}

function checkBytes(value: JsonValue | undefined, run: Run, sizeBytes: number): true | undefined {
  if (typeof value !== 'string' || value.length % 4 !== 0 || !base64.test(value)) {
    return refuse(run, 'TYPE_MISMATCH', 'expected base64 text');
  }
  const padding = value.endsWith('==') ? 2 : value.endsWith('=') ? 1 : 0;
  const given = (value.length / 4) * 3 - padding;
  return given === sizeBytes ? true : refuse(run, 'CONSTRAINT_VIOLATED', `expected ${sizeBytes} bytes, got ${given}`);
}

function checkData(data: JsonValue, run: Run, shape: number[], count: number, dtype: string): true | undefined {
  if (!isArray(data)) return refuse(run, 'TYPE_MISMATCH', 'expected a list of numbers');
  const nested = shape.length > 1 && data.length > 0 && isArray(data[0]!);
  return checkLevel(data, run, nested ? shape : [count], 0, dtype) ? true : undefined;
}

function checkLevel(value: JsonValue, run: Run, sizes: number[], axis: number, dtype: string): boolean {
  if (axis === sizes.length) {
    if (isElement(value, dtype)) return true;
    refuse(run, 'TYPE_MISMATCH', `expected a number of dtype ${dtype}`);
    return false;
  }
  if (!isArray(value) || value.length !== sizes[axis]) {
    refuse(run, 'CONSTRAINT_VIOLATED', `expected a list of ${sizes[axis]} items by the shape`);
    return false;
  }
  let fits = true;
  const depth = run.depth++;
  for (let index = 0; index < value.length && (fits || !isSettled(run)); index++) {
    run.path[depth] = index;
    fits = checkLevel(value[index]!, run, sizes, axis + 1, dtype) && fits;
  }
  run.depth = depth;
  return fits;
}

function isElement(value: JsonValue, dtype: string): boolean {
  if (dtype === 'bool') return typeof value === 'boolean';
  if (!(value instanceof JsonNumber)) return false;
  if (dtype.includes('float')) return Number.isFinite(value.toNumber());
  return value.isInteger && !(dtype.startsWith('u') && value.text.startsWith('-'));
}
