import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

const report = process.env.TEST_REPORT
/** Of property tests and of the order of all tests; new ones each time if not set. */
const seed = process.env.TEST_SEED

export default defineConfig({
  test: {
    // Relative to `--dir`, so that `vitest run --dir packages/base` finds its tests. Those of e2e have a configuration of their own.
    include: ['**/src/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', 'e2e/**'],
    pool: 'forks',
    testTimeout: 30_000,
    setupFiles: [join(import.meta.dirname, 'tools/build/src/test-seed.ts')],
    sequence: { shuffle: true, ...(seed === undefined ? {} : { seed: Number(seed) }) },
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
  },
})
