import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { demand, QA_INPUTS, readyProgram, uniqueName } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { answerPrompt, type ChatMessage } from '../support/scripted-answer.ts';
import { type Stack, startStack } from '../support/stack.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`skipped: ${missing}`);
const credential = 'credential-of-the-provider-0123456789';

type Seen = { path: string; headers: IncomingHttpHeaders; body: JsonObject };

describe.skipIf(missing !== undefined)('providers with a form of their own', { timeout: 60_000 }, () => {
  let stack: Stack;
  let server: Server;
  let origin = '';
  const seen: Seen[] = [];

  beforeAll(async () => {
    server = createServer(async (request, response) => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const asked = {
        path: request.url ?? '',
        headers: request.headers,
        body: JSON.parse(Buffer.concat(parts).toString()),
      };
      seen.push(asked);
      const events = asked.path === '/v1/messages' ? anthropicEvents(asked) : geminiEvents(asked);
      const isStream = asked.body.stream === true || asked.path.includes(':stream');
      response.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' });
      response.end(
        isStream ? events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('') : JSON.stringify(whole(asked)),
      );
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    origin = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    stack = await startStack({ engines: 'python', env: { SIGNET_LM_ALLOW_PRIVATE: 'true' } });
  }, 60_000);
  beforeEach(() => void seen.splice(0));
  afterAll(async () => {
    await stack?.close();
    server?.closeAllConnections();
    server?.close();
  });

  const programOn = async (model: string): Promise<string> => {
    const fields = { name: uniqueName('lm'), model, apiBase: origin, credential };
    const lm = String(demand(await stack.http.post('/v1/languageModels', fields), 201).slug);
    const configuration = { lm, lmOptions: { temperature: 0.3, max_tokens: 321 } };
    return String((await readyProgram(stack, { adapterType: 'python_port', configuration })).slug);
  };

  it.each([
    ['anthropic/claude-x', '/v1/messages', 'x-api-key'],
    ['gemini/gemini-x', '/v1beta/models/gemini-x:generateContent', 'x-goog-api-key'],
  ])('answer a program on %s, whole', async (model, path, header) => {
    const program = await programOn(model);
    const answer = demand(await stack.http.post(`/v1/programs/${program}:execute`, { inputs: QA_INPUTS }), 200);
    expect(answer.outputs).toEqual({ answer: 'scripted answer', confidence: 0.5 });
    const [asked] = seen;
    expect([asked?.path, asked?.headers[header], asked?.headers.authorization]).toEqual([path, credential, undefined]);
    expect(JSON.stringify(asked?.body)).toContain('321');
    const { metrics } = demand(await stack.http.get(`/v1/executions/${answer.executionId}`), 200);
    expect(metrics).toMatchObject({ tokens_in: 21, tokens_out: 9, model });
    expect(stack.logs()).not.toContain(credential);
  });

  it.each(['anthropic/claude-y', 'gemini/gemini-y'])('answer a program on %s, as it grows', async (model) => {
    const program = await programOn(model);
    const stream = await stack.sse(`/v1/programs/${program}:stream`, { inputs: QA_INPUTS });
    const events = [];
    for await (const event of stream.events) events.push(event);
    const text = events.filter(({ event }) => event === 'token').map(({ data }) => String(data.text));
    expect(text.length).toBeGreaterThan(0);
    expect(text.join('')).toContain('scripted answer');
    expect(events.at(-1)?.event).toBe('result');
  });
});

// The prompt in OpenAI's words, out of either form.
function promptOf({ path, body }: Seen): ChatMessage[] {
  const isAnthropic = path === '/v1/messages';
  const text = (parts: unknown): string => (parts as { text: string }[]).map((part) => part.text).join('');
  const system = isAnthropic ? body.system : (body.systemInstruction as JsonObject | undefined)?.parts;
  const turns = (isAnthropic ? body.messages : body.contents) as { role: string; content?: unknown; parts?: unknown }[];
  return [
    { role: 'system', content: text(system) },
    ...turns.map((turn) => ({ role: turn.role, content: text(turn.content ?? turn.parts) })),
  ];
}

function whole(seen: Seen): object {
  const text = answerPrompt(promptOf(seen));
  if (seen.path === '/v1/messages') {
    const usage = { input_tokens: 21, output_tokens: 9 };
    return { type: 'message', content: [{ type: 'text', text }], stop_reason: 'end_turn', usage };
  }
  const usageMetadata = { promptTokenCount: 21, candidatesTokenCount: 9 };
  return { candidates: [{ content: { role: 'model', parts: [{ text }] }, finishReason: 'STOP' }], usageMetadata };
}

function piecesOf(seen: Seen): string[] {
  return answerPrompt(promptOf(seen)).match(/[\s\S]{1,9}/g) ?? [];
}

function anthropicEvents(seen: Seen): object[] {
  return [
    { type: 'message_start', message: { usage: { input_tokens: 21, output_tokens: 1 } } },
    ...piecesOf(seen).map((text) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })),
    { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 9 } },
    { type: 'message_stop' },
  ];
}

function geminiEvents(seen: Seen): object[] {
  return [
    ...piecesOf(seen).map((text) => ({ candidates: [{ content: { role: 'model', parts: [{ text }] } }] })),
    {
      candidates: [{ content: { role: 'model', parts: [] }, finishReason: 'STOP' }],
      usageMetadata: { promptTokenCount: 21, candidatesTokenCount: 9 },
    },
  ];
}
