import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { createDocsFiles, docsPolicy } from './docs-files.ts';

const files = createDocsFiles();
const textOf = (path: string): string => files.get(path)!().body.toString('utf8');
const ours = ['/docs', '/docs/docs.js', '/docs/docs.css', '/docs/icon.svg'];

describe('the files of the documentation page', () => {
  test('are all there, whole, also packed', () => {
    expect([...files.keys()]).toEqual(expect.arrayContaining(ours));
    for (const make of files.values()) {
      const { body, gzipped } = make();
      expect(body.length).toBeGreaterThan(100);
      expect(gunzipSync(gzipped).equals(body)).toBe(true);
      expect(make()).toBe(make());
    }
  });

  test('are all that the page asks for', () => {
    const asked = [...textOf('/docs').matchAll(/(?:src|href)="([^"]+)"/g)].map((one) => one[1]!);
    expect(asked.length).toBeGreaterThan(4);
    expect(asked.filter((path) => path !== '/openapi.json' && !files.has(path))).toEqual([]);
  });

  test('name no other host, and nothing stands inline that the policy forbids', () => {
    for (const path of ours) {
      const text = textOf(path).replace('xmlns="http://www.w3.org/2000/svg"', '');
      expect([path, text.match(/https?:\/\/|\/\/[a-z]+\./i)]).toEqual([path, null]);
    }
    expect(textOf('/docs')).not.toMatch(/<script>|<style| style=| on[a-z]+=/);
    expect(docsPolicy).not.toMatch(/unsafe|\*|http/);
    expect(docsPolicy).toContain("default-src 'none'");
  });
});
