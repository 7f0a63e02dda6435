import { gunzipSync } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startChromium, whyNoChromium } from '../support/chromium.ts';
import { readyProgram, uniqueName } from '../support/programs.ts';
import { type Stack, startStack } from '../support/stack.ts';

const missing = whyNoChromium();
if (missing !== undefined) console.warn(`the documentation page is not opened: ${missing}`);

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
});
afterAll(() => stack?.close());

describe('the documentation page, as files', () => {
  it('QUA-01 is served without a key, packed where that is wanted, under a policy that allows our own files alone', async () => {
    const plain = await stack.http.get('/docs', { key: '', headers: { 'accept-encoding': 'identity, gzip;q=0' } });
    expect(plain.status).toBe(200);
    expect(plain.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(plain.headers['content-encoding']).toBeUndefined();
    expect(plain.headers['content-security-policy']).toContain("script-src 'self'");
    const packed = await request(`http://${stack.httpAddress}/docs`, { headers: { 'accept-encoding': 'br, gzip' } });
    expect(packed.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(Buffer.from(await packed.body.arrayBuffer())).toString()).toBe(plain.text);
  });

  it.each(['/docs/', '/docs/../config.ts', '/docs/package.json', '/docs/%2e%2e/main.ts', '/docs/swagger-ui.js'])(
    'has nothing at %s',
    async (path) => {
      expect((await stack.http.get(path)).status).toBe(404);
    },
  );

  it('takes only what reads', async () => {
    expect((await stack.http.post('/docs', {})).status).toBe(405);
  });
});

describe.skipIf(missing !== undefined)('the documentation page in Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startChromium();
  });
  afterAll(() => browser?.close());

  it('QUA-01 lets one authorize with a key and execute a program, and asks nobody but the gateway', async () => {
    const { slug } = await readyProgram(stack);
    const { page, complaints, hosts } = await openDocs();
    await authorize(page, stack.adminKey);
    const operation = await openOperation(page, 'Runtime-ExecuteProgram', String(slug));
    await operation.locator('.execute').click();
    const answer = operation.locator('.live-responses-table');
    await answer.locator('.response-col_status').filter({ hasText: '200' }).waitFor();
    expect(await answer.textContent()).toContain('EXECUTION_STATUS_COMPLETED');
    expect(complaints).toEqual([]);
    expect([...hosts]).toEqual([stack.httpAddress]);
    // The key is not left behind.
    expect(await page.evaluate('JSON.stringify([localStorage, sessionStorage, document.cookie])')).toBe('[{},{},""]');
    await page.close();
  });

  it('shows the events of a stream as they are', async () => {
    const { slug } = await readyProgram(stack);
    const { page, complaints } = await openDocs();
    await authorize(page, stack.adminKey);
    const operation = await openOperation(page, 'Runtime-StreamProgram', String(slug));
    await operation.locator('.execute').click();
    await page.locator('#stream-title').filter({ hasText: 'ended' }).waitFor();
    const events = await page.locator('#stream-events li').allTextContents();
    expect(events[0]).toBe('stateEXECUTION_STATUS_PENDING');
    expect(events.at(-1)).toContain('result');
    await operation.locator('.live-responses-table').filter({ hasText: 'event: result' }).waitFor();
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows a refusal as it came, and text of strangers as text', async () => {
    const description = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
    const { slug } = await readyProgram(stack, { name: uniqueName('hostile'), description });
    const { page } = await openDocs();
    const operation = await openOperation(page, 'Program-GetProgram', String(slug));
    await operation.locator('.execute').click();
    await operation.locator('.live-responses-table').filter({ hasText: 'KEY_MISSING' }).waitFor();
    await authorize(page, stack.adminKey);
    await operation.locator('.execute').click();
    await operation.locator('.live-responses-table').filter({ hasText: 'onerror' }).waitFor();
    expect(await page.title()).toBe('Signet API');
    await page.close();
  });

  it.each(['light', 'dark'] as const)('is painted %s where the reader wants it so', async (colorScheme) => {
    const page = await browser.newPage({ colorScheme });
    await page.goto(`http://${stack.httpAddress}/docs`);
    await page.locator('.opblock').first().waitFor();
    const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor');
    expect(ground === 'rgb(255, 255, 255)').toBe(colorScheme === 'light');
    await page.close();
  });

  async function openDocs(): Promise<{ page: Page; complaints: string[]; hosts: Set<string> }> {
    const page = await browser.newPage();
    const complaints: string[] = [];
    const hosts = new Set<string>();
    page.on('console', (line) => ['error', 'warning'].includes(line.type()) && complaints.push(line.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('request', (one) => one.url().startsWith('http') && hosts.add(new URL(one.url()).host));
    await page.goto(`http://${stack.httpAddress}/docs`);
    await page.locator('.opblock').first().waitFor();
    expect(await page.locator('.errors-wrapper, .loading-container').count()).toBe(0);
    return { page, complaints, hosts };
  }

  async function authorize(page: Page, key: string): Promise<void> {
    await page.locator('.auth-wrapper .authorize').click();
    await page.locator('.auth-container input').fill(key);
    await page.locator('.auth-container button[type=submit]').click();
    await page.locator('.auth-container .btn-done').click();
  }

  async function openOperation(page: Page, name: string, program: string) {
    const operation = page.locator(`#operations-${name}`);
    await operation.locator('.opblock-summary-control').click();
    await operation.locator('tr[data-param-name=program] input').fill(program);
    return operation;
  }
});
