import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['packages/*/src/**/*.test.ts', 'apps/*/src/**/*.test.ts', 'tools/*/src/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    sequence: { shuffle: true },
  },
})
