import { RandomChoices, SeededRandom } from '@millrace/base'
import { expect, test } from 'vitest'
import { newEvaluations } from './testing/invariant.ts'
import { checkMoved } from './testing/move-check.ts'
import { MoveWorkload } from './testing/move-workload.ts'

/**
 * A log is written to, cut and moved between two directories; power is lost, or the process killed, at random operations of the disk. What
 * is left must be one log with all that was acknowledged (docs/adr/0009). A failure names its seed; `MOVE_SEEDS=from-to` runs others.
 */
const [fromSeed, toSeed] = (process.env.MOVE_SEEDS ?? '0-4').split('-').map(Number)
/** Left stale leader epochs behind after a clean stop. */
const KEPT_SEEDS = process.env.MOVE_SEEDS === undefined ? [81] : []

test.each([...Array.from({ length: toSeed! - fromSeed! }, (_, number) => fromSeed! + number), ...KEPT_SEEDS])(
  'what a crash leaves of a log that is being moved recovers, seed %i',
  async (seed) => {
    const disk = { mapping: seed % 2 === 0, finePageBytes: seed % 3 === 0 ? 1024 : 0, looseNames: seed % 5 === 0 }
    const workload = new MoveWorkload({ seed, stepCount: 250, crashShare: 0.06, disk })
    await workload.run()
    expect(workload.points.length).toBeGreaterThan(0)
    const random = new SeededRandom(seed)
    const evaluations = newEvaluations()
    for (const [number, { disk: found, step, expected }] of workload.points.entries()) {
      for (const next of ['killed', 'crashed'] as const) {
        try {
          const left = next === 'killed' ? found.fork() : found.crashed(new RandomChoices(random))
          await checkMoved(left, expected, evaluations)
        } catch (error) {
          throw new Error(`seed ${seed}, ${next} at point ${number}, ${step}`, { cause: error })
        }
      }
    }
    await workload.checkRunning()
    await workload.end()
    expect(workload.harness.failures).toEqual([])
    expect(workload.harness.errors).toEqual([])
  },
)
