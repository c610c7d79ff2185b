import type { Offset, SimulatedDisk, Uuid } from '@millrace/base'
import type { Log } from '../index.ts'
import { type Evaluations, fail } from './invariant.ts'
import { checkContents, checkDerived } from './log-invariants.ts'
import type { Harness } from './storage-harness.ts'
import { checkIndexFiles } from './stored-files.ts'
import type { WorkloadLog } from './workload-log.ts'

/** What recovery says when files are not as the durable mark knows them. */
export const FILES_CHANGED = 'files are not as they were, walking the log'

/** Where a log was when storage stopped. */
export interface LogEnds {
  partition: number
  topicId: Uuid
  path: string
  logStartOffset: Offset
  logEndOffset: Offset
  highWatermark: Offset
}

export function noteEnds(logs: Iterable<Log>): LogEnds[] {
  return Array.from(logs, ({ partition, topicId, path, logStartOffset, logEndOffset, highWatermark }) => ({
    partition,
    topicId,
    path,
    logStartOffset,
    logEndOffset,
    highWatermark,
  }))
}

/**
 * A log that is in use serves what was appended, and what is derived from it is what a scan gives: mistakes that a start would mend
 * by walking the log are seen here only (S1 to S4). What was appended must have been written.
 */
export async function checkRunning(entry: WorkloadLog, evaluations: Evaluations): Promise<void> {
  const { log, model } = entry
  const expected = entry.expectation()
  if (log === null || expected === null) return
  evaluations.S1++
  if (log.failed) fail('S7', `partition ${log.partition} failed without a fault`)
  if (log.logEndOffset !== model.logEndOffset) {
    fail('S1', `the running log ends at ${log.logEndOffset}, not at ${model.logEndOffset}`)
  }
  if (log.writtenOffset !== log.logEndOffset) fail('S1', 'what was staged is not written at the end of a turn')
  await checkContents(log, expected, log.logEndOffset, evaluations)
  await checkDerived(log, expected, evaluations)
  // Every index is used once: files are held against the log then, and not before.
  await log.offsetOfMaxTimestamp()
}

/** What a clean stop leaves: index files that lead to their batches (S5). */
export function checkStopped(disk: SimulatedDisk, ends: readonly LogEnds[], evaluations: Evaluations): void {
  const paths = ends.map(({ path }) => path)
  const unsound = checkIndexFiles(disk, paths, () => evaluations.S5++)
  if (unsound !== null) fail('S5', `after a clean stop, ${unsound}`)
}

/** After a clean stop everything is as it was: nothing is lost, walked or found changed (S1, S6, S8). */
export function checkStarted(
  { manager, warnings }: Pick<Harness, 'manager' | 'warnings'>,
  ends: readonly LogEnds[],
  evaluations: Evaluations,
): void {
  evaluations.S6++
  if (manager.recoveredUncleanly) fail('S6', 'a clean stop is taken for a crash')
  if (warnings.includes(FILES_CHANGED)) fail('S8', 'what a clean stop left is taken for damage')
  for (const { partition, topicId, logStartOffset, logEndOffset, highWatermark } of ends) {
    const log = manager.log('topic', partition)
    evaluations.S1++
    if (log?.topicId !== topicId) fail('S1', `partition ${partition} is gone after a clean stop`)
    const found = [log.logStartOffset, log.logEndOffset, log.highWatermark].join()
    const wanted = [logStartOffset, logEndOffset, highWatermark].join()
    if (found !== wanted) fail('S1', `start, end and high watermark are ${found} after a clean stop, were ${wanted}`)
  }
}
