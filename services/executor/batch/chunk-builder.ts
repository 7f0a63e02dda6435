import { newId } from '@signet/kit/id.ts';
import type { Chunk } from './chunk-store.postgres.ts';

const itemsMax = 64;
const charactersMax = 1024 * 1024;

/** Gathers items into chunks of at most 64, and fewer where they are large. Ids of executions are made here, in the items' order. */
export class ChunkBuilder {
  private firstIndex = 0;
  private inputs: string[] = [];
  private exampleIds: string[] = [];
  private characters = 0;

  /** Adds an item; gives a chunk that is full now. */
  add(inputsJson: string, exampleId?: string): Chunk | undefined {
    this.inputs.push(inputsJson);
    if (exampleId !== undefined) this.exampleIds.push(exampleId);
    this.characters += inputsJson.length;
    return this.inputs.length === itemsMax || this.characters >= charactersMax ? this.take() : undefined;
  }

  /** What was gathered since the last chunk, if anything. */
  take(): Chunk | undefined {
    const { firstIndex, inputs, exampleIds } = this;
    if (inputs.length === 0) return undefined;
    this.firstIndex += inputs.length;
    this.inputs = [];
    this.exampleIds = [];
    this.characters = 0;
    return { firstIndex, inputs, exampleIds, executionIds: inputs.map(() => newId()) };
  }
}
