import { type Offset, SimulatedClock, type SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { AppendResult, ReadResult } from '../index.ts'
import type { LogConfig } from '../log-config.ts'
import type { CrashPoint } from './crash-workload.ts'
import { type Evaluations, fail, newEvaluations } from './invariant.ts'
import { FILES_CHANGED } from './live-check.ts'
import { SMALL } from './log-driver.ts'
import { checkContents, checkDerived } from './log-invariants.ts'
import { findUnpublished, publishRenamed } from './published-files.ts'
import { checkExtent, checkpointedOffsets } from './recovery-extent.ts'
import { batchOf, DEFAULT_CONFIG, type Harness, openStorage } from './storage-harness.ts'
import { checkIndexFiles, inventory, missingOf } from './stored-files.ts'
import type { LogExpectation } from './workload-log.ts'

/** Enough for all that happens by itself after a start. */
const TURNS_AFTER_START = 200

/** Where recovered logs ended, by partition; a log that is not there is left out. */
export type FoundEnds = ReadonlyMap<number, Offset>

/** Recovers what crashes left and checks S1 to S10 of `reliability.md` 1.3, counting how often each was evaluated. */
export class CrashCheck {
  readonly evaluations: Evaluations
  /** Recoveries done, those after a clean stop included. */
  recoveryCount: number
  /** What recovery may report as an error all the same. */
  readonly acceptedErrors: Set<string>
  readonly #config: Partial<LogConfig>
  /** Recovery must not go back behind a checkpoint: of disks of logs that were never cut, and that nobody damaged. */
  readonly #checksExtent: boolean

  /** `config`: what differs from the usual of tests. `checksExtent`: see {@link checkExtent}. */
  constructor(config: Partial<LogConfig> = {}, checksExtent = false) {
    this.#checksExtent = checksExtent
    this.evaluations = newEvaluations()
    this.recoveryCount = 0
    this.acceptedErrors = new Set()
    this.#config = { ...SMALL, ...config }
  }

  /**
   * Checks one disk as a crash left it, which is used up. `onOperation` is called before each change that its recovery makes, with what
   * must be found if a second crash comes there. Resolves with where each log ended that was to be found. Rejects with
   * `InvariantError`.
   */
  async check(
    disk: SimulatedDisk,
    point: CrashPoint,
    onOperation: (logs: LogExpectation[]) => void = () => undefined,
  ): Promise<FoundEnds> {
    this.#checkPublished(disk, point)
    const before = inventory(disk)
    const checkpointed = this.#checksExtent ? checkpointedOffsets(disk, point.logs) : null
    let opened: Harness | null = null
    disk.onChange = (operation, path) => {
      if (operation === 'rename') publishRenamed(disk, path, point.published)
      onOperation(opened === null ? point.logs : raised(point.logs, opened))
    }
    opened = await this.#open(disk)
    if (checkpointed !== null) {
      const { indexIntervalBytes } = { ...DEFAULT_CONFIG, ...this.#config }
      checkExtent(opened.manager, checkpointed, point.logs, indexIntervalBytes, this.evaluations)
    }
    this.#checkUnclean(opened, point)
    for (let turn = 0; turn < TURNS_AFTER_START; turn++) await Promise.resolve()
    disk.onChange = () => undefined
    this.evaluations.S10++
    const missing = missingOf(before, disk)
    if (missing !== null) fail('S10', `${missing} is gone`)
    for (const expected of point.logs) await this.#checkLog(opened, expected)
    const ends = endsOf(opened, point.logs)
    await this.#checkAppendAndReopen(opened, disk, point.logs)
    return ends
  }

  #checkPublished(disk: SimulatedDisk, { published }: CrashPoint): void {
    const path = findUnpublished(disk, published, () => this.evaluations.S6++)
    if (path !== null) fail('S6', `${path} holds what was never published`)
  }

  /** The clean-shutdown mark was taken away, durably, before anything else was done. */
  #checkUnclean({ manager }: Harness, { isRunning }: CrashPoint): void {
    if (!isRunning || [...manager.logs()].length === 0) return
    this.evaluations.S6++
    if (!manager.recoveredUncleanly) fail('S6', 'a crash is taken for a clean stop')
  }

  /** Starts storage, whatever it finds. */
  async openOn(disk: SimulatedDisk): Promise<Harness> {
    this.recoveryCount++
    const clock = new SimulatedClock()
    return await openStorage({ disk, clock, timers: new SimulatedTimers(clock), config: this.#config })
  }

  async #open(disk: SimulatedDisk): Promise<Harness> {
    const harness = await this.openOn(disk)
    this.evaluations.S8++
    const errors = harness.errors.filter((error) => !this.acceptedErrors.has(error))
    if (errors.length > 0) fail('S8', `recovery reported: ${errors.join('; ')}`)
    // A crash takes what was not synced, which no fingerprint names: a walk of the whole log would be for nothing.
    if (harness.warnings.includes(FILES_CHANGED)) fail('S8', 'recovery took a crash for damage')
    return harness
  }

  async #checkLog({ manager }: Harness, expected: LogExpectation): Promise<void> {
    const log = manager.log('topic', expected.partition)
    this.evaluations.S1++
    if (log === undefined || log.topicId !== expected.topicId) {
      if (expected.durableOffset > expected.logStartOffset) fail('S1', `partition ${expected.partition} is gone`)
      return
    }
    if (log.faultyRanges.length > 0) fail('S8', `faulty range ${JSON.stringify(log.faultyRanges)}`)
    if (log.logEndOffset < expected.durableOffset) {
      fail('S1', `log ends at ${log.logEndOffset}, durable was ${expected.durableOffset}`)
    }
    if (log.logStartOffset > Math.max(expected.logStartOffset, expected.durableOffset)) {
      fail('S1', `log starts at ${log.logStartOffset}, not at ${expected.logStartOffset}`)
    }
    this.evaluations.S7++
    if (log.durableOffset < log.logEndOffset) fail('S7', 'what recovery found was not synced')
    await checkContents(log, expected, log.logEndOffset, this.evaluations)
    await checkDerived(log, expected, this.evaluations)
  }

  /** The recovered log takes appends, and after a clean stop it is as it was. */
  async #checkAppendAndReopen(
    { manager, failures, errors }: Harness,
    disk: SimulatedDisk,
    logs: readonly LogExpectation[],
  ): Promise<void> {
    const result = new AppendResult()
    const batch = batchOf(['after the crash'])
    for (const log of manager.logs()) {
      const code = log.append(batch, 0, batch.length, 'client', log.latestEpoch, result)
      if (code !== 0) fail('S9', `append after recovery: ${code}`)
    }
    manager.flushStaged()
    const ends = new Map(
      Array.from(manager.logs(), ({ partition, logStartOffset, logEndOffset }) => [
        partition,
        { start: logStartOffset, end: logEndOffset },
      ]),
    )
    // Every index is used once: files are held against the log then, and not before.
    for (const log of manager.logs()) await log.offsetOfMaxTimestamp()
    const directories = Array.from(manager.logs(), ({ path }) => path)
    await manager.shutdown()
    if (failures.length > 0) fail('S7', `directory failed: ${failures[0]!.error.message}`)
    const reported = errors.filter((error) => !this.acceptedErrors.has(error))
    if (reported.length > 0) fail('S8', `running reported: ${reported.join('; ')}`)
    const unsound = checkIndexFiles(disk, directories, () => this.evaluations.S5++)
    if (unsound !== null) fail('S5', unsound)
    const reopened = await this.#open(disk)
    if (reopened.manager.recoveredUncleanly) fail('S6', 'a clean stop is taken for a crash')
    for (const [partition, { start, end }] of ends) {
      const log = reopened.manager.log('topic', partition)
      this.evaluations.S1++
      if (log?.logEndOffset !== end) fail('S1', `after a clean stop the log ends at ${log?.logEndOffset}, not ${end}`)
      if (log.logStartOffset !== start)
        fail('S1', `after a clean stop the log starts at ${log.logStartOffset}, not ${start}`)
      const out = new ReadResult()
      if (!(await log.read(end - 1, 1000, end, true, out)) || out.lastOffset !== end - 1) {
        fail('S1', 'the last batch is not found after a clean stop')
      }
      const expected = logs.find((candidate) => candidate.partition === partition)
      if (expected?.topicId === log.topicId) await checkContents(log, expected, end - 1, this.evaluations)
    }
    await reopened.manager.shutdown()
  }
}

function endsOf({ manager }: Harness, logs: readonly LogExpectation[]): FoundEnds {
  const ends = new Map<number, Offset>()
  for (const { partition, topicId } of logs) {
    const log = manager.log('topic', partition)
    if (log?.topicId === topicId) ends.set(partition, log.logEndOffset)
  }
  return ends
}

/** What recovery found and synced may have been promised to someone since. */
function raised(logs: readonly LogExpectation[], { manager }: Harness): LogExpectation[] {
  return logs.map((expected) => {
    const log = manager.log('topic', expected.partition)
    if (log?.topicId !== expected.topicId) return expected
    return { ...expected, durableOffset: Math.max(expected.durableOffset, log.durableOffset) }
  })
}
