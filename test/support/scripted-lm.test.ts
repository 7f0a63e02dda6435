import { afterEach, describe, expect, it } from 'vitest';
import { answerPrompt } from './scripted-answer.ts';
import { type ScriptedLm, startScriptedLm } from './scripted-lm.ts';

let lm: ScriptedLm | undefined;
afterEach(() => lm?.close());

const chatReminder =
  "Respond with the corresponding output fields, starting with the field `[[ ## answer ## ]]`, then `[[ ## tags ## ]]` (must be formatted as a valid Python list[str]), then `[[ ## kind ## ]]` (must be formatted as a valid Python Literal['a, b', 'c']), then `[[ ## score ## ]]` (must be formatted as a valid Python float), and then ending with the marker for `[[ ## completed ## ]]`.";

function ask(url: string, body: object, signal?: AbortSignal): Promise<Response> {
  return fetch(`${url}/chat/completions`, { method: 'POST', body: JSON.stringify(body), signal: signal ?? null });
}

describe('the scripted answer', () => {
  it('fills the sections that the Chat reminder asks for', () => {
    const text = answerPrompt([
      {
        role: 'system',
        content: 'Your output fields are:\n4. `score` (float): \nConstraints: greater than or equal to: 3',
      },
      { role: 'user', content: `[[ ## question ## ]]\nx\n\n${chatReminder}` },
    ]);
    expect(text).toBe(
      '[[ ## answer ## ]]\nscripted answer\n\n[[ ## tags ## ]]\n["scripted tags"]\n\n[[ ## kind ## ]]\na, b\n\n[[ ## score ## ]]\n3\n\n[[ ## completed ## ]]',
    );
  });

  it('writes the object that the JSON reminder asks for', () => {
    const content =
      'Respond with a JSON object in the following order of fields: `n` (must be formatted as a valid Python Union[int, NoneType]), then `ok` (must be formatted as a valid Python bool).';
    expect(answerPrompt([{ role: 'user', content }])).toBe('{"n":7,"ok":true}');
  });

  it('answers a prompt of nobody with one sentence', () => {
    expect(answerPrompt([])).toBe('This is a scripted reply.');
  });
});

describe('the scripted endpoint', () => {
  it('counts, records and does what the queue says before the default', async () => {
    lm = await startScriptedLm({ behaviour: { kind: 'text', text: 'default' } });
    lm.enqueue({ kind: 'status', status: 429, retryAfter: '3' });
    const refused = await ask(lm.url, { model: 'm' });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '3']);
    const reply = (await (await ask(lm.url, { model: 'm' })).json()) as { choices: { message: { content: string } }[] };
    expect(reply.choices[0]!.message.content).toBe('default');
    expect(lm.calls).toBe(2);
    expect(lm.requests[1]!.path).toBe('/v1/chat/completions');
  });

  it('streams, and breaks a stream off where told', async () => {
    lm = await startScriptedLm();
    lm.enqueue({ kind: 'text', text: 'abcdefghijk' }, { kind: 'chunks', chunks: ['a', 'b'], breakAfter: 1 });
    const whole = await (await ask(lm.url, { stream: true })).text();
    expect(whole.match(/"content":"[^"]*"/g)).toEqual(['"content":"abcdefgh"', '"content":"ijk"']);
    expect(whole.endsWith('data: [DONE]\n\n')).toBe(true);
    await expect((await ask(lm.url, { stream: true })).text()).rejects.toThrow();
  });

  it('knows which client went away', async () => {
    lm = await startScriptedLm({ behaviour: { kind: 'silence' } });
    await expect(ask(lm.url, {}, AbortSignal.timeout(100))).rejects.toThrow();
    await expect.poll(() => lm?.requests[0]?.closedByClient).toBe(true);
  });
});
