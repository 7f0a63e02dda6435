import { type Client, Metadata, type MethodDefinition } from '@grpc/grpc-js';
import { rigKeys } from './owners.ts';

/** Who calls, and how. */
export type GrpcCallOptions = { key?: string | null; metadata?: Record<string, string>; deadline?: number };

/** The metadata of a call with the admin key unless said otherwise. */
export function metadataOf({ key = rigKeys.admin, metadata = {} }: GrpcCallOptions): Metadata {
  const made = new Metadata();
  if (key !== null) made.set('authorization', `Bearer ${key}`);
  for (const [name, value] of Object.entries(metadata)) made.set(name, value);
  return made;
}

/** Makes a unary call; `headers` are those that came before the answer. */
export function call<Req, Res>(
  client: Client,
  method: MethodDefinition<Req, Res>,
  request: Req,
  options: GrpcCallOptions = {},
) {
  let headers: Metadata | undefined;
  const answer = new Promise<Res>((resolve, reject) => {
    const started = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      metadataOf(options),
      options.deadline === undefined ? {} : { deadline: options.deadline },
      (error, response) => (error === null ? resolve(response!) : reject(error)),
    );
    started.on('metadata', (received: Metadata) => {
      headers = received;
    });
  });
  return { answer, headers: () => headers };
}
