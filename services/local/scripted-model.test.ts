import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readAskedFields } from './asked-fields.ts';
import { answerPrompt, plainValue } from './scripted-answer.ts';
import { type ScriptedModel, startScriptedModel } from './scripted-model.ts';

const CHAT = [
  '[[ ## question ## ]]\nWho?\n\n',
  'Respond with the corresponding output fields, starting with the field `[[ ## answer ## ]]`, then `[[ ## confidence ## ]]` (must be formatted as a valid Python float), ',
  "then `[[ ## kind ## ]]` (must be formatted as a valid Python Literal['a, b', 'c']), and then ending with the marker for `[[ ## completed ## ]]`.",
].join('');
const JSON_PROMPT =
  'Who?\n\nRespond with a JSON object in the following order of fields: `answer`, then `tags` (must be formatted as a valid Python list[str]).';

let model: ScriptedModel;
beforeAll(async () => {
  model = await startScriptedModel();
});
afterAll(() => model.close());

function ask(body: unknown): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return fetch(`http://${model.address}/v1/chat/completions`, { method: 'POST', body: text });
}

describe('scripted model', () => {
  it('reads the asked fields of both forms', () => {
    expect(readAskedFields(CHAT)).toEqual({
      form: 'chat',
      fields: [
        { name: 'answer', type: 'str' },
        { name: 'confidence', type: 'float' },
        { name: 'kind', type: "Literal['a, b', 'c']" },
      ],
    });
    expect(readAskedFields(JSON_PROMPT)?.fields).toEqual([
      { name: 'answer', type: 'str' },
      { name: 'tags', type: 'list[str]' },
    ]);
    expect(readAskedFields('hello')).toBeUndefined();
    expect(readAskedFields(JSON_PROMPT + CHAT)?.form).toBe('chat');
    expect(readAskedFields(CHAT + JSON_PROMPT)?.form).toBe('json');
  });

  it('answers in the form asked for and says that it is scripted', () => {
    expect(answerPrompt(CHAT)).toBe(
      '[[ ## answer ## ]]\nThis is a scripted model: no language model read your question.\n\n[[ ## confidence ## ]]\n0.5\n\n[[ ## kind ## ]]\na, b\n\n[[ ## completed ## ]]\n',
    );
    expect(JSON.parse(answerPrompt(JSON_PROMPT))).toEqual({
      answer: expect.stringContaining('scripted'),
      tags: [expect.any(String)],
    });
  });

  it.each([
    ['int', 0],
    ['bool', false],
    ['Union[NoneType, int]', 0],
    ['NoneType', null],
    ['dict[str, Any]', {}],
    ['tuple[int, float]', [0, 0.5]],
    ['list[Union[int, str]]', [0]],
    ["Literal['it\\'s', 'b']", "it's"],
    ['Literal[True, 2]', true],
  ])('gives a plain %s', (type, value) => {
    expect(plainValue(type)).toEqual(value);
  });

  it('serves a completion with usage', async () => {
    const body = await (
      await ask({ model: 'scripted', messages: [{ role: 'user', content: [{ type: 'text', text: CHAT }] }] })
    ).json();
    expect(body).toMatchObject({
      object: 'chat.completion',
      choices: [{ finish_reason: 'stop' }],
      usage: { completion_tokens: expect.any(Number) },
    });
  });

  it('streams the same text in pieces and ends as OpenAI does', async () => {
    const request = {
      messages: [{ role: 'user', content: CHAT }],
      stream: true,
      stream_options: { include_usage: true },
    };
    const lines = (await (await ask(request)).text()).split('\n\n').filter(Boolean);
    expect(lines.at(-1)).toBe('data: [DONE]');
    const chunks = lines.slice(0, -1).map((line) => JSON.parse(line.slice('data: '.length)));
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe(answerPrompt(CHAT));
    expect(chunks.at(-1).usage.total_tokens).toBeGreaterThan(0);
  });

  it.each([['{"messages":'], ['{}'], ['null'], ['{"messages":"hi"}']])('answers 400 to %s', async (body) => {
    const response = await ask(body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { message: expect.any(String) } });
  });

  it('answers 404 elsewhere and survives messages without text', async () => {
    expect((await fetch(`http://${model.address}/v1/completions`, { method: 'POST', body: '{}' })).status).toBe(404);
    expect((await ask({ messages: [null] })).status).toBe(200);
    expect((await ask({ messages: [] })).status).toBe(200);
  });
});
