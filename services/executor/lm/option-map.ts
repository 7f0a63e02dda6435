import { AppError } from '@signet/kit/error/app-error.ts';
import type { LmProvider } from '../engine/engine.ts';

/** A function that a model may call, in OpenAI's form. */
export type ToolOption = { readonly name: string; readonly description: string; readonly parameters: object };

/** Reads options by OpenAI's names, one by one, for a provider with names of its own. What nobody asked for is left over. */
export class OptionMap {
  readonly #left: Map<string, unknown>;
  readonly #provider: LmProvider;

  constructor(provider: LmProvider, options: Readonly<Record<string, unknown>>) {
    this.#provider = provider;
    this.#left = new Map(Object.entries(options));
  }

  /** The first of the named options that is there; all of them are taken. */
  take(...names: string[]): unknown {
    const values = names.map((name) => this.#left.get(name));
    for (const name of names) this.#left.delete(name);
    return values.find((value) => value !== undefined);
  }

  /** What the model is to stop at, as a list; undefined if nothing is named. */
  takeStops(...names: string[]): string[] | undefined {
    const stop = this.take(...names);
    if (typeof stop === 'string') return [stop];
    return Array.isArray(stop) ? stop.filter((text) => typeof text === 'string') : undefined;
  }

  /** The tools of the request; undefined if it names none. */
  takeTools(): ToolOption[] | undefined {
    const tools = this.take('tools');
    if (!Array.isArray(tools) || tools.length === 0) return undefined;
    return tools.map((tool: { function?: Partial<ToolOption> } | null) => ({
      name: String(tool?.function?.name ?? ''),
      description: String(tool?.function?.description ?? ''),
      parameters: tool?.function?.parameters ?? { type: 'object', properties: {} },
    }));
  }

  /** Which tool is to be called: `auto`, `none`, `required` or a name as `{name}`. */
  takeToolChoice(): 'auto' | 'none' | 'required' | { name: string } | undefined {
    const choice = this.take('tool_choice');
    if (choice === 'auto' || choice === 'none' || choice === 'required') return choice;
    const name = (choice as { function?: { name?: unknown } } | undefined)?.function?.name;
    return typeof name === 'string' ? { name } : undefined;
  }

  /** The schema that the reply is to have; `object` if any JSON object will do; undefined if nothing is said of its form. */
  takeFormat(): object | 'object' | undefined {
    const format = this.take('response_format') as { type?: unknown; json_schema?: { schema?: unknown } } | undefined;
    if (format?.type === 'json_object') return 'object';
    if (format?.type !== 'json_schema') return undefined;
    const schema = format.json_schema?.schema;
    return typeof schema === 'object' && schema !== null ? schema : 'object';
  }

  /** Refuses what would change what a reply is: asking without it would give something else than was asked for. */
  refuse(): void {
    const several = this.take('n');
    if (several !== undefined && several !== 1) throw this.#cannot('give several completions at once (`n`)');
    const logprobs = [this.take('logprobs'), this.take('top_logprobs')];
    if (logprobs.some((asked) => asked !== undefined && asked !== false && asked !== 0)) {
      throw this.#cannot('give probabilities of tokens (`logprobs`)');
    }
    for (const name of ['audio', 'modalities', 'functions', 'function_call']) {
      if (this.take(name) !== undefined) throw this.#cannot(`follow the option \`${name}\``);
    }
  }

  /** The names of what is left. */
  names(): string[] {
    return [...this.#left.keys()];
  }

  #cannot(what: string): AppError {
    const metadata = { provider: this.#provider };
    const message = `The language model's provider \`${this.#provider}\` cannot ${what}`;
    return new AppError('LM_ERROR', message, { metadata, retryable: false });
  }
}

/** Removes what is undefined. */
export function defined(object: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
