import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { createProgram, demand, QA_INPUTS, QA_SPEC, readyProgram, uniqueName } from '../support/programs.ts';
import { type Stack, startStack } from '../support/stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
});
afterAll(() => stack?.close());

describe('programs', () => {
  it('PRG-01 carries its fields with their defaults, and no counters', async () => {
    const program = await createProgram(stack, {
      adapterType: 'python_port',
      configuration: { instructions: 'Be brief.' },
    });
    expect(program).toMatchObject({
      status: 'PROGRAM_STATUS_DRAFT',
      adapterType: 'ADAPTER_TYPE_PYTHON_PORT',
      configuration: { instructions: 'Be brief.' },
    });
    expect(program.signatureId).toBeTruthy();
    expect(program.dspyProgramId ?? '').toBe('');
    expect(program.errorMessage ?? '').toBe('');
    expect(program).not.toHaveProperty('executionCount');
    const stats = demand(await stack.http.get(`/v1/programs/${program.slug}/stats`), 200);
    expect(Number(stats.executionCount ?? 0)).toBe(0);
  });

  it('PRG-02 carries description, variables and the history of its optimization', async () => {
    const made = await createProgram(stack, {
      description: 'Answers.',
      variables: { temperature: 0.5 },
      labels: { team: 'search' },
    });
    expect(made).toMatchObject({
      description: 'Answers.',
      variables: { temperature: 0.5 },
      labels: { team: 'search' },
    });
    expect(made.optimizationHistory ?? []).toEqual([]);
    expect(demand(await stack.http.get(`/v1/programs/${made.id}`), 200)).toEqual(made);
  });

  it('PRG-03 begins as a draft and takes a state by its short name, by its full name and by its synonym', async () => {
    const draft = await createProgram(stack);
    const ready = await readyProgram(stack);
    expect(draft.status).toBe('PROGRAM_STATUS_DRAFT');
    for (const spelling of ['ready', 'active', 'PROGRAM_STATUS_READY']) {
      const listed = demand(await stack.http.get(`/v1/programs?pageSize=1000&status=${spelling}`), 200)
        .programs as JsonObject[];
      expect(listed.map(({ id }) => id)).toContain(ready.id);
      expect(listed.map(({ id }) => id)).not.toContain(draft.id);
      const filter = encodeURIComponent(`status = ${spelling} AND id = "${ready.id}"`);
      const filtered = demand(await stack.http.get(`/v1/programs?filter=${filter}`), 200).programs as JsonObject[];
      expect(filtered.map(({ id }) => id)).toEqual([ready.id]);
    }
    expect((await stack.http.get('/v1/programs?status=sleeping')).status).toBe(400);
  });

  it.each([
    ['python_port', 'ADAPTER_TYPE_PYTHON_PORT'],
    ['python', 'ADAPTER_TYPE_PYTHON_PORT'],
    ['native', 'ADAPTER_TYPE_NATIVE'],
    ['mock', 'ADAPTER_TYPE_MOCK'],
    ['ADAPTER_TYPE_MOCK', 'ADAPTER_TYPE_MOCK'],
  ])('PRG-04 takes the adapter type %s', async (given, kept) => {
    expect((await createProgram(stack, { adapterType: given })).adapterType).toBe(kept);
  });

  it('PRG-04 defaults to python_port and refuses an adapter type that there is not', async () => {
    const made = demand(await stack.http.post('/v1/programs', { name: 'default', signatureSpec: QA_SPEC }), 201);
    expect(made.adapterType).toBe('ADAPTER_TYPE_PYTHON_PORT');
    const refused = await stack.http.post('/v1/programs', {
      name: 'x',
      signatureSpec: QA_SPEC,
      adapterType: 'quantum',
    });
    expect([refused.status, refused.body.reason]).toEqual([400, 'INVALID_REQUEST']);
    expect(refused.text).toContain('adapterType');
  });

  it('PRG-05 creates over a registered module and refuses what is none on the field signature_module', async () => {
    const made = await createProgram(stack, { signatureModule: 'Signet.QuestionAnswer' });
    expect(made.signatureModule).toBe('Signet.QuestionAnswer');
    for (const signatureModule of ['No.Such', 'os.system', 'subprocess:Popen', '__import__']) {
      const refused = await stack.http.post('/v1/programs', { name: 'x', signatureModule });
      expect(refused.status).toBe(400);
      expect(refused.text).toContain('Invalid signature module');
      expect(JSON.stringify(refused.body.violations)).toMatch(/signature_?module/i);
    }
  });

  it('PRG-06 links programs of one module or specification to one signature', async () => {
    const first = await createProgram(stack, { signatureModule: 'Signet.Summarize' });
    const second = await createProgram(stack, { signatureModule: 'Signet.Summarize' });
    expect(second.signatureId).toBe(first.signatureId);
    const [a, b] = [await createProgram(stack), await createProgram(stack)];
    expect(b.signatureId).toBe(a.signatureId);
  });

  it('PRG-07 makes one signature and 50 programs under 50 parallel creations', async () => {
    const spec = `${uniqueName('f').replace('-', '_')} -> answer`;
    const made = await Promise.all(
      Array.from({ length: 50 }, () => createProgram(stack, { name: 'parallel', signatureSpec: spec })),
    );
    expect(new Set(made.map(({ signatureId }) => signatureId)).size).toBe(1);
    expect(new Set(made.map(({ id }) => id)).size).toBe(50);
    expect(new Set(made.map(({ slug }) => slug)).size).toBe(50);
  });

  it.each([
    ['no name', { signatureSpec: QA_SPEC }, 'name'],
    ['an empty name', { name: '', signatureSpec: QA_SPEC }, 'name'],
    ['a long name', { name: 'n'.repeat(201), signatureSpec: QA_SPEC }, 'name'],
    ['no signature', { name: 'x' }, 'signature'],
    ['two signatures', { name: 'x', signatureSpec: QA_SPEC, signatureModule: 'Signet.QuestionAnswer' }, 'signature'],
    ['a slug of other letters', { name: 'x', slug: 'No Slug', signatureSpec: QA_SPEC }, 'slug'],
  ])('PRG-08 refuses %s', async (_what, body, field) => {
    const refused = await stack.http.post('/v1/programs', body);
    expect([refused.status, refused.body.reason]).toEqual([400, 'INVALID_REQUEST']);
    expect(JSON.stringify(refused.body.violations)).toContain(field);
  });

  it('derives slugs that are free and refuses a given one that is taken', async () => {
    const name = `My Program ${uniqueName('n')}`;
    const [a, b] = [await createProgram(stack, { name }), await createProgram(stack, { name })];
    expect(a.slug).toMatch(/^my-program-n-[a-z0-9]+$/);
    expect(b.slug).toBe(`${a.slug}-2`);
    const taken = await stack.http.post('/v1/programs', { name, slug: a.slug, signatureSpec: QA_SPEC });
    expect([taken.status, taken.body.reason]).toEqual([409, 'NAME_TAKEN']);
  });

  it('PRG-09 initializes only drafts', async () => {
    const { slug } = await readyProgram(stack);
    const twice = await stack.http.post(`/v1/programs/${slug}:initialize`);
    expect(twice.status).toBe(409);
    expect(twice.body).toMatchObject({ reason: 'STATE_FORBIDS', detail: 'Only draft programs can be initialized' });
  });

  it('PRG-15 archives from any state, repeatedly', async () => {
    for (const program of [await createProgram(stack), await readyProgram(stack)]) {
      for (let time = 0; time < 2; time += 1) {
        expect(demand(await stack.http.post(`/v1/programs/${program.slug}:archive`), 200).status).toBe(
          'PROGRAM_STATUS_ARCHIVED',
        );
      }
      const refused = await stack.http.post(`/v1/programs/${program.slug}:execute`, { inputs: QA_INPUTS });
      expect([404, 409]).toContain(refused.status);
    }
  });

  it('PRG-17 reads, changes and deletes; a used one leaves its executions behind', async () => {
    const { id, slug, etag } = await readyProgram(stack);
    const ran = demand(await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS }), 200);
    const renamed = demand(await stack.http.patch(`/v1/programs/${slug}`, { name: 'Renamed' }), 200);
    expect([renamed.name, renamed.slug]).toEqual(['Renamed', slug]);
    expect((await stack.http.patch(`/v1/programs/${slug}`, { status: 'archived' })).status).toBe(400);
    const stale = await stack.http.patch(
      `/v1/programs/${slug}`,
      { name: 'x' },
      { headers: { 'if-match': String(etag) } },
    );
    expect([stale.status, stale.body.reason]).toEqual([412, 'ETAG_MISMATCH']);
    const refused = await stack.http.delete(`/v1/programs/${slug}`);
    expect([refused.status, refused.body.reason]).toEqual([409, 'STATE_FORBIDS']);
    expect((await stack.http.delete(`/v1/programs/${slug}?force=true`)).status).toBeLessThan(300);
    expect((await stack.http.get(`/v1/programs/${slug}`)).body.reason).toBe('PROGRAM_NOT_FOUND');
    expect(demand(await stack.http.get(`/v1/executions/${ran.executionId}`), 200).programId).toBe(id);
    expect((await createProgram(stack, { slug: slug ?? '' })).slug).toBe(slug);
  });

  it('PRG-17 makes a version of each new configuration and keeps serving the old one', async () => {
    const { slug } = await readyProgram(stack);
    demand(await stack.http.patch(`/v1/programs/${slug}`, { configuration: { instructions: 'Be brief.' } }), 200);
    const program = demand(await stack.http.get(`/v1/programs/${slug}`), 200);
    expect([program.servingVersion, program.latestVersion]).toEqual([1, 2]);
    const versions = demand(await stack.http.get(`/v1/programs/${slug}/versions`), 200).versions as JsonObject[];
    expect(versions.map(({ version }) => version)).toEqual([2, 1]);
    const second = demand(await stack.http.get(`/v1/programs/${slug}/versions/2`), 200);
    expect(second).toMatchObject({ configuration: { instructions: 'Be brief.' }, parentVersion: 1 });
    expect((await stack.http.get(`/v1/programs/${slug}/versions/3`)).body.reason).toBe('VERSION_NOT_FOUND');
  });

  it('refuses configurations that name what there is not', async () => {
    for (const [configuration, reason] of [
      [{ module: 'os.system' }, 'MODULE_INVALID'],
      [{ module: 'dspy.Predict' }, 'MODULE_INVALID'],
      [{ promptAdapter: 'xml' }, 'INVALID_REQUEST'],
      [{ lm: 'nobody' }, 'LM_NOT_FOUND'],
      [{ lmOptions: { temperature: 9 } }, 'INVALID_REQUEST'],
      [{ lmOptions: { maxTokens: 0 } }, 'INVALID_REQUEST'],
      [{ demos: [{ question: 7 }] }, 'INVALID_REQUEST'],
    ] as const) {
      const refused = await stack.http.post('/v1/programs', { name: 'x', signatureSpec: QA_SPEC, configuration });
      expect([configuration, refused.body.reason]).toEqual([configuration, reason]);
    }
  });

  it('resets only what is in error', async () => {
    const configuration = { metadata: { mock: { prepare_error: 'MODULE_INVALID' } } };
    const broken = await createProgram(stack, { configuration });
    const failed = demand(await stack.http.post(`/v1/programs/${broken.slug}:initialize`), 200);
    expect(failed.status).toBe('PROGRAM_STATUS_ERROR');
    expect(demand(await stack.http.post(`/v1/programs/${broken.slug}:reset`), 200).status).toBe('PROGRAM_STATUS_DRAFT');
    expect((await stack.http.post(`/v1/programs/${broken.slug}:reset`)).body.reason).toBe('STATE_FORBIDS');
  });

  it('lists by filter, order and page, and refuses the tokens of another list', async () => {
    const label = uniqueName('l');
    for (const name of ['b', 'a', 'c']) await createProgram(stack, { name, labels: { run: label } });
    const filter = encodeURIComponent(`labels.run = "${label}"`);
    const first = demand(await stack.http.get(`/v1/programs?filter=${filter}&orderBy=name&pageSize=2`), 200);
    expect((first.programs as JsonObject[]).map(({ name }) => name)).toEqual(['a', 'b']);
    const token = String(first.nextPageToken);
    const second = demand(
      await stack.http.get(`/v1/programs?filter=${filter}&orderBy=name&pageSize=2&pageToken=${token}`),
      200,
    );
    expect((second.programs as JsonObject[]).map(({ name }) => name)).toEqual(['c']);
    for (const query of [
      `pageToken=${token}`,
      'pageToken=garbage',
      `filter=${filter}&orderBy=name%20desc&pageToken=${token}`,
    ]) {
      expect((await stack.http.get(`/v1/programs?${query}`)).body.reason).toBe('PAGE_TOKEN_INVALID');
    }
    for (const bad of ['name =', 'secret = 1', 'name = "x" OR', '('.repeat(500), "name = 'x'; drop table programs"]) {
      const refused = await stack.http.get(`/v1/programs?filter=${encodeURIComponent(bad)}`);
      expect([bad, refused.status, refused.body.reason]).toEqual([bad, 400, 'FILTER_SYNTAX']);
    }
    expect((await stack.http.get('/v1/programs?pageSize=-1')).body.reason).toBe('INVALID_REQUEST');
  });

  it('makes repeats with one request_id one program', async () => {
    const headers = { 'idempotency-key': uniqueName('once') };
    const body = { name: uniqueName('idem'), signatureSpec: QA_SPEC };
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => stack.http.post('/v1/programs', body, { headers })),
    );
    expect(new Set(answers.map((answer) => demand(answer, 201).id)).size).toBe(1);
    const other = await stack.http.post('/v1/programs', { ...body, name: 'other' }, { headers });
    expect([other.status, other.body.reason]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
  });
});
