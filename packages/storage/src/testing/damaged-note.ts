import { BaseError, SimulatedClock, type SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { MOVED_REPLICAS_FILE, parsePartitionDirectoryName } from '../file-names.ts'
import { fail, newEvaluations } from './invariant.ts'
import { checkContents } from './log-invariants.ts'
import type { MovePoint } from './move-workload.ts'
import { MOVE_DIRECTORIES, openMoved, turns } from './moved-storage.ts'

/** The notes of moves, of which some may be absent. */
export const NOTE_PATHS: readonly string[] = MOVE_DIRECTORIES.map((path) => `${path}/${MOVED_REPLICAS_FILE}`)

/** Whether a move has left a note at this point. */
export function isNotePoint({ disk }: MovePoint): boolean {
  return NOTE_PATHS.some((path) => disk.stat(path) !== null)
}

/**
 * A start where notes of moves were damaged after the process was killed: it finds the log with all that was acknowledged, and so does the
 * start after it, or it is refused with an error that names a path, and then nothing has been removed. Rejects with `InvariantError`.
 * Returns whether the start was refused.
 */
export async function checkDamagedNote(disk: SimulatedDisk, expected: MovePoint['expected']): Promise<boolean> {
  disk.settle = () => Promise.resolve()
  disk.onChange = () => undefined
  const before = logDirectoriesOn(disk)
  const end = await startedEnd(disk, expected)
  if (end === null) {
    const gone = before.filter((path) => disk.stat(path) === null)
    if (gone.length > 0) fail('S10', `a start that was refused has removed or renamed ${gone.join(', ')}`)
    return true
  }
  const again = await startedEnd(disk, expected)
  if (again !== end) fail('S1', `the next start ${again === null ? 'is refused' : `ends at ${again}`}, not at ${end}`)
  return false
}

/** Opens, checks and stops. Returns where the log ends; null if the start is refused. */
async function startedEnd(disk: SimulatedDisk, expected: MovePoint['expected']): Promise<number | null> {
  const clock = new SimulatedClock()
  let manager: Awaited<ReturnType<typeof openMoved>>['manager']
  try {
    manager = (await openMoved(disk, clock, new SimulatedTimers(clock), 1)).manager
  } catch (error) {
    if (!(error instanceof BaseError) || !/\/[ab]\b/.test(error.message)) throw error
    return null
  }
  await turns()
  const [log, ...others] = manager.logs()
  if (others.length > 0) fail('S1', `${others.length + 1} logs of one partition`)
  const promised = expected.durableOffset > expected.logStartOffset
  if (promised && (log?.logEndOffset ?? 0) < expected.durableOffset)
    fail('S1', log === undefined ? 'the log is gone' : `ends at ${log.logEndOffset}, not ${expected.durableOffset}`)
  if (promised && log!.logStartOffset > expected.logStartOffset)
    fail('S1', `begins at ${log!.logStartOffset}, not at ${expected.logStartOffset}`)
  if (log !== undefined) await checkContents(log, expected, log.logEndOffset, newEvaluations())
  const end = log?.logEndOffset ?? 0
  await manager.shutdown()
  return end
}

function logDirectoriesOn(disk: SimulatedDisk): string[] {
  return MOVE_DIRECTORIES.filter((path) => disk.stat(path) !== null).flatMap((path) =>
    disk
      .listDirectory(path)
      .filter((name) => parsePartitionDirectoryName(name) !== null)
      .map((name) => `${path}/${name}`),
  )
}
