import { defineConfig } from 'vitest/config';

const report = process.env.SIGNET_TEST_REPORT;

export default defineConfig({
  test: {
    include: ['packages/**/*.test.ts', 'services/**/*.test.ts', 'proto/**/*.test.ts', 'test/**/*.test.ts'],
    // What needs a container engine runs by `npm run test:compose`.
    exclude: ['**/node_modules/**', '**/.signet/**', 'test/compose/**'],
    globalSetup: ['test/support/global-postgres.ts'],
    pool: 'forks',
    // Each file may start servers, a database and Python of its own: more files at once only make each other late.
    maxWorkers: 2,
    // What is waited for may come late on a busy machine; that it comes is what a test says.
    expect: { poll: { timeout: 10_000 } },
    testTimeout: 30_000,
    hookTimeout: 90_000,
    teardownTimeout: 20_000,
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
  },
});
