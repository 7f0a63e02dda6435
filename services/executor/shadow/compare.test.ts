import type { JsonObject } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { describe, expect, it } from 'vitest';
import { compareRuns } from './compare.ts';
import type { ComparedCall, ComparedRun } from './shadow.ts';

const call = (hash: string, ...contents: string[]): ComparedCall => ({
  requestHash: Buffer.from(hash),
  messages: contents.map((content) => ({ role: 'user', content })),
});
const run = (outputs: string | undefined, calls: ComparedCall[] = [], failure = ''): ComparedRun => ({
  calls,
  outputs: outputs === undefined ? undefined : (parseJson(outputs) as JsonObject),
  failure,
});

describe('comparing two runs', () => {
  it('finds nothing where requests, outputs and failures are the same', () => {
    expect(compareRuns(run('{"a":1}', [call('x', 'm')]), run('{"a":1}', [call('x', 'm')]))).toEqual({});
    expect(compareRuns(run(undefined, [], 'MODULE_FAILED'), run(undefined, [], 'MODULE_FAILED'))).toEqual({});
  });

  it('tells 1 from 1.0, true from "true", and the order of keys', () => {
    const { outputs } = compareRuns(
      run('{"n":1,"b":true,"d":{"x":1,"y":2},"same":[1.50]}'),
      run('{"n":1.0,"b":"true","d":{"y":2,"x":1},"same":[1.50]}'),
    );
    expect(outputs).toEqual([
      { field: 'n', primary: '1', shadow: '1.0' },
      { field: 'b', primary: 'true', shadow: '"true"' },
      { field: 'd', primary: '{"x":1,"y":2}', shadow: '{"y":2,"x":1}' },
    ]);
  });

  it('names the first message that differs and goes no further', () => {
    const long = 'x'.repeat(5_000);
    const found = compareRuns(
      run('{}', [call('1', 'same'), call('2', 'same', `${long}one${long}`), call('3', 'a')]),
      run('{}', [call('1', 'same'), call('X', 'same', `${long}two${long}`), call('Y', 'b')]),
    );
    expect(found.messages).toMatchObject({ call: 2, message: 2, at: 5_006 });
    expect(found.messages?.primary).toMatch(/^…x{100}onex+…$/);
    expect(found.messages?.shadow).toMatch(/^…x{100}twox+…$/);
    expect(found.messages?.primary.length).toBe(2_002);
  });

  it('says so where only the options of a request differ, or a message is unknown', () => {
    expect(compareRuns(run('{}', [call('1', 'm')]), run('{}', [call('2', 'm')]))).toEqual({ request: { call: 1 } });
    const unknown: ComparedCall = { requestHash: Buffer.from('2'), messages: undefined };
    expect(compareRuns(run('{}', [call('1', 'm')]), run('{}', [unknown]))).toEqual({ request: { call: 1 } });
  });

  it('counts calls, and tells a message that is missing from an empty one', () => {
    const found = compareRuns(run('{}', [call('1', 'm', '')]), run('{}', [call('2', 'm'), call('3', 'n')]));
    expect(found).toEqual({
      lm_calls: { primary: 1, shadow: 2 },
      messages: { call: 1, message: 2, at: 0, primary: 'user: ', shadow: '' },
    });
  });

  it('keeps only what Postgres can keep', () => {
    const found = compareRuns(run('{"a":"x"}', [call('1', 'a\0\ud800b')]), run('{"a":"x"}', [call('2', 'a')]));
    expect(found.messages?.primary).toBe('user: a\u2400\ufffdb');
  });

  it('compares failures by reason, not outputs with failures', () => {
    expect(compareRuns(run('{"a":1}'), run(undefined, [], 'LM_REPLY_UNREADABLE'))).toEqual({
      error: { primary: '', shadow: 'LM_REPLY_UNREADABLE' },
    });
  });
});
