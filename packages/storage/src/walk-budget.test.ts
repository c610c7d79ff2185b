import { expect, test } from 'vitest'
import { WalkBudget } from './walk-budget.ts'

const MIB = 2 ** 20

/** Writes a mebibyte to each of so many logs in turn; returns mebibytes between two checkpoints, and the most that was to be walked. */
function write(logCount: number, mebimibEach: number) {
  const budget = new WalkBudget()
  const walkBytes = new Array<number>(logCount).fill(0)
  let checkpoints = 0
  let mostBytes = 0
  for (let n = 0; n < mebimibEach; n++) {
    for (const [at, bytes] of walkBytes.entries()) {
      const written = bytes + MIB
      budget.move(bytes, written)
      mostBytes = Math.max(mostBytes, budget.usedBytes)
      walkBytes[at] = budget.isDue(written) ? 0 : written
      if (walkBytes[at] === 0) checkpoints++
      budget.move(written, walkBytes[at])
    }
  }
  return { mibEach: (logCount * mebimibEach) / checkpoints, mostMib: mostBytes / MIB }
}

test('a start walks about as much of all logs as of 48, as long as none is checkpointed for less than 4 MiB', () => {
  for (const count of [1, 10, 48]) expect(write(count, 160).mibEach).toBe(16)
  for (const count of [60, 100, 150]) {
    const { mibEach, mostMib } = write(count, 160)
    expect(mostMib).toBeLessThan(800)
    expect(mibEach).toBeGreaterThan(4)
    expect(mibEach).toBeLessThanOrEqual(16)
  }
  const { mibEach, mostMib } = write(1000, 40)
  expect(mibEach).toBeCloseTo(4, 0)
  expect(mostMib).toBeLessThan(4000)
})
