import { type DiskErrorCode, type DiskOperation, RandomChoices, SeededRandom } from '@millrace/base'
import { expect, test } from 'vitest'
import { newEvaluations } from './testing/invariant.ts'
import { checkMoved } from './testing/move-check.ts'
import { MoveWorkload } from './testing/move-workload.ts'

/** A disk fails, or is full for a while, while a log is moved from it or to it: nothing that was acknowledged is lost by that. */

interface Fault {
  operation: DiskOperation
  code: DiskErrorCode
  /** How many operations it befalls. */
  count: number
}

const FINAL: readonly Fault[] = (['write', 'sync', 'rename', 'sync directory', 'create'] as const).map((operation) => ({
  operation,
  code: 'DISK_IO',
  count: 1,
}))
const PASSING: readonly Fault[] = (['write', 'create', 'rename'] as const).map((operation) => ({
  operation,
  code: 'DISK_FULL',
  count: 3,
}))

const cases = [...FINAL, ...PASSING].flatMap((fault) => ['/a', '/b'].map((directory) => ({ fault, directory })))

test.each(cases.map((one, number) => ({ ...one, number })))(
  '$fault.code of a $fault.operation in $directory',
  async ({ fault, directory, number }) => {
    const seed = 1_200 + number
    const workload = new MoveWorkload({ seed, stepCount: 250, crashShare: 0.02, isFaulty: true })
    let seenCount = 0
    let firedCount = 0
    workload.onStarted = (disk) => {
      disk.fault = (operation, path) => {
        const isOfMove = path.includes('-future') || path.includes('moved-replicas') || path === directory
        if (operation !== fault.operation || !path.startsWith(directory) || !isOfMove) return null
        seenCount++
        if (seenCount <= number % 2 || firedCount >= fault.count) return null
        firedCount++
        return fault.code
      }
    }
    await workload.run()
    await workload.checkGoesOn(directory)
    const random = new SeededRandom(seed)
    for (const { disk, step, expected } of workload.points) {
      try {
        await checkMoved(disk.crashed(new RandomChoices(random)), expected, newEvaluations())
      } catch (error) {
        throw new Error(`seed ${seed}, at ${step}`, { cause: error })
      }
    }
    expect(workload.points.length).toBeGreaterThan(0)
    expect(firedCount).toBeGreaterThan(0)
  },
)
