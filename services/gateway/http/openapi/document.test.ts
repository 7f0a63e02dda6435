import { isReason, reasons } from '@signet/kit/error/reasons.ts';
import { describe, expect, test } from 'vitest';
import { loadContract } from '../../contract/public-methods.ts';
import { readRequestMessage } from '../request-message.ts';
import { createMatcher } from '../routes.ts';
import { createOpenApi } from './document.ts';
import { requestExamples } from './examples.ts';

type Operation = {
  operationId: string;
  description: string;
  parameters: { name: string; in: string; required: boolean; schema: object }[];
  requestBody?: { content: Record<string, { example?: unknown; schema: { properties: object } }> };
  responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>;
};

const contract = loadContract();
const openapi = createOpenApi(contract);
const document = JSON.parse(openapi.text) as {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object>; securitySchemes: object };
};
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([verb, operation]) => ({ path, verb, operation })),
);

describe('the OpenAPI document', () => {
  test('describes every route of every public method', () => {
    expect(document.openapi).toBe('3.1.0');
    const bindings = contract.methods.flatMap((method) => method.bindings);
    expect(operations).toHaveLength(bindings.length);
    expect(new Set(operations.map((one) => one.operation.operationId)).size).toBe(operations.length);
    for (const { operation } of operations) expect(operation.description).not.toBe('');
  });

  test('declares each variable of a path, once and as required', () => {
    for (const { path, operation } of operations) {
      const variables = [...path.matchAll(/\{([A-Za-z]+)\}/g)].map((one) => one[1]);
      const declared = operation.parameters.filter((one) => one.in === 'path');
      expect(declared.map((one) => one.name)).toEqual(variables);
      expect(declared.every((one) => one.required)).toBe(true);
      const names = operation.parameters.map((one) => `${one.in} ${one.name}`);
      expect(new Set(names).size).toBe(names.length);
    }
  });

  test('refers to nothing that it does not define', () => {
    const refs = [...openapi.text.matchAll(/"\$ref":"([^"]+)"/g)].map((one) => one[1]!);
    expect(refs.length).toBeGreaterThan(50);
    for (const ref of refs)
      expect(document.components.schemas).toHaveProperty([ref.replace('#/components/schemas/', '')]);
  });

  test('names for each failure its status and reasons, those that comments tell among them', () => {
    const get = document.paths['/v1/programs/{program}']!.get!;
    expect(get.responses['404']!.description).toBe('PROGRAM_NOT_FOUND');
    const execute = document.paths['/v1/programs/{program}:execute']!.post!;
    expect(Object.keys(execute.responses)).toEqual([
      '200',
      '202',
      '400',
      '401',
      '403',
      '404',
      '409',
      '413',
      '415',
      '422',
      '429',
      '499',
      '500',
      '502',
      '503',
      '504',
    ]);
    expect(execute.responses['409']!.description).toContain('PROGRAM_NOT_READY');
    expect(execute.responses['502']!.description).toContain('LM_REPLY_UNREADABLE');
    const stream = document.paths['/v1/programs/{program}:stream']!.post!;
    expect(stream.responses['409']!.description).toContain('PROGRAM_NOT_READY');
    expect(stream.responses['200']!.content).toHaveProperty(['text/event-stream']);
    for (const { operation } of operations) {
      for (const [status, response] of Object.entries(operation.responses)) {
        if (Number(status) < 300) continue;
        for (const word of response.description.split(', ')) {
          expect(isReason(word) && reasons[word].http).toBe(Number(status));
        }
        expect(response.content).toHaveProperty(['application/problem+json']);
      }
    }
  });

  test.each([
    ['/v1/programs', 'post', ['201']],
    ['/v1/signatures:parse', 'post', ['200', '201']],
    ['/v1/executions', 'post', ['202']],
    ['/v1/executions/{execution}:retry', 'post', ['202']],
    ['/v1/programs/{program}', 'delete', ['204']],
    ['/v1/programs/{program}', 'get', ['200']],
  ])('names the successes of %s %s', (path, verb, statuses) => {
    const found = Object.keys(document.paths[path]![verb]!.responses).filter((status) => status < '300');
    expect(found).toEqual(statuses);
  });

  test('shows an example of every body, and each header that a method heeds', () => {
    const bodies = operations.filter(({ operation }) => operation.requestBody !== undefined);
    // A second path of a method is told by a number.
    const named = bodies.map(({ operation }) => operation.operationId.replace(/[0-9]$/, ''));
    expect([...new Set(named)].toSorted()).toEqual(Object.keys(requestExamples).toSorted());
    const heeding = (header: string) =>
      operations
        .filter(({ operation }) => JSON.stringify(operation.parameters ?? []).includes(`"${header}"`))
        .map(({ operation }) => operation.operationId);
    expect(heeding('Prefer')).toEqual(['ExecuteProgram']);
    expect(heeding('Last-Event-ID')).toContain('WatchExecution');
    expect(heeding('If-Match')).toContain('UpdateProgram');
  });

  test('shows requests that can be sent as they are', () => {
    const matcher = createMatcher(contract.methods);
    for (const [name, example] of Object.entries(requestExamples)) {
      const found = operations.find((one) => one.operation.operationId === name)!;
      const [type, content] = Object.entries(found.operation.requestBody!.content)[0]!;
      expect(content!.example).toEqual(example);
      if (type !== 'application/json') continue;
      const match = matcher.match(
        found.verb.toUpperCase(),
        found.path.replace('{version}', '1').replace(/\{[A-Za-z]+\}/g, 'qa'),
      );
      const request = { match, query: '', headers: {}, body: Buffer.from(JSON.stringify(example)) };
      expect(() => readRequestMessage(request)).not.toThrow();
    }
  });

  test('describes streams of requests, lines of answers and files', () => {
    const lines = document.paths['/v1/programs/{program}:batchExecute']!.post!;
    expect(Object.keys(lines.requestBody!.content)).toEqual(['application/x-ndjson']);
    expect(lines.responses['200']!.content).toHaveProperty(['application/x-ndjson']);
    expect(JSON.stringify(lines.parameters)).toContain('"concurrency"');
    expect(JSON.stringify(lines.parameters)).not.toContain('"item"');
    const upload = document.paths['/v1/batches:upload']!.post!;
    expect(Object.keys(upload.requestBody!.content)).toEqual(['application/x-ndjson', 'text/csv']);
    expect(upload.responses).toHaveProperty(['413']);
    const download = document.paths['/v1/batches/{batch}/results']!.get!;
    expect(download.responses['200']!.content).toHaveProperty(['text/csv']);
  });

  test('says nothing of inner services', () => {
    for (const word of ['internal.v1', 'RegistryInternal', 'sidecar.v1', 'fencing'])
      expect(openapi.text.includes(word)).toBe(false);
  });
});
