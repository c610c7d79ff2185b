import { defineConfig } from 'vitest/config'

const report = process.env.TEST_REPORT

export default defineConfig({
  test: {
    // Relative to `--dir`, so that `vitest run --dir packages/base` finds its tests. Those of e2e have a configuration of their own.
    include: ['**/src/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', 'e2e/**'],
    pool: 'forks',
    testTimeout: 30_000,
    sequence: { shuffle: true },
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
  },
})
