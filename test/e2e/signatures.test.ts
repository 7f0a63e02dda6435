import { SignatureServiceService } from '@signet/proto/gen/signet/v1/signature_service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { createProgram, demand, QA_SPEC, uniqueName } from '../support/programs.ts';
import { type Stack, startStack } from '../support/stack.ts';

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
});
afterAll(() => stack?.close());

/** A specification that no other test uses, so that it is made and not found. */
const freshSpec = (rest = 'answer: str'): string => `${uniqueName('q').replace('-', '_')}: str -> ${rest}`;

async function parse(fields: JsonObject = {}): Promise<JsonObject> {
  return demand(await stack.http.post('/v1/signatures:parse', { spec: freshSpec(), ...fields }), 201);
}

describe('signatures', () => {
  it('SIG-01 carries name, module, inputs, outputs, description, version and status with their defaults', async () => {
    const signature = await parse({
      spec: freshSpec('answer: str, score: float'),
      name: 'Scores',
      description: 'Scores an answer.',
    });
    expect(signature).toMatchObject({
      name: 'Scores',
      description: 'Scores an answer.',
      version: '1.0.0',
      status: 'SIGNATURE_STATUS_DRAFT',
      inputs: [{ type: 'str' }],
      outputs: [
        { name: 'answer', type: 'str' },
        { name: 'score', type: 'float' },
      ],
    });
    expect(signature.id).toMatch(UUID_V7);
    expect(signature.module).toMatch(/^Spec\.S[0-9a-f]{12}$/);
    expect(signature.etag).toBeTruthy();
    const programs = await createProgram(stack, { signature: signature.id ?? '' });
    expect(programs.signatureId).toBe(signature.id);
  });

  it('SIG-02 carries the specification, its parsed form and metadata', async () => {
    const plain = await parse();
    expect(plain.metadata ?? {}).toEqual({});
    const signature = await parse({ metadata: { origin: 'test' } });
    expect(signature.spec).toMatch(/^\w+: str -> answer: str$/);
    expect(signature.parsedSpec).toMatchObject({
      inputs: [{ type: expect.anything() }],
      outputs: [{ name: 'answer' }],
    });
    expect(signature.metadata).toEqual({ origin: 'test' });
    const read = demand(await stack.http.get(`/v1/signatures/${signature.id}`), 200);
    expect(read).toEqual(signature);
    expect(demand(await stack.http.get(`/v1/signatures/${signature.module}`), 200)).toEqual(signature);
  });

  it('SIG-03 makes a signature from a registered module and refuses what cannot be read on the field signature_module', async () => {
    const made = await stack.http.post('/v1/signatures:fromModule', {
      signatureModule: 'Signet.QuestionAnswer',
      version: '2.1.0',
    });
    expect([200, 201]).toContain(made.status);
    expect(made.body).toMatchObject({ module: 'Signet.QuestionAnswer', name: 'Signet.QuestionAnswer' });
    const again = await stack.http.post('/v1/signatures:fromModule', { signatureModule: 'Signet.QuestionAnswer' });
    expect(again.status).toBe(200);
    expect(again.body.id).toBe(made.body.id);
    const refused = await stack.http.post('/v1/signatures:fromModule', { signatureModule: 'No.SuchModule' });
    expect(refused.status).toBe(400);
    expect(refused.text).toContain('Invalid signature module: ');
    expect(JSON.stringify(refused.body.violations)).toMatch(/signature_?module/i);
  });

  it.each(['os.system', 'lower', '1Digit', 'With Space', 'A-B', `A${'b'.repeat(300)}`, 'Ünicode', ''])(
    'SIG-04 refuses the module name %j',
    async (signatureModule) => {
      const refused = await stack.http.post('/v1/signatures:fromModule', { signatureModule });
      expect(refused.status).toBe(400);
      if (signatureModule.length > 0 && signatureModule.length < 100)
        expect(refused.text).toContain('Module must be a valid module name');
    },
  );

  it.each([
    ['no specification', {}],
    ['an empty specification', { spec: '' }],
    ['no inputs', { spec: '-> answer' }],
    ['no outputs', { spec: 'question ->' }],
    ['no arrow', { spec: 'question, answer' }],
    ['a name that is too long', { spec: 'question -> answer', name: 'n'.repeat(201) }],
    ['the same field twice', { spec: 'question, question -> answer' }],
  ])('SIG-05 refuses %s', async (_what, body) => {
    const refused = await stack.http.post('/v1/signatures:parse', body);
    expect(refused.status).toBe(400);
    expect(['INVALID_REQUEST', 'SIGNATURE_SYNTAX', 'SIGNATURE_TYPE']).toContain(refused.body.reason);
  });

  it('SIG-06 activates a draft once and refuses to activate it twice', async () => {
    const { id } = await parse();
    expect(demand(await stack.http.post(`/v1/signatures/${id}:activate`), 200).status).toBe('SIGNATURE_STATUS_ACTIVE');
    const twice = await stack.http.post(`/v1/signatures/${id}:activate`);
    expect(twice.status).toBe(409);
    expect(twice.body).toMatchObject({ reason: 'STATE_FORBIDS', detail: 'Only draft signatures can be activated' });
  });

  it('SIG-06 lets one of 20 parallel activations win', async () => {
    const { id } = await parse();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => stack.http.post(`/v1/signatures/${id}:activate`)),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(19);
  });

  it('SIG-07 deprecates only what is active, for good', async () => {
    const { id } = await parse();
    const early = await stack.http.post(`/v1/signatures/${id}:deprecate`);
    expect(early.body).toMatchObject({ reason: 'STATE_FORBIDS', detail: 'Only active signatures can be deprecated' });
    demand(await stack.http.post(`/v1/signatures/${id}:activate`), 200);
    expect(demand(await stack.http.post(`/v1/signatures/${id}:deprecate`), 200).status).toBe(
      'SIGNATURE_STATUS_DEPRECATED',
    );
    expect((await stack.http.post(`/v1/signatures/${id}:activate`)).status).toBe(409);
    expect((await stack.http.post(`/v1/signatures/${id}:deprecate`)).status).toBe(409);
  });

  it('SIG-07 keeps new programs off a deprecated signature', async () => {
    const { id, spec } = await parse();
    demand(await stack.http.post(`/v1/signatures/${id}:activate`), 200);
    demand(await stack.http.post(`/v1/signatures/${id}:deprecate`), 200);
    const refused = await stack.http.post('/v1/programs', { name: 'late', signatureSpec: spec });
    expect(refused.status).toBe(409);
    expect(refused.body).toMatchObject({
      reason: 'SIGNATURE_DEPRECATED',
      detail: expect.stringContaining('Signature is deprecated'),
    });
  });

  it('SIG-08 reads, lists, changes and deletes, and never takes a status', async () => {
    const { id, etag } = await parse();
    const changed = demand(await stack.http.patch(`/v1/signatures/${id}`, { description: 'Changed.' }), 200);
    expect(changed.description).toBe('Changed.');
    expect(changed.etag).not.toBe(etag);
    expect((await stack.http.patch(`/v1/signatures/${id}`, { status: 'active' })).status).toBe(400);
    const stale = await stack.http.patch(
      `/v1/signatures/${id}`,
      { description: 'Late.' },
      { headers: { 'if-match': String(etag) } },
    );
    expect([stale.status, stale.body.reason]).toEqual([412, 'ETAG_MISMATCH']);
    const versions = demand(await stack.http.get(`/v1/signatures/${id}/versions`), 200).versions as JsonObject[];
    expect(versions.length).toBeGreaterThanOrEqual(2);
    expect(versions[0]?.revision).toBeGreaterThan(Number(versions[1]?.revision));
    expect((await stack.http.delete(`/v1/signatures/${id}`)).status).toBeLessThan(300);
    const gone = await stack.http.get(`/v1/signatures/${id}`);
    expect([gone.status, gone.body.reason]).toEqual([404, 'SIGNATURE_NOT_FOUND']);
  });

  it('SIG-08 refuses to change what is active and to delete what is in use', async () => {
    const { id } = await parse();
    await createProgram(stack, { signature: id ?? '' });
    const used = await stack.http.delete(`/v1/signatures/${id}`);
    expect([used.status, used.body.reason]).toEqual([409, 'SIGNATURE_IN_USE']);
    demand(await stack.http.post(`/v1/signatures/${id}:activate`), 200);
    const fixed = await stack.http.patch(`/v1/signatures/${id}`, { description: 'Late.' });
    expect([fixed.status, fixed.body.reason]).toEqual([409, 'STATE_FORBIDS']);
  });

  it.each([
    ['Signet.QuestionAnswer', true],
    ['No.SuchModule', false],
    ['os.system', false],
    ['', false],
    ['A'.repeat(10_000), false],
    ['%00', false],
  ])('SIG-09 says whether %.30s can be read and never fails', async (module, valid) => {
    const answer = await stack.http.get(`/v1/signatures:validateModule?module=${module}`);
    // A NUL is no text at all, which the door may say before anybody looks.
    if (module === '%00') expect([200, 400]).toContain(answer.status);
    else expect([answer.status, answer.body.valid ?? false]).toEqual([200, valid]);
  });

  it('SIG-10 finds or creates by specification, whatever its spelling', async () => {
    const spec = freshSpec('answer: str, confidence: float');
    const made = await stack.http.post('/v1/signatures:parse', { spec });
    expect(made.status).toBe(201);
    expect(made.headers.location).toBe(`/v1/signatures/${made.body.id}`);
    const found = await stack.http.post('/v1/signatures:parse', {
      spec: spec.replaceAll(': ', ' :  ').replace(',', '  ,'),
    });
    expect([found.status, found.body.id]).toEqual([200, made.body.id]);
    const other = await stack.http.post('/v1/signatures:parse', { spec, name: 'another name' });
    expect([other.status, other.body.reason]).toEqual([409, 'NAME_TAKEN']);
    const dry = await stack.http.post('/v1/signatures:parse', { spec: freshSpec(), validateOnly: true });
    expect(dry.status).toBe(200);
    expect(dry.body.id ?? '').toBe('');
  });

  it('SIG-10 points at line and column of a fault', async () => {
    const refused = await stack.http.post('/v1/signatures:parse', { spec: 'question -> answer: strng' });
    expect([refused.status, refused.body.reason]).toEqual([400, 'SIGNATURE_TYPE']);
    expect(refused.body.detail).toMatch(/line 1, column 21: unknown type `strng`; did you mean `str`\?/);
    expect(refused.body.metadata).toMatchObject({ line: '1', column: '21' });
  });

  it('SIG-11 lists by exact name', async () => {
    const name = uniqueName('Named');
    const { id } = await parse({ name });
    await parse({ name: `${name}-longer` });
    const listed = demand(await stack.http.get(`/v1/signatures?name=${name}`), 200).signatures as JsonObject[];
    expect(listed.map((signature) => signature.id)).toEqual([id]);
  });

  it('SIG-13 weighs its fields', async () => {
    const dry = await stack.http.post('/v1/signatures:parse', { spec: QA_SPEC, validateOnly: true });
    expect(dry.body.complexity).toBe(6);
  });

  it('SIG-15 lists the active ones', async () => {
    const active = await parse();
    const draft = await parse();
    demand(await stack.http.post(`/v1/signatures/${active.id}:activate`), 200);
    const listed = demand(await stack.http.get('/v1/signatures?status=active&pageSize=1000'), 200)
      .signatures as JsonObject[];
    expect(listed.every(({ status }) => status === 'SIGNATURE_STATUS_ACTIVE')).toBe(true);
    const ids = listed.map(({ id }) => id);
    expect(ids).toContain(active.id);
    expect(ids).not.toContain(draft.id);
  });

  it('SIG-17 reads nested Python types', async () => {
    const spec =
      'a: list[dict[str, Optional[int]]], b: Literal["x", "y"] | None, c: tuple[int, ...] -> d: dict, e: Union[str, int], f';
    const dry = demand(await stack.http.post('/v1/signatures:parse', { spec, validateOnly: true }), 200);
    const fields = [...(dry.inputs as JsonObject[]), ...(dry.outputs as JsonObject[])];
    expect(fields.map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    expect(fields.at(-1)?.type).toBe('str');
    const again = demand(
      await stack.http.post('/v1/signatures:parse', { spec: dry.spec ?? '', validateOnly: true }),
      200,
    );
    expect(again.spec).toBe(dry.spec);
    const examples = demand(await stack.http.get('/v1/fieldTypes'), 200).fieldTypes as JsonObject[];
    expect(examples.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['str', 'int', 'float', 'bool', 'list', 'dict', 'tensor']),
    );
  });

  it('SIG-20 knows the machine-learning types, and only those that were turned on', async () => {
    const spec = freshSpec('vector: embedding, p: probability');
    const made = await parse({ spec, mlTypes: ['embedding', 'probability'] });
    expect(made.mlTypes).toEqual(['embedding', 'probability']);
    const off = await stack.http.post('/v1/signatures:parse', { spec: freshSpec('t: tensor'), mlTypes: ['embedding'] });
    expect([off.status, off.body.reason]).toEqual([400, 'SIGNATURE_TYPE']);
  });

  it('pages through a list by token, and over gRPC the same', async () => {
    const name = uniqueName('paged');
    const made = [];
    for (let at = 0; at < 5; at += 1) made.push((await parse({ name })).id);
    const seen: unknown[] = [];
    let token = '';
    do {
      const page = demand(await stack.http.get(`/v1/signatures?name=${name}&pageSize=2&pageToken=${token}`), 200);
      seen.push(...(page.signatures as JsonObject[]).map(({ id }) => id));
      token = String(page.nextPageToken ?? '');
    } while (token !== '');
    expect(seen).toEqual(made.toReversed());
    const request = SignatureServiceService.listSignatures.requestDeserialize(Buffer.alloc(0));
    const listed = await stack.grpc.unary(SignatureServiceService.listSignatures, { ...request, name });
    expect(listed.signatures.map(({ id }) => id)).toEqual(seen);
  });
});
