import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createFileRegistry, type DescMethod, type DescService, fromBinary, getOption } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import type { MethodDefinition } from '@grpc/grpc-js';
import { AppError } from '@signet/kit/error/app-error.ts';
import { reasons } from '@signet/kit/error/reasons.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { roleTable } from '../../services/gateway/admission/role.ts';
import { ROOT, readSources } from '../support/source-files.ts';
import { type Stack, startStack } from '../support/stack.ts';

const UNIMPLEMENTED = 12;
const UNAUTHENTICATED = 16;

const set = fromBinary(FileDescriptorSetSchema, readFileSync(join(ROOT, 'proto', 'gen', 'descriptors.binpb')));
const registry = createFileRegistry(set);
const services = [...registry].filter(
  (type): type is DescService => type.kind === 'service' && type.typeName.startsWith('signet.v1.'),
);
const methods = services.flatMap((service) =>
  service.methods.map((method) => ({ name: `${service.name}.${method.name}`, method })),
);
const protos = readSources(['proto/signet/v1'], (path) => path.endsWith('.proto'));
const tests = readSources(['test', 'services', 'packages'], (path) => /\.(test|suite)\.ts$/.test(path)).filter(
  ({ path }) => path !== 'test/contract/every-rpc.test.ts',
);

describe('every RPC of the contract', () => {
  let stack: Stack;
  let document: OpenApiDocument;
  beforeAll(async () => {
    stack = await startStack({ engines: 'mock' });
    document = JSON.parse((await stack.http.get('/openapi.json')).text);
  });
  afterAll(() => stack?.close());

  it('is found: the walk sees every service that is written down', () => {
    const written = protos.flatMap(({ text }) => [...text.matchAll(/^service (\w+) \{/gm)].map((one) => one[1]));
    expect(services.map(({ name }) => name).toSorted()).toEqual(written.toSorted());
    const declared = protos.flatMap(({ text }) => text.match(/^\s*rpc \w+\(/gm) ?? []);
    expect(methods).toHaveLength(declared.length);
    expect(methods.length).toBeGreaterThan(40);
  });

  it.each(methods)('$name has a handler behind the gateway', async ({ method }) => {
    const definition = rawMethod(method);
    const options = { timeoutMs: 10_000 };
    const code =
      method.methodKind === 'unary' ? await unaryCode(definition, options) : await streamCode(definition, options);
    expect(code).not.toBe(UNIMPLEMENTED);
  });

  it.each(methods)('$name lets nobody in without a key', async ({ method }) => {
    const definition = rawMethod(method);
    const call = method.methodKind === 'unary' ? unaryCode : streamCode;
    expect(await call(definition, { timeoutMs: 10_000, key: '' })).toBe(UNAUTHENTICATED);
  });

  it.each(methods)('$name has routes over HTTP that lead to it', async ({ method }) => {
    const routes = routesOf(method);
    expect(routes.length).toBeGreaterThan(0);
    for (const { verb, path } of routes) {
      const body = verb === 'GET' || verb === 'DELETE' ? undefined : {};
      const answer = await stack.http.send(verb, path.replace(/\{[^}]+\}/g, '0'), body);
      expect([405, 501]).not.toContain(answer.status);
      expect(answer.body.reason).not.toBe('ROUTE_NOT_FOUND');
    }
  });

  it.each(methods)('$name is described: its operation, its body and an example of it', ({ method }) => {
    for (const [index, { verb, path }] of routesOf(method).entries()) {
      const operation = document.paths[inJson(path)]?.[verb.toLowerCase()];
      expect(operation?.operationId).toBe(index === 0 ? method.name : `${method.name}${index + 1}`);
      const body = Object.values(operation?.requestBody?.content ?? {})[0];
      expect(body === undefined).toBe(verb === 'GET' || verb === 'DELETE');
      if (body !== undefined) expect(body.example).toBeDefined();
    }
  });

  it.each(methods)('$name can be repeated safely if it changes something', ({ method }) => {
    const changes = routesOf(method)[0]?.verb !== 'GET' && method.methodKind === 'unary';
    const keepsNothing = /Changes nothing|keeps nothing|Writes nothing/i.test(commentOf(method));
    const repeatable = method.input.fields.some(({ name }) => name === 'request_id');
    if (changes && !keepsNothing) expect(repeatable).toBe(true);
  });

  it.each(methods)('$name says in its comment how it fails', ({ method }) => {
    const comment = commentOf(method);
    expect(comment).toMatch(/Fails|Does not fail|Never an error|_NOT_FOUND/);
    const named = comment.match(/\b[A-Z]{2,}_[A-Z_]*[A-Z]\b/g) ?? [];
    const known = new Set([...Object.keys(reasons), 'DRAFT']);
    expect(named.filter((word) => !known.has(word))).toEqual([]);
  });

  it.each(methods)('$name has a row in the table of roles', ({ method }) => {
    expect(Object.keys(roleTable)).toContain(`/${method.parent.typeName}/${method.name}`);
  });

  it('has no role for what there is not', () => {
    const known = methods.map(({ method }) => `/${method.parent.typeName}/${method.name}`);
    expect(Object.keys(roleTable).filter((path) => !known.includes(path))).toEqual([]);
  });

  it.each(methods)('$name is called by a test', ({ method }) => {
    const local = `${method.name.charAt(0).toLowerCase()}${method.name.slice(1)}`;
    const routes = routesOf(method);
    const called = tests.some(
      ({ text }) =>
        text.includes(`.${local},`) || text.includes(`.${local}(`) || routes.some((route) => callsRoute(text, route)),
    );
    expect(called).toBe(true);
  });

  it('answers what the contract does not have with UNIMPLEMENTED', async () => {
    const bytes = (value: Buffer): Buffer => value;
    const nobody = { path: '/signet.v1.ProgramService/FlyProgram', requestStream: false, responseStream: false };
    const error = await stack.grpc.fails(
      {
        ...nobody,
        requestSerialize: bytes,
        requestDeserialize: bytes,
        responseSerialize: bytes,
        responseDeserialize: bytes,
      },
      Buffer.alloc(0),
    );
    expect(error.code).toBe(UNIMPLEMENTED);
    for (const inner of [
      'signet.internal.v1.RegistryService/ResolveProgram',
      'signet.sidecar.v1.SidecarService/GetPool',
    ]) {
      const hidden = await stack.grpc.fails(
        { ...rawPath(`/${inner}`), requestStream: false, responseStream: false },
        Buffer.alloc(0),
      );
      expect([inner, hidden.code]).toEqual([inner, UNIMPLEMENTED]);
    }
  });

  async function unaryCode(definition: MethodDefinition<Buffer, Buffer>, options: object): Promise<number> {
    try {
      await stack.grpc.unary(definition, Buffer.alloc(0), options);
      return 0;
    } catch {
      return (await stack.grpc.fails(definition, Buffer.alloc(0), options).catch(() => ({ code: 0 }))).code;
    }
  }

  async function streamCode(definition: MethodDefinition<Buffer, Buffer>, options: object): Promise<number> {
    try {
      for await (const _message of stack.grpc.stream(definition, Buffer.alloc(0), options)) break;
      return 0;
    } catch (error) {
      if (/unimplemented/i.test(String(error))) return UNIMPLEMENTED;
      return error instanceof AppError ? reasons[error.reason].code : 2;
    }
  }
});

function rawPath(path: string): Omit<MethodDefinition<Buffer, Buffer>, 'requestStream' | 'responseStream'> {
  const bytes = (value: Buffer): Buffer => value;
  return {
    path,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
}

function rawMethod(method: DescMethod): MethodDefinition<Buffer, Buffer> {
  const responseStream = method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming';
  const requestStream = method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming';
  return { ...rawPath(`/${method.parent.typeName}/${method.name}`), requestStream, responseStream };
}

type Route = { readonly verb: string; readonly path: string };

type HttpRule = { pattern: { case?: string; value?: string }; additionalBindings: HttpRule[] };
type OpenApiOperation = {
  operationId: string;
  requestBody?: { content: Record<string, { example?: unknown } | undefined> };
};
type OpenApiDocument = { paths: Record<string, Record<string, OpenApiOperation | undefined> | undefined> };

function routesOf(method: DescMethod): Route[] {
  const extension = registry.getExtension('google.api.http');
  if (extension === undefined) return [];
  // The extension is known at run time alone, so its type cannot be.
  const read = getOption as (element: DescMethod, option: typeof extension) => unknown;
  const rule = read(method, extension) as HttpRule;
  return [rule, ...rule.additionalBindings].flatMap(({ pattern }) =>
    pattern.case === undefined || typeof pattern.value !== 'string'
      ? []
      : [{ verb: pattern.case.toUpperCase(), path: pattern.value }],
  );
}

function inJson(path: string): string {
  return path.replace(/\{([^}]+)\}/g, (variable) => variable.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase()));
}

function callsRoute(text: string, route: Route): boolean {
  const parts = route.path.split(/\{[^}]+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\:]/g, '\\$&'));
  return new RegExp(`['"\`]${parts.join('(?:\\$\\{[^}]+\\}|[\\w%.-]+)')}(?:['"\`?$]|\\$\\{)`).test(text);
}

function commentOf(method: DescMethod): string {
  const text = protos.map((file) => file.text).find((proto) => proto.includes(`service ${method.parent.name} {`)) ?? '';
  const lines = text.slice(0, text.search(new RegExp(`\\n\\s*rpc ${method.name}\\(`))).split('\n');
  const comment: string[] = [];
  for (let line = lines.pop(); line?.trim().startsWith('//'); line = lines.pop())
    comment.unshift(line.trim().slice(2).trim());
  return comment.join(' ');
}
