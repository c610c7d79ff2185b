import { RandomChoices, type SeededRandom, type SimulatedDisk } from '@millrace/base'
import { TRANSACTION_INDEX_SUFFIX } from '../file-names.ts'
import type { LogConfig } from '../log-config.ts'
import type { CrashPoint } from './crash-workload.ts'
import { openDamaged } from './damage-check.ts'
import { type Evaluations, fail } from './invariant.ts'
import { checkContents, checkDerived } from './log-invariants.ts'

/** Of a start that is killed: so many moments of it are tried, each with a kill of the process and with a loss of power. */
const MOMENTS = 2

/**
 * S4: after a clean stop a transaction index with entries is gone, and the start that builds it anew is killed: at some of the changes that
 * it makes, and just when it is done. Of a start after that, too, aborted transactions are what a scan of the log gives. `stopped`: a disk
 * after a clean stop, with what must be found there. Gives how many starts were looked at: none if there is no such index.
 */
export async function checkLostIndex(
  stopped: CrashPoint,
  random: SeededRandom,
  evaluations: Evaluations,
  config: Partial<LogConfig> = {},
): Promise<number> {
  const disk = stopped.disk.fork().killed()
  const indexes = stopped.logs.flatMap(({ partition }) => filledIndexes(disk, `/data/topic-${partition}`))
  const lost = indexes[random.uint32() % Math.max(1, indexes.length)]
  if (lost === undefined) return 0
  disk.removeFile(lost)
  disk.writeBackAll()
  const moments: SimulatedDisk[] = []
  disk.onChange = () => {
    moments.push(disk.fork())
  }
  await openDamaged(disk, config)
  disk.onChange = () => undefined
  const left = [disk.fork().killed()]
  for (let count = 0; count < MOMENTS && moments.length > 0; count++) {
    const moment = moments[random.uint32() % moments.length]!
    left.push(moment.fork().killed(), moment.crashed(new RandomChoices(random)))
  }
  for (const found of left) {
    const { manager } = await openDamaged(found, config)
    for (const expected of stopped.logs) {
      const log = manager.log('topic', expected.partition)
      if (log?.topicId !== expected.topicId) fail('S1', `without ${lost}, partition ${expected.partition} is gone`)
      evaluations.S1++
      if (log.logEndOffset < expected.durableOffset) fail('S1', `without ${lost}, the log ends at ${log.logEndOffset}`)
      await checkContents(log, expected, log.logEndOffset, evaluations)
      await checkDerived(log, expected, evaluations)
    }
    await manager.shutdown()
  }
  return left.length
}

function filledIndexes(disk: SimulatedDisk, directory: string): string[] {
  if (disk.stat(directory)?.isDirectory !== true) return []
  return disk
    .listDirectory(directory)
    .filter((name) => name.endsWith(TRANSACTION_INDEX_SUFFIX))
    .map((name) => `${directory}/${name}`)
    .filter((path) => disk.stat(path)!.sizeBytes > 0)
}
