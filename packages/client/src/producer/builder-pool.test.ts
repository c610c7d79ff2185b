import { expect, test } from 'vitest'
import { BuilderPool } from './builder-pool.ts'

test('builders are used again, but not one that grew for a large record', () => {
  const pool = new BuilderPool({}, 1024, 4)
  const usual = pool.take()
  usual.append(0, null, 'small')
  pool.giveBack(usual)
  expect(pool.take()).toBe(usual)
  const grown = pool.take()
  grown.append(0, null, 'x'.repeat(100_000))
  pool.giveBack(grown)
  expect(pool.take()).not.toBe(grown)
})
