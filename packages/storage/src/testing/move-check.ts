import { SimulatedClock, type SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { type Log, LogMove } from '../index.ts'
import { type Evaluations, fail } from './invariant.ts'
import { FILES_CHANGED } from './live-check.ts'
import { checkContents, checkDerived } from './log-invariants.ts'
import { COPIED_BYTES, MOVE_DIRECTORIES, openMoved, REPLACE_LIMIT_MS, turns } from './moved-storage.ts'
import type { Harness } from './storage-harness.ts'
import type { LogExpectation } from './workload-log.ts'

/** So many tries to bring a move to its end, once nothing gets in its way. */
const TRIES = 60

/**
 * A start on a disk as a crash left it finds one log, with all that was acknowledged and nothing else, and leaves nothing aside; a move that
 * it found can be brought to its end, and the log is the same then. Rejects with `InvariantError`.
 */
export async function checkMoved(
  disk: SimulatedDisk,
  expected: LogExpectation,
  evaluations: Evaluations,
): Promise<void> {
  disk.settle = () => Promise.resolve()
  disk.onChange = () => undefined
  const asideBefore = new Set(namesOn(disk).filter((name) => name.endsWith('-stray')))
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  const harness = await openMoved(disk, clock, timers, 1)
  const { manager, errors, warnings } = harness
  await turns()
  if (errors.length > 0) fail('S8', `recovery reported: ${errors.join('; ')}`)
  if (warnings.includes(FILES_CHANGED)) fail('S8', 'recovery took a crash for damage')
  evaluations.S1++
  const found = [...manager.logs()]
  if (found.length > 1) fail('S1', `${found.length} logs of one partition`)
  const [log] = found
  if (log === undefined) {
    if (expected.durableOffset > expected.logStartOffset) fail('S1', 'the log is gone')
    return await manager.shutdown()
  }
  if (log.logEndOffset < expected.durableOffset)
    fail('S1', `ends at ${log.logEndOffset}, not ${expected.durableOffset}`)
  await checkContents(log, expected, log.logEndOffset, evaluations)
  await checkDerived(log, expected, evaluations)
  const future = manager.futures.get('topic', 0)
  // As a broker does with one of a log that is gone.
  const isOfAnother = future !== undefined && future.topicId !== log.topicId
  if (isOfAnother) await manager.futures.drop(future)
  const last = future === undefined || isOfAnother ? log : await finishMove(harness, log, future, clock, timers)
  await checkContents(last, expected, last.logEndOffset, evaluations)
  await checkDerived(last, expected, evaluations)
  if (last.logEndOffset !== log.logEndOffset)
    fail('S1', `moved, it ends at ${last.logEndOffset}, not ${log.logEndOffset}`)
  checkNothingAside(disk, asideBefore)
  const end = last.logEndOffset
  await manager.shutdown()
  const again = await openMoved(disk, clock, new SimulatedTimers(clock), 2)
  const reopened = again.manager.log('topic', 0)
  if (reopened?.logEndOffset !== end) fail('S1', `after a clean stop it ends at ${reopened?.logEndOffset}, not ${end}`)
  if (again.manager.recoveredUncleanly) fail('S6', 'a clean stop is taken for a crash')
  await checkContents(reopened, expected, end, evaluations)
  await again.manager.shutdown()
}

async function finishMove(
  { manager }: Harness,
  source: Log,
  future: Log,
  clock: SimulatedClock,
  timers: SimulatedTimers,
): Promise<Log> {
  const move = new LogMove({ source, future, futures: manager.futures, clock, timers })
  await manager.futures.settle(source.topicId, source.partition)
  let isReplaced = false
  for (let count = 0; !isReplaced && count < TRIES; count++) {
    while ((await move.copy(COPIED_BYTES)) > 0) manager.flushStaged()
    let isTried = false
    const replacing = move.replace(source.durableOffset, REPLACE_LIMIT_MS, () => {
      isReplaced = true
    })
    void replacing.then(() => {
      isTried = true
    })
    for (let step = 0; !isTried && step < TRIES; step++) {
      await turns()
      timers.advance(5)
    }
    await replacing
  }
  if (!isReplaced) fail('S9', 'a move that was found does not come to its end')
  manager.flushStaged()
  await turns()
  if (manager.log('topic', 0) !== future) fail('S1', 'another log is current than the one that was moved')
  return future
}

/** Nothing more of it waits for the operator than before: there is one directory. */
function checkNothingAside(disk: SimulatedDisk, asideBefore: ReadonlySet<string>): void {
  const inUse = namesOn(disk).filter((name) => !name.endsWith('-delete') && !asideBefore.has(name))
  if (inUse.length !== 1) fail('S10', `directories of the log: ${inUse.join(', ')}`)
}

function namesOn(disk: SimulatedDisk): string[] {
  const present = MOVE_DIRECTORIES.filter((path) => disk.stat(path) !== null)
  return present.flatMap((path) => disk.listDirectory(path)).filter((name) => name.startsWith('topic-'))
}
