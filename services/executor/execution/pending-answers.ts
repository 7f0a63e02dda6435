/** How far the keeping of something is. Neither promise rejects. */
export type Keeping = {
  /** Resolves when it is on its way to the database, whatever becomes of this process. */
  readonly sent: Promise<void>;
  /** Resolves when it is committed, or cannot be. */
  readonly kept: Promise<void>;
};

type Answer = Keeping & { isRelied: boolean };

/**
 * Answers of models, of one run and all its steps, that are not known to be kept yet. A run that begins anew after one process was killed has
 * to find all of them: an answer that is on its way reaches the database without us, and should the database be killed, we still have it.
 */
export class PendingAnswers {
  private readonly answers = new Set<Answer>();

  /** Takes one in until it is kept. */
  add(keeping: Keeping): void {
    const answer = { ...keeping, isRelied: false };
    this.answers.add(answer);
    void keeping.kept.then(() => this.answers.delete(answer));
  }

  /**
   * Resolves when a model may be asked: what was answered is on its way, and what was no further than that the last time is kept. Undefined
   * if that is so already, as far as is known.
   */
  ready(): Promise<void> | undefined {
    if (this.answers.size === 0) return undefined;
    const awaited = [...this.answers].map((answer) => {
      const { isRelied, kept, sent } = answer;
      answer.isRelied = true;
      return isRelied ? kept : sent;
    });
    return Promise.all(awaited).then(() => undefined);
  }

  /** Resolves when everything is kept. */
  async settled(): Promise<void> {
    await Promise.all([...this.answers].map(({ kept }) => kept));
  }
}
