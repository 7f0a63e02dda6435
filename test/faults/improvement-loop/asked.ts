import { createHash } from 'node:crypto';
import type { Random } from '../../support/random.ts';
import { textOf } from '../../support/scripted-answer.ts';
import type { Behaviour, SeenRequest } from '../../support/scripted-lm.ts';

/** One question to the language model: what it is for, when it came and when its answer left. */
export type Asked = { readonly key: string; readonly fromMs: number; readonly untilMs: number };

/** Remembers what a language model was asked; equal questions of one piece of work have equal keys. */
export class AskedLog {
  private readonly random: Random;
  private asked: Asked[] = [];

  constructor(random: Random) {
    this.random = random;
  }

  /** Everything since the last call of this, which begins anew. */
  take(): readonly Asked[] {
    const all = this.asked;
    this.asked = [];
    return all;
  }

  /** How many questions came since the last `take`. */
  get count(): number {
    return this.asked.length;
  }

  /** Answers after 30 to 230 ms: questions of the dataset rightly where a demo shows how, any other with made-up values. */
  answer(request: SeenRequest): Behaviour {
    const delayMs = 30 + this.random.below(200);
    const messages = request.body.messages ?? [];
    const last = textOf(messages.at(-1)?.content);
    const fromMs = Date.now();
    this.asked.push({ key: keyOf(request, last), fromMs, untilMs: fromMs + delayMs });
    const number = /\bq (\d+)\b/.exec(last)?.[1];
    if (number === undefined) return { kind: 'answer', delayMs };
    const isShown = messages.some(({ role }) => role === 'assistant');
    const answer = isShown ? `N${number}` : 'who knows';
    return { kind: 'text', text: `[[ ## answer ## ]]\n${answer}\n\n[[ ## completed ## ]]`, delayMs };
  }
}

// A step of a pipeline and an item of a batch say who they are; an optimizer's questions are told apart by all that they hold.
function keyOf({ body }: SeenRequest, last: string): string {
  const named = /\b(?:tag|item)-[\w-]+/.exec(last)?.[0];
  if (named !== undefined) return named;
  const { stream: _, stream_options: __, ...question } = body;
  return `optimizer ${createHash('sha256').update(JSON.stringify(question)).digest('hex').slice(0, 16)}`;
}
