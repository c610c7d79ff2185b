/**
 * Runs before each file of unit tests. With `TEST_SEED` property tests take their examples from that seed, as CI does: what a change
 * must pass should judge the change, not the dice. Without it they are new ones each time.
 */
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'

const { TEST_SEED } = process.env
const { testPath } = expect.getState()
// Loading the library takes a while, and most files have no use for it.
if (TEST_SEED !== undefined && testPath !== undefined && readFileSync(testPath, 'utf8').includes("from 'fast-check'")) {
  const seed = Number(TEST_SEED)
  if (!Number.isInteger(seed)) throw new Error(`TEST_SEED must be an integer, not ${JSON.stringify(TEST_SEED)}`)
  const { default: fc } = await import('fast-check')
  fc.configureGlobal({ seed })
}
