import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

const report = process.env.TEST_REPORT

/** Tests of the built broker with other vendors' clients and tools, and of its crashes. `npm run e2e` runs them. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    globalSetup: [join(import.meta.dirname, 'harness/global-setup.ts')],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 180_000,
    hookTimeout: 60_000,
    sequence: { shuffle: true },
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
  },
})
