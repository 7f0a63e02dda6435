import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import { at } from './fault.ts';
import type { StepFields } from './known.ts';
import type { Binding, OnError, SignatureStep } from './pipeline.ts';

/** What a kind of step has of its own. */
export type Body =
  | { readonly kind: 'action'; readonly resource: 'signature'; readonly action: 'parse' }
  | { readonly kind: 'module'; readonly module: string; readonly moduleId: string }
  | ({ kind: 'signature' } & { -readonly [Key in 'signature' | 'module' | 'lm' | 'instructions']: SignatureStep[Key] })
  | { readonly kind: 'python'; readonly module: string; readonly kwargs: JsonObject }
  | { readonly kind: 'function'; readonly function: string }
  | {
      readonly kind: 'group';
      readonly steps: readonly Draft[];
      readonly maxConcurrency: number;
      readonly minSuccess: number | undefined;
    };

/** A step while it is read: its input may still have to be found. */
export type Draft = {
  readonly path: string;
  readonly id: string;
  readonly body: Body;
  /** What it takes and gives; undefined where nobody knows, `unchecked` where that was checked before. */
  fields: StepFields | 'unchecked' | undefined;
  /** Undefined if the spec gives none: then it is put together by the names of fields. */
  input: Binding | undefined;
  /** The key under which the spec gives it: `input` or `inputs`. */
  readonly inputKey: string;
  /** True if the spec gives no input, so that the step follows on the one before it. */
  readonly isChained: boolean;
  /** Keys of the step that are neither its own nor those of its kind. */
  readonly parameters: ReadonlyMap<string, JsonValue>;
  /** What the spec says it needs. */
  readonly statedNeeds: readonly string[] | undefined;
  /** What it needs in truth; outermost steps. */
  needs: readonly string[];
  readonly when: Binding | undefined;
  readonly timeoutMs: number | undefined;
  readonly retries: number;
  readonly onError: OnError;
  /** Replaced where the spec only names it. */
  compensate: Draft | undefined;
  /** The id of the step that compensates, where it stands among the others. */
  readonly compensatedBy: string | undefined;
  readonly undo: Draft | undefined;
};

/** What a step is to others: one among the outermost, one of a group, or one that stands in or undoes. */
export type Role = 'outermost' | 'grouped' | 'compensate' | 'undo';

/** Where in the spec a field of a step's input stands. */
export function inputPath(draft: Draft, name?: string): string {
  if (name !== undefined && draft.parameters.has(name)) return at(draft.path, name);
  const path = at(draft.path, draft.inputKey);
  return name === undefined ? path : at(path, name);
}

/** A step and the ones in it, groups first, compensations and undo steps included. */
export function* everyDraft(drafts: readonly Draft[]): Generator<Draft> {
  for (const draft of drafts) {
    yield draft;
    if (draft.body.kind === 'group') yield* everyDraft(draft.body.steps);
    if (draft.compensate !== undefined) yield* everyDraft([draft.compensate]);
    if (draft.undo !== undefined) yield* everyDraft([draft.undo]);
  }
}
