import { setTimeout as delay } from 'node:timers/promises';
import type { Told } from '../support/execution-audit.ts';
import type { HttpAnswer } from '../support/http.ts';
import { uniqueName } from '../support/programs.ts';
import type { Random } from '../support/random.ts';
import type { Stack } from '../support/stack.ts';

/** What each call is given, and how much later than that it may settle. */
const TIMEOUT_MS = 10_000;
const SLACK_MS = 6_000;
/** A caller who was not answered asks again with the same id, so often. */
const TRIES_MAX = 12;

/** What a caller may be told while processes die: done, accepted, not now, too late. Never a fault of ours. */
const EXPECTED = new Set([200, 202, 429, 503, 504]);

/** Callers that execute, create, repeat, cancel and wait over HTTP until they are stopped, and remember all that they were told. */
export class MixedLoad {
  readonly told: Told[] = [];
  /** Answers that no caller may ever get, and calls that were not answered in time. */
  readonly wrongs: string[] = [];
  /** How many calls came to what: a status, or `no answer`. */
  readonly outcomes = new Map<string, number>();
  private readonly stack: Stack;
  private readonly random: Random;
  private readonly slugs: readonly string[];
  private callers: Promise<void>[] = [];
  private open = 0;
  private isOver = false;

  constructor(stack: Stack, random: Random, slugs: readonly string[]) {
    this.stack = stack;
    this.random = random;
    this.slugs = slugs;
  }

  /** Calls that wait for their answer. */
  get inFlight(): number {
    return this.open;
  }

  /** Starts so many callers; each makes one call after another. */
  start(callers: number): void {
    this.callers = Array.from({ length: callers }, () => this.call());
  }

  /** Lets every call come to its answer and makes no more. */
  async stop(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.callers);
  }

  /** Executes the first program so many times at once; resolves when some are answered and others are on their way. */
  async burst(calls: number): Promise<void> {
    const some = 1 + this.random.below(calls / 2);
    await new Promise<void>((resolve) => {
      let answered = 0;
      const hear = (): void => {
        answered += 1;
        if (answered === some) resolve();
      };
      const running = Array.from({ length: calls }, () => this.execute(this.slugs[0]!).then(hear));
      this.callers.push(...running);
    });
  }

  private async call(): Promise<void> {
    while (!this.isOver) {
      const dice = this.random.below(100);
      if (dice < 35) await this.execute(this.random.pick(this.slugs));
      else if (dice < 75) await this.create();
      else if (dice < 85) await this.cancel();
      else await this.wait();
      await delay(this.random.below(20));
    }
  }

  private async execute(slug: string): Promise<void> {
    const requestId = this.random.below(2) === 0 ? uniqueName('attached') : undefined;
    const path = `/v1/programs/${slug}:execute`;
    const body = { inputs: this.inputs() };
    const answer = await this.insist(requestId, (headers) =>
      this.send(() => this.stack.http.post(path, body, headers)),
    );
    if (answer?.status !== 200) return;
    const { executionId, outputs } = answer.body;
    this.remember({ id: String(executionId), outputs, ...(requestId === undefined ? {} : { requestId }) });
  }

  private async create(): Promise<void> {
    const requestId = uniqueName('detached');
    const body = { program: this.random.pick(this.slugs), inputs: this.inputs() };
    const ask = (): Promise<HttpAnswer | undefined> =>
      this.insist(requestId, (headers) => this.send(() => this.stack.http.post('/v1/executions', body, headers)));
    // Now and then the answer is taken for lost although it came: the call is repeated.
    for (let times = this.random.below(4) === 0 ? 2 : 1; times > 0; times -= 1) {
      const answer = await ask();
      if (answer?.status === 202) this.remember({ id: String(answer.body.id), requestId });
    }
  }

  private async cancel(): Promise<void> {
    const id = this.anAccepted();
    if (id === undefined) return;
    // Asked for is enough: that it was done may be what got lost.
    this.remember({ id, isUnwanted: true });
    this.mark(await this.send(() => this.stack.http.post(`/v1/executions/${id}:cancel`, {}, headersOf())));
  }

  private async wait(): Promise<void> {
    const id = this.anAccepted();
    if (id === undefined) return;
    this.mark(await this.send(() => this.stack.http.get(`/v1/executions/${id}:wait?timeoutMs=2000`, headersOf())));
  }

  /** Remembers the end that an answer shows. */
  private mark(answer: HttpAnswer | undefined): void {
    if (answer?.status !== 200) return;
    const end = /^EXECUTION_STATUS_(COMPLETED|FAILED|CANCELLED)$/.exec(String(answer.body.status))?.[1];
    if (end !== undefined) this.remember({ id: String(answer.body.id), end: end.toLowerCase() });
  }

  private remember(told: Told): void {
    this.told.push(told);
  }

  private anAccepted(): string | undefined {
    const recent = this.told.slice(-60).filter(({ outputs }) => outputs === undefined);
    return recent.length === 0 ? undefined : this.random.pick(recent).id;
  }

  private inputs(): object {
    return { question: `question ${this.random.below(1_000_000)}`, context: ['one', 'two'] };
  }

  /** A call with an id is repeated until it is answered; one without is made once. */
  private async insist(
    requestId: string | undefined,
    ask: (options: { headers: Record<string, string> }) => Promise<HttpAnswer | undefined>,
  ): Promise<HttpAnswer | undefined> {
    for (let tries = 1; ; tries += 1) {
      const answer = await ask(headersOf(requestId));
      const isAnswered = answer !== undefined && answer.status < 300;
      if (isAnswered || requestId === undefined || tries === TRIES_MAX || this.isOver) return answer;
      await delay(100 + this.random.below(300));
    }
  }

  private async send(ask: () => Promise<HttpAnswer>): Promise<HttpAnswer | undefined> {
    const sinceMs = performance.now();
    this.open += 1;
    // A door that is gone is no answer at all.
    const answer = await ask().catch(() => undefined);
    this.open -= 1;
    const tookMs = Math.round(performance.now() - sinceMs);
    const outcome = answer === undefined ? 'no answer' : `${answer.status} ${answer.body.reason ?? ''}`.trim();
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    if (tookMs > TIMEOUT_MS + SLACK_MS) this.wrongs.push(`${outcome} after ${tookMs} ms`);
    if (answer !== undefined && !EXPECTED.has(answer.status) && !isCancelled(answer)) this.wrongs.push(answer.text);
    return answer;
  }
}

function isCancelled(answer: HttpAnswer): boolean {
  return answer.status === 499 && answer.body.reason === 'CANCELLED';
}

function headersOf(requestId?: string): { headers: Record<string, string> } {
  const headers: Record<string, string> = { 'x-timeout-ms': String(TIMEOUT_MS) };
  if (requestId !== undefined) headers['idempotency-key'] = requestId;
  return { headers };
}
