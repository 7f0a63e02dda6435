import { urlFault } from '@signet/kit/net/private-address.ts';
import type { FieldChecks } from '../check/field-checks.ts';

const toolsMax = 32;
const argumentsMax = 32;
const timeoutMaxMs = 60_000;
const name = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;
const keys = ['name', 'description', 'args', 'url', 'method', 'timeout_ms'];

/**
 * Checks the tools of an agent: HTTP endpoints as data. Whether an address may be reached is decided when it is called, where the
 * name is resolved; here only its form is looked at.
 */
export function checkTools(path: string, tools: unknown, checks: FieldChecks): void {
  if (tools === undefined) return;
  if (!Array.isArray(tools)) {
    checks.add(path, 'must be a list of tools');
    return;
  }
  if (tools.length > toolsMax) checks.add(path, `must have at most ${toolsMax} entries`, 'TOO_MANY');
  const names = new Set<unknown>();
  for (const [index, tool] of tools.slice(0, toolsMax).entries()) {
    const field = `${path}[${index}]`;
    if (!isRecord(tool)) {
      checks.add(field, 'must be an object');
      continue;
    }
    checkTool(field, tool, checks);
    if (names.has(tool.name)) checks.add(`${field}.name`, 'stands twice', 'DUPLICATE_ITEM');
    names.add(tool.name);
  }
}

type Json = Record<string, unknown>;

function checkTool(field: string, tool: Json, checks: FieldChecks): void {
  for (const key of Object.keys(tool)) {
    if (!keys.includes(key)) checks.add(field, `has an unknown key; there are ${keys.join(', ')}`, 'FIELD_UNKNOWN');
  }
  if (typeof tool.name !== 'string' || !name.test(tool.name)) {
    checks.add(`${field}.name`, 'must be an identifier of at most 64 characters');
  } else if (tool.name === 'finish') {
    checks.add(`${field}.name`, 'must not be finish: that is how an agent ends');
  }
  if (typeof (tool.description ?? '') !== 'string') checks.add(`${field}.description`, 'must be a text');
  else checks.text(`${field}.description`, String(tool.description ?? ''), { max: 2000 });
  checkArguments(`${field}.args`, tool.args, checks);
  checkUrl(`${field}.url`, tool.url, checks);
  if (tool.method !== undefined && tool.method !== 'GET' && tool.method !== 'POST') {
    checks.add(`${field}.method`, 'must be GET or POST');
  }
  const timeout = tool.timeout_ms;
  const fits = typeof timeout === 'number' && Number.isInteger(timeout) && timeout >= 1 && timeout <= timeoutMaxMs;
  if (timeout !== undefined && !fits) checks.add(`${field}.timeout_ms`, `must be an integer from 1 to ${timeoutMaxMs}`);
}

function checkArguments(field: string, args: unknown, checks: FieldChecks): void {
  if (args === undefined) return;
  if (!isRecord(args)) {
    checks.add(field, 'must be an object of argument names and JSON schemas');
    return;
  }
  const entries = Object.entries(args);
  if (entries.length > argumentsMax) checks.add(field, `must have at most ${argumentsMax} entries`, 'TOO_MANY');
  for (const [argument, schema] of entries.slice(0, argumentsMax)) {
    if (!name.test(argument)) checks.add(field, 'each name must be an identifier of at most 64 characters');
    else if (!isRecord(schema)) checks.add(`${field}.${argument}`, 'must be a JSON schema, an object');
  }
}

function checkUrl(field: string, url: unknown, checks: FieldChecks): void {
  if (typeof url !== 'string' || url === '') {
    checks.add(field, 'is required', 'REQUIRED');
    return;
  }
  if (url.length > 2048) checks.add(field, 'must have at most 2,048 characters', 'TOO_LONG');
  const fault = url.length > 2048 ? undefined : urlFault(url, { allowPrivate: true });
  if (fault !== undefined) checks.add(field, fault.description, fault.rule);
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
