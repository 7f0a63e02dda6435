import { defineConfig } from 'vitest/config';

const report = process.env.SIGNET_TEST_REPORT;

// On its own: it needs a container engine, and images that take a while to build.
export default defineConfig({
  test: {
    include: ['test/compose/**/*.test.ts'],
    globalSetup: ['test/compose/global-project.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 120_000,
    hookTimeout: 900_000,
    teardownTimeout: 120_000,
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
  },
});
