import {
  CreateSignatureFromModuleRequest,
  type DeepPartial,
  ListSignaturesRequest,
  ParseSignatureRequest,
  UpdateSignatureRequest,
} from '@signet/proto/gen/signet/v1/signature_service.ts';
import { defineSignature } from '@signet/signature/define-signature.ts';
import { describe, expect, it } from 'vitest';
import { inner, refusal, signatures } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';

const module = 'AshDSPy.ML.SignatureTest.TestSignature';
const testSignature = defineSignature(module, (s) =>
  s.input('question').output('answer').output('confidence', 'float'),
);

const registry = useTestRegistry({ signatureModules: [testSignature] });

const parse = (fields: DeepPartial<ParseSignatureRequest>) =>
  registry.call(signatures.parseSignature, ParseSignatureRequest.fromPartial(fields));
const fromModule = (fields: DeepPartial<CreateSignatureFromModuleRequest>) =>
  registry.call(signatures.createSignatureFromModule, CreateSignatureFromModuleRequest.fromPartial(fields));
const update = (fields: DeepPartial<UpdateSignatureRequest>) =>
  registry.call(signatures.updateSignature, UpdateSignatureRequest.fromPartial(fields));
const list = (fields: DeepPartial<ListSignaturesRequest>) =>
  registry.call(signatures.listSignatures, ListSignaturesRequest.fromPartial(fields));
const named = (signature: string) => ({ signature, etag: '', requestId: '' });

