import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LanguageModel, type LanguageModelInput, startLanguageModel } from './language-model.ts';

const DATA_DIR = resolve(import.meta.dirname, '..', '..', process.env.SIGNET_DATA_DIR ?? '.signet');
const PYTHON = join(DATA_DIR, 'venv', 'bin', 'python');
const MODELS = join(DATA_DIR, 'models');
const logFile = { path: '', write: () => undefined, note: () => undefined };

let room: string;
let started: LanguageModel[] = [];

beforeEach(() => {
  room = mkdtempSync(join(tmpdir(), 'signet-model-'));
});

afterEach(async () => {
  await Promise.all(started.map((model) => model.stop()));
  started = [];
  rmSync(room, { recursive: true, force: true });
});

async function start(input: Partial<LanguageModelInput>): Promise<LanguageModel> {
  const inherited = { PATH: process.env.PATH };
  const model = await startLanguageModel({
    python: join(room, 'python'),
    modelsDir: room,
    inherited,
    logFile,
    log: () => undefined,
    ...input,
  });
  started.push(model);
  return model;
}

describe('choice of the language model', () => {
  it('takes the named one where one is named', async () => {
    const named = await start({ model: { model: 'openai/gpt-4o-mini', apiKey: 'k' } });
    expect(named.env).toEqual({ SIGNET_LM_MODEL: 'openai/gpt-4o-mini', SIGNET_LM_API_KEY: 'k' });
  });

  it('refuses a GGUF file that is not there', async () => {
    await expect(start({ ggufPath: '/no/such.gguf' })).rejects.toThrow(
      'SIGNET_LM_GGUF: there is no file /no/such.gguf',
    );
  });

  it('takes a scripted one that says why where the packages cannot be had', async () => {
    const scripted = await start({});
    expect(scripted.kind).toBe('scripted');
    expect(scripted.description).toMatch(/scripted model.*cannot run: .*ENOENT/);
    expect(scripted.env.SIGNET_LM_CONSTRAINED).toBe('none');
    expect(readdirSync(room)).toEqual([]);
  });

  it('takes a scripted one where the processor lacks what the server needs', async () => {
    mkdirSync(join(room, 'xllamacpp-2026.10.11549'));
    writeFileSync(join(room, 'smollm2-135m-instruct-q4_1.gguf'), '');
    writeFileSync(join(room, 'python'), '#!/bin/sh\nkill -ILL $$\n', { mode: 0o755 });
    const scripted = await start({});
    expect(scripted.description).toMatch(/language model ended by SIGILL/);
    const body = JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] });
    const response = await fetch(`${scripted.env.SIGNET_LM_API_BASE}/chat/completions`, { method: 'POST', body });
    expect(response.status).toBe(200);
  });
});

const isFetched =
  existsSync(MODELS) && readdirSync(MODELS).filter((name) => !name.startsWith('unfinished')).length >= 2;
if (!isFetched) console.log('embedded model: skipped, it was never fetched (npm run demo does)');

describe.skipIf(!isFetched)('embedded model', { timeout: 60_000 }, () => {
  it('is held to a grammar and a schema, asks for its key, and ends with its launcher', async () => {
    const model = await start({ python: PYTHON, modelsDir: MODELS });
    expect(model.kind).toBe('embedded');
    const ask = (fields: object, key = model.env.SIGNET_LM_API_KEY) =>
      fetch(`${model.env.SIGNET_LM_API_BASE}/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ messages: [{ role: 'user', content: 'Say something.' }], max_tokens: 64, ...fields }),
      });
    const contentOf = async (response: Response) => {
      const reply = (await response.json()) as { choices: { message: { content: string } }[] };
      return reply.choices[0]?.message.content ?? '';
    };
    expect(await contentOf(await ask({ grammar: 'root ::= "[[ ## n ## ]]\\n" [0-9]{1,3} "\\n"' }))).toMatch(
      /^\[\[ ## n ## \]\]\n\d{1,3}\n$/,
    );
    const schema = {
      type: 'object',
      properties: { yes: { type: 'boolean' } },
      required: ['yes'],
      additionalProperties: false,
    };
    const held = await ask({
      response_format: { type: 'json_schema', json_schema: { name: 'reply', strict: true, schema } },
    });
    expect(JSON.parse(await contentOf(held))).toEqual({ yes: expect.any(Boolean) });
    expect((await ask({}, 'another')).status).toBe(401);
    await model.stop();
    await expect(ask({})).rejects.toThrow();
  });
});
