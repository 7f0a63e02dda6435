import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isObject, jsonFromPlain, plainFromJson } from '@signet/signature/json.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../../../test/support/source-files.ts';
import { loadFunctions } from './load-functions.ts';

let room = '';
beforeAll(() => {
  room = mkdtempSync(join(tmpdir(), 'signet-functions-'));
});
afterAll(() => rmSync(room, { recursive: true, force: true }));

function file(text: string): string {
  const path = join(room, `${Math.random().toString(36).slice(2)}.ts`);
  writeFileSync(path, text);
  return path;
}

describe('functions of the operator', () => {
  it('stand beside those of Signet, and are given and give plain data', async () => {
    const functions = await loadFunctions(join(ROOT, 'test', 'fixtures', 'functions', 'functions.ts'));
    expect([...functions.keys()]).toEqual(expect.arrayContaining(['merge_and_rank', 'value', 'count_words']));
    const counted = functions.get('count_words')!(jsonFromPlain({ text: 'one  two' }));
    expect(isObject(counted) && plainFromJson(counted)).toEqual({ words: 2 });
    expect(() => functions.get('later')!(null)).toThrow('gives a promise');
    expect([...(await loadFunctions(undefined)).keys()].sort()).toEqual(['merge_and_rank', 'value']);
  });

  it.each([
    ['there is no file', join('nowhere', 'functions.ts'), /Cannot find/],
    ['it exports no function', 'export const a = 1;', /exports no function/],
    ['one has a name of Signet', 'export function value() {}', /`value` is Signet's own/],
    ['one has a bad name', 'export function BadName() {}', /must be named like/],
    ['it throws', 'throw new Error("no");', /no/],
  ])('are refused with their path when %s', async (_, text, message) => {
    const path = text.startsWith('nowhere') ? text : file(text);
    await expect(loadFunctions(path)).rejects.toThrow(message);
    await expect(loadFunctions(path)).rejects.toThrow(`SIGNET_FUNCTIONS: ${path}`);
  });

  it('fail the step, not the process, where they give what is no data', async () => {
    const functions = await loadFunctions(file('export function odd() { return { when: () => 1 }; }'));
    expect(() => functions.get('odd')!(null)).toThrow();
  });
});
