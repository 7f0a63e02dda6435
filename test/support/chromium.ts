import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** The browser of this machine: SIGNET_CHROMIUM, or the first of its names on the PATH; undefined if there is none. */
export function findChromium(): string | undefined {
  const given = process.env.SIGNET_CHROMIUM;
  if (given) return given;
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
}

/** Why suites with a browser are left out here; undefined where they can run. */
export function whyNoChromium(): string | undefined {
  if (findChromium() !== undefined) return undefined;
  return 'no Chromium: install it, on Debian by `apt install chromium`, or set SIGNET_CHROMIUM';
}

/** Starts the browser without a window. Its own sandbox is off: it visits nothing but pages of the test. */
export function startChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: findChromium() ?? '', args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}
