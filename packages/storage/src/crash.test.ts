import { SeededRandom } from '@millrace/base'
import { expect, test } from 'vitest'
import { CrashCheck } from './testing/crash-check.ts'
import { sampleCrash } from './testing/crash-explorer.ts'
import { CrashWorkload } from './testing/crash-workload.ts'

/**
 * Power is lost at random disk operations of a random workload; what any subset of the unsynced pages and names leaves must recover to
 * a prefix of what was appended, with all that was acknowledged, also if power is lost again meanwhile (`reliability.md`, 1.3 and 5.1).
 * A failure names its seed; `CRASH_SEEDS=from-to` runs others. `npm run reliability -- traces` does the same for hours, and for each
 * outcome of short traces.
 */
const [fromSeed, toSeed] = (process.env.CRASH_SEEDS ?? '0-12').split('-').map(Number)

test.each(Array.from({ length: toSeed! - fromSeed! }, (_, number) => fromSeed! + number))(
  'what a crash leaves of the workload with seed %i recovers',
  async (seed) => {
    const workload = new CrashWorkload({
      seed,
      stepCount: 120,
      crashShare: 0.05,
      mapping: seed % 2 === 0,
      disk: { finePageBytes: seed % 3 === 0 ? 1024 : 0 },
    })
    await workload.run()
    expect(workload.crashPoints.length).toBeGreaterThan(0)
    const check = new CrashCheck()
    const random = new SeededRandom(seed)
    for (const [number, point] of workload.crashPoints.entries()) {
      try {
        await sampleCrash(check, point, random)
      } catch (error) {
        throw new Error(`seed ${seed}, crash ${number} at ${point.step}`, { cause: error })
      }
    }
    await workload.end()
    expect(workload.harness.failures).toEqual([])
    expect([...workload.earlierErrors, ...workload.harness.errors]).toEqual([])
  },
)