describe('signatures', () => {
  it('TST-01 SIG-03 makes one from a module: one input, two outputs, draft, name and module as given', async () => {
    const made = await fromModule({
      signatureModule: module,
      name: 'Test QA Signature',
      description: 'A test signature for Q&A',
    });
    expect(made).toMatchObject({
      name: 'Test QA Signature',
      module,
      status: 1,
      description: 'A test signature for Q&A',
    });
    expect(made.inputs.map(({ name }) => name)).toEqual(['question']);
    expect(made.outputs.map(({ name, type }) => [name, type])).toEqual([
      ['answer', 'str'],
      ['confidence', 'float'],
    ]);
    expect(made.version).toBe('1.0.0');
    expect((await fromModule({ signatureModule: module })).id).toBe(made.id);
    expect((await refusal(fromModule({ signatureModule: module, name: 'Other' }))).reason).toBe('NAME_TAKEN');
  });

  it.each(['os.system', 'No.Such', 'x', '__proto__', 'Bad-Name', 'A\u0000', ''])(
    'SIG-03 SIG-04 refuses the module %j with a violation of signature_module',
    async (signatureModule) => {
      const error = await refusal(fromModule({ signatureModule }));
      expect(error.reason).toBe('INVALID_REQUEST');
      expect(error.fieldViolations[0]).toMatchObject({ field: 'signature_module' });
      expect(error.message).toMatch(/^Invalid signature module: /);
    },
  );

  it('SIG-04 says what a module name must be', async () => {
    expect((await refusal(fromModule({ signatureModule: 'os.system' }))).message).toContain(
      'Module must be a valid module name',
    );
  });

  it('SIG-09 validates modules with true or false, never an error', async () => {
    const valid = async (name: string) => (await registry.call(signatures.validateModule, { module: name })).valid;
    expect(await valid(module)).toBe(true);
    expect(await valid('Signet.QuestionAnswer')).toBe(true);
    for (const name of ['NonExistentModule', 'os.system', '', '\u0000', 'x'.repeat(10_000), 'Signet.']) {
      expect(await valid(name)).toBe(false);
    }
  });

  it('SIG-09 sees what workers reported, until they report otherwise', async () => {
    const report = (modules: { name: string; spec: string; error: string }[]) =>
      registry.call(inner.reportModules, { modules: modules.map((entry) => ({ ...entry, description: 'reported' })) });
    const valid = async (name: string) => (await registry.call(signatures.validateModule, { module: name })).valid;
    await report([
      { name: 'Shop.Answer', spec: 'question: str -> answer: str', error: '' },
      { name: 'Shop.Broken', spec: '', error: "ImportError: no module named 'shop'" },
      { name: 'Shop.Odd', spec: 'question -> ', error: '' },
    ]);
    expect([await valid('Shop.Answer'), await valid('Shop.Broken'), await valid('Shop.Odd')]).toEqual([
      true,
      false,
      false,
    ]);
    expect((await refusal(fromModule({ signatureModule: 'Shop.Broken' }))).message).toBe(
      "Invalid signature module: ImportError: no module named 'shop'",
    );
    expect(await fromModule({ signatureModule: 'Shop.Answer' })).toMatchObject({
      name: 'Shop.Answer',
      description: 'reported',
    });
    await report([{ name: 'Shop.Odd', spec: 'question -> answer', error: '' }]);
    expect([await valid('Shop.Answer'), await valid('Shop.Odd')]).toEqual([false, true]);
    expect((await refusal(report([{ name: 'os.system', spec: 'a -> b', error: '' }]))).reason).toBe('INVALID_REQUEST');
  });

  it('SIG-10 SIG-13 parses a specification and names it after itself', async () => {
    const made = await parse({ spec: ' question:str,context: list[str]->answer, confidence:float ' });
    expect(made).toMatchObject({
      spec: 'question: str, context: list[str] -> answer: str, confidence: float',
      name: 'question: str, context: list[str] -> answer: str, confidence: float',
      complexity: 6,
      status: 1,
      strictMode: true,
      mlTypes: ['embedding', 'probability', 'tensor'],
    });
    expect(made.module).toMatch(/^Spec\.S[0-9a-f]{12}$/);
    expect(made.inputsSchema).toMatchObject({ type: 'object', required: ['question', 'context'] });
    expect(made.parsedSpec?.inputs).toHaveLength(2);
    expect((await parse({ spec: made.spec })).id).toBe(made.id);
    expect((await refusal(parse({ spec: made.spec, name: 'other' }))).reason).toBe('NAME_TAKEN');
  });

  it('SIG-10 checks without storing when asked to', async () => {
    const shown = await parse({ spec: 'never_stored: int -> b', validateOnly: true });
    expect(shown).toMatchObject({ id: '', etag: '', createTime: undefined, spec: 'never_stored: int -> b: str' });
    expect((await list({ filter: 'name : "never_stored"' })).signatures).toEqual([]);
  });

  it('PRG-07 QUA-05 makes one signature for 50 callers at once', async () => {
    const all = await Promise.all(Array.from({ length: 50 }, () => parse({ spec: 'fifty: int -> callers: str' })));
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
  });

  it('SIG-06 activates a draft once, also when 50 try at the same time', async () => {
    const { id, module: name } = await parse({ spec: 'a: str -> activated: str' });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 50 }, () => registry.call(signatures.activateSignature, named(id))),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const error = await refusal(registry.call(signatures.activateSignature, named(name)));
    expect(error).toMatchObject({ reason: 'STATE_FORBIDS', message: 'Only draft signatures can be activated' });
    expect(error.metadata).toMatchObject({ state: 'active', event: 'activate' });
  });

  it('SIG-07 deprecates active ones alone, for good', async () => {
    const { id } = await parse({ spec: 'a: str -> deprecated_one: str' });
    const early = await refusal(registry.call(signatures.deprecateSignature, named(id)));
    expect(early).toMatchObject({ reason: 'STATE_FORBIDS', message: 'Only active signatures can be deprecated' });
    await registry.call(signatures.activateSignature, named(id));
    expect((await registry.call(signatures.deprecateSignature, named(id))).status).toBe(3);
    expect((await refusal(registry.call(signatures.deprecateSignature, named(id)))).reason).toBe('STATE_FORBIDS');
    const again = await refusal(parse({ spec: 'a: str -> deprecated_one: str' }));
    expect(again).toMatchObject({ reason: 'SIGNATURE_DEPRECATED', message: 'Signature is deprecated' });
    const program = await refusal(registry.createProgram({ signatureSpec: 'a -> deprecated_one' }));
    expect(program).toMatchObject({ reason: 'SIGNATURE_DEPRECATED', message: 'Signature is deprecated' });
  });

  it('SIG-08 updates drafts by mask, keeps snapshots, and never sets the status', async () => {
    const made = await parse({ spec: 'a: str -> updated_one: str', labels: { team: 'x' } });
    const changed = await update({
      signature: made.id,
      spec: 'a: int -> updated_two: str',
      description: 'new',
      etag: made.etag,
    });
    expect(changed).toMatchObject({ spec: 'a: int -> updated_two: str', description: 'new', labels: { team: 'x' } });
    expect(changed.etag).not.toBe(made.etag);
    expect((await refusal(update({ signature: made.id, name: 'late', etag: made.etag }))).reason).toBe('ETAG_MISMATCH');
    for (const path of ['status', 'id', 'complexity', 'nonsense', 'metadata.a', '__proto__']) {
      const error = await refusal(update({ signature: made.id, name: 'x', updateMask: [path] }));
      expect([path, error.reason, error.fieldViolations[0]?.field]).toEqual([path, 'INVALID_REQUEST', 'update_mask']);
    }
    expect((await update({ signature: made.id, updateMask: ['labels'] })).labels).toEqual({});
    const { versions } = await registry.call(signatures.listSignatureVersions, {
      signature: made.id,
      pageSize: 2,
      pageToken: '',
    });
    expect(versions.map(({ revision, signature }) => [revision, signature?.spec])).toEqual([
      [3, 'a: int -> updated_two: str'],
      [2, 'a: int -> updated_two: str'],
    ]);
    await registry.call(signatures.activateSignature, named(made.id));
    expect((await refusal(update({ signature: made.id, name: 'x' }))).reason).toBe('STATE_FORBIDS');
  });

  it('PRG-06 does not take an edited draft for the specification that it was born of', async () => {
    const born = await parse({ spec: 'born: str -> of: str' });
    await update({ signature: born.id, spec: 'edited: str -> since: str' });
    const again = await parse({ spec: 'born: str -> of: str' });
    expect(again.id).not.toBe(born.id);
    expect(again.spec).toBe('born: str -> of: str');
    expect((await parse({ spec: 'born: str -> of: str' })).id).toBe(again.id);
  });

  it('SIG-08 deletes what no program uses', async () => {
    const { id } = await parse({ spec: 'a: str -> deleted_one: str' });
    await registry.createProgram({ name: 'user of it', signature: id });
    const used = await refusal(registry.call(signatures.deleteSignature, named(id)));
    expect(used.reason).toBe('SIGNATURE_IN_USE');
    const free = await parse({ spec: 'a: str -> deleted_two: str' });
    await registry.call(signatures.deleteSignature, named(free.id));
    expect((await refusal(registry.call(signatures.getSignature, { signature: free.id }))).reason).toBe(
      'SIGNATURE_NOT_FOUND',
    );
  });

  it('SIG-11 SIG-15 lists by exact name and by state, page after page', async () => {
    for (const letter of ['p', 'q', 'r']) await parse({ spec: `${letter}: str -> listed: str`, name: 'listed' });
    await parse({ spec: 's: str -> listed: str', name: 'listed too' });
    expect((await list({ name: 'listed' })).signatures).toHaveLength(3);
    const pages: string[] = [];
    let pageToken = '';
    do {
      const page = await list({ name: 'listed', pageSize: 1, pageToken, orderBy: 'module desc' });
      pages.push(...page.signatures.map(({ module: name }) => name));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    expect(pages).toEqual([...pages].sort().reverse());
    expect(new Set(pages).size).toBe(3);
    await registry.call(signatures.activateSignature, named(pages[0]!));
    expect((await list({ status: 2, name: 'listed' })).signatures.map(({ module: name }) => name)).toEqual([pages[0]]);
    expect((await list({ filter: 'status = active AND name = listed' })).signatures).toHaveLength(1);
  });

  it('SIG-19 SIG-20 turns off strictness and machine-learning types', async () => {
    const lax = await parse({ spec: 'lax: str -> answer: str', strictMode: false, mlTypes: ['tensor'] });
    expect(lax).toMatchObject({ strictMode: false, mlTypes: ['tensor'] });
    const error = await refusal(parse({ spec: 'v: embedding -> answer: str', mlTypes: ['tensor'] }));
    expect(error.reason).toBe('SIGNATURE_TYPE');
    expect((await refusal(parse({ spec: 'a -> b', mlTypes: ['nonsense'] }))).fieldViolations[0]?.field).toBe(
      'ml_types[0]',
    );
  });

  it.each([
    ['question: strng -> answer', 'SIGNATURE_TYPE', 'did you mean `str`'],
    ['question answer', 'SIGNATURE_SYNTAX', 'line 1'],
    ['-> answer', 'SIGNATURE_SYNTAX', 'line 1'],
    ['', 'INVALID_REQUEST', 'is required'],
    [`a -> b ${' '.repeat(9000)}`, 'SIGNATURE_SYNTAX', ''],
    ['a\u0000 -> b', 'SIGNATURE_SYNTAX', ''],
  ])('SIG-10 C-9 points at what is wrong with %j', async (spec, reason, message) => {
    const error = await refusal(parse({ spec }));
    expect(error.reason).toBe(reason);
    expect(error.message).toContain(message);
  });

  it('refuses texts that cannot be stored, all of them at once', async () => {
    const error = await refusal(
      parse({
        spec: 'a -> b',
        name: 'x\u0000',
        description: 'y'.repeat(10_001),
        labels: { 'Bad Key': 'v', good: 'w'.repeat(300) },
        metadata: { deep: { text: '\u0000' }, number: Number.NaN },
      }),
    );
    expect(error.fieldViolations.map(({ field }) => field)).toEqual([
      'name',
      'description',
      'labels["Bad Key"]',
      'labels["good"]',
      'metadata',
    ]);
  });

  it('finds nothing under hostile names', async () => {
    for (const signature of ["x' OR '1'='1", '\u0000', '', '?', '$1', 'x'.repeat(5000), '../..']) {
      expect((await refusal(registry.call(signatures.getSignature, { signature }))).reason).toBe('SIGNATURE_NOT_FOUND');
    }
  });

  it('SIG-17 lists the field types with what DSPy gets', async () => {
    const { fieldTypes } = await registry.call(signatures.listFieldTypes, {});
    expect(fieldTypes.find(({ name }) => name === 'list')).toMatchObject({ mlType: false, dspyType: 'list[str]' });
    expect(fieldTypes.filter(({ mlType }) => mlType).map(({ name }) => name)).toEqual([
      'embedding',
      'probability',
      'tensor',
    ]);
  });
});
