import type { LmCalls, LmCompletion } from '../lm/language-model.ts';
import type { ComparedCall } from './shadow.ts';

// What is compared is held in memory for the time of two runs.
const callsMax = 1_000;
const charsMax = 8_388_608;

/** The calls of one run in order, for comparing. Beyond 1,000 calls or 8 Mi characters of messages it keeps hashes alone, then nothing. */
export class CallTape {
  #calls: ComparedCall[] = [];
  #chars = 0;

  /** The calls so far. */
  get calls(): readonly ComparedCall[] {
    return this.#calls;
  }

  /** Hands calls on to whoever keeps them, and notes them. */
  over(kept: LmCalls): LmCalls {
    return {
      onCall: (call) => {
        this.#note(call);
        return kept.onCall(call);
      },
      recall: (requestHash) => {
        const found = kept.recall(requestHash);
        const note = (completion: LmCompletion | undefined) => {
          if (completion !== undefined) this.#note({ requestHash, messages: undefined });
          return completion;
        };
        return found instanceof Promise ? found.then(note) : note(found);
      },
      rewind: () => {
        this.#calls = [];
        this.#chars = 0;
        kept.rewind();
      },
    };
  }

  #note({ requestHash, messages }: ComparedCall): void {
    if (this.#calls.length >= callsMax) return;
    this.#chars += (messages ?? []).reduce((sum, { content }) => sum + content.length, 0);
    this.#calls.push({ requestHash, messages: this.#chars > charsMax ? undefined : messages });
  }
}
