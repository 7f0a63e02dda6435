import { join } from 'node:path';
import { type Child, startChild } from '../child-process.ts';

/** The bare chain, running. */
export type BareChain = {
  /** `http://host:port` and `host:port`. */
  readonly http: string;
  readonly grpc: string;
  readonly pids: Readonly<Record<string, readonly number[]>>;
  close(): Promise<void>;
};

/**
 * Starts what the product cannot be cheaper than: the same hops and durable rows and nothing else. With one hop the engine is a constant in
 * the middle process, with two it is a third process behind one open stream.
 */
export async function startBareChain(databaseUrl: string, hops: 1 | 2): Promise<BareChain> {
  const children: Child[] = [];
  const start = (name: string): Child => {
    const child = startChild(join(import.meta.dirname, `${name}.ts`));
    children.push(child);
    return child;
  };
  const close = async () => {
    for (const child of children) await child.stop();
  };
  try {
    const [front, middle] = [start('front'), start('middle')];
    const engine = hops === 2 ? start('engine') : undefined;
    const served = await engine?.ask<{ address: string }>({});
    const { address } = await middle.ask<{ address: string }>({ databaseUrl, engine: served?.address });
    const doors = await front.ask<{ http: string; grpc: string }>({ middle: address });
    const pids = { front: [front.pid], middle: [middle.pid], ...(engine && { engine: [engine.pid] }) };
    return { ...doors, pids, close };
  } catch (error) {
    await close();
    throw error;
  }
}
