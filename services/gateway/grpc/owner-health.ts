import { Client, credentials, Metadata, type MethodDefinition } from '@grpc/grpc-js';
import { replicaOptions, replicaTarget } from '@signet/kit/grpc/replicas.ts';
import { HealthImplementation, service } from 'grpc-health-check';
import { type Owner, owners } from '../contract/owners.ts';

/** Whether each owner serves. */
export type OwnerStates = Readonly<Record<Owner, boolean>>;

/** Watches the owners of the public services and tells the gateway's own health by it. */
export type OwnerHealth = {
  /** The gRPC health service of the gateway. */
  readonly implementation: HealthImplementation;
  /** Asks every owner now; each has a second to answer. */
  check(): Promise<OwnerStates>;
  /** Says NOT_SERVING from now on. */
  drain(): void;
  close(): void;
};

const everyMs = 1000;
const answerWithinMs = 1000;

/** Begins to ask the owners at `addresses` once a second. */
export function createOwnerHealth(addresses: Readonly<Record<Owner, string>>): OwnerHealth {
  const implementation = new HealthImplementation({ '': 'NOT_SERVING' });
  const clients = Object.entries(addresses).map(([owner, address]) => [owner as Owner, newClient(address)] as const);
  let draining = false;
  let asking: Promise<OwnerStates> | undefined;
  const publish = (states: OwnerStates): void => {
    const word = (serving: boolean) => (serving && !draining ? 'SERVING' : 'NOT_SERVING');
    for (const [name, owner] of Object.entries(owners)) implementation.setStatus(name, word(states[owner]));
    implementation.setStatus('', word(Object.values(states).every(Boolean)));
  };
  const ask = async (): Promise<OwnerStates> => {
    const answers = await Promise.all(
      clients.map(async ([owner, client]) => [owner, await isServing(client)] as const),
    );
    const states = Object.fromEntries(answers) as Record<Owner, boolean>;
    publish(states);
    return states;
  };
  const check = (): Promise<OwnerStates> => {
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  };
  const timer = setInterval(() => void check(), everyMs);
  timer.unref();
  void check();
  return {
    implementation,
    check,
    drain() {
      draining = true;
      publish({ registry: false, executor: false });
    },
    close() {
      clearInterval(timer);
      for (const [, client] of clients) client.close();
    },
  };
}

type CheckMethod = MethodDefinition<{ service: string }, { status: string | number }>;

function newClient(address: string): Client {
  return new Client(replicaTarget(address), credentials.createInsecure(), replicaOptions);
}

function isServing(client: Client): Promise<boolean> {
  const method = service.Check as unknown as CheckMethod;
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      { service: '' },
      // A replica that just went away is no answer for the others.
      new Metadata({ waitForReady: true }),
      { deadline: Date.now() + answerWithinMs },
      (error, answer) => resolve(error === null && (answer?.status === 'SERVING' || answer?.status === 1)),
    );
  });
}
