import {
  type Offset,
  RandomChoices,
  SeededRandom,
  SimulatedClock,
  type SimulatedDisk,
  SimulatedTimers,
} from '@millrace/base'
import { AppendResult, type Log, ReadResult } from '../index.ts'
import type { LogConfig } from '../log-config.ts'
import type { CrashPoint, LogExpectation } from './crash-workload.ts'
import { batchOf, type Harness, openStorage } from './storage-harness.ts'

const CONFIG: Partial<LogConfig> = {
  segmentBytes: 3000,
  indexIntervalBytes: 200,
  retentionMs: -1,
  fileDeleteDelayMs: 500,
}

/** What recovery says when files are not as the durable mark knows them. */
const FILES_CHANGED = 'files are not as they were, walking the log'

/**
 * Recovers what a crash left and checks S1 to S4 of `reliability.md` 1.3; once more after a second crash while recovering, and after
 * a clean stop. Throws what is wrong.
 */
export async function checkCrashPoint(point: CrashPoint, seed: number): Promise<void> {
  const second = await recoverAndCheck(point.disk, point.logs, seed)
  if (second !== null) await recoverAndCheck(second, point.logs, -1)
}

/** Returns the disk that a crash at a random moment of this recovery would leave; `seed` -1: none is wanted. */
async function recoverAndCheck(
  disk: SimulatedDisk,
  logs: readonly LogExpectation[],
  seed: number,
): Promise<SimulatedDisk | null> {
  let second: SimulatedDisk | null = null
  if (seed >= 0) {
    const random = new SeededRandom(seed)
    disk.onChange = () => {
      // Each later moment takes the place of the one before with falling probability: all are about equally likely.
      if (second === null || random.uint32() % 4 === 0) second = disk.crashed(new RandomChoices(random))
    }
  }
  const opened = await open(disk)
  for (let turn = 0; turn < 200; turn++) await Promise.resolve()
  disk.onChange = () => undefined
  for (const expected of logs) await checkLog(opened, expected)
  await checkAppendAndReopen(opened, disk, logs)
  return second
}

async function open(disk: SimulatedDisk): Promise<Harness> {
  const clock = new SimulatedClock()
  const harness = await openStorage({ disk, clock, timers: new SimulatedTimers(clock), config: CONFIG })
  if (harness.errors.length > 0) fail(`recovery reported: ${harness.errors.join('; ')}`)
  // A crash takes what was not synced, which no fingerprint names: a walk of the whole log would be for nothing.
  if (harness.warnings.includes(FILES_CHANGED)) fail('recovery took a crash for damage')
  return harness
}

async function checkLog({ manager }: Harness, expected: LogExpectation): Promise<void> {
  const log = manager.log('topic', expected.partition)
  if (log === undefined || log.topicId !== expected.topicId) {
    if (expected.durableOffset > expected.logStartOffset) fail(`partition ${expected.partition} is gone`)
    return
  }
  if (log.faultyRanges.length > 0) fail(`faulty range ${JSON.stringify(log.faultyRanges)}`)
  if (log.logEndOffset < expected.durableOffset) {
    fail(`log ends at ${log.logEndOffset}, durable was ${expected.durableOffset}`)
  }
  if (log.durableOffset < log.logEndOffset) fail('what recovery found was not synced')
  await checkContents(log, expected)
  checkEpochs(log, expected)
  checkProducers(log, expected)
}

async function checkContents(log: Log, expected: LogExpectation): Promise<void> {
  await checkBatches(log, expected, log.logEndOffset)
  const end = expected.batches.findLast(({ lastOffset }) => lastOffset < log.logEndOffset)?.lastOffset ?? -1
  if (log.logEndOffset > Math.max(end + 1, expected.logStartOffset) && log.sizeBytes > 0) {
    fail(`log ends at ${log.logEndOffset}, the last batch appended below is ${end}`)
  }
}

async function checkBatches(log: Log, expected: LogExpectation, endOffset: Offset): Promise<void> {
  const out = new ReadResult()
  const kept = expected.batches.filter(({ lastOffset }) => lastOffset < endOffset)
  for (const batch of kept) {
    if (batch.lastOffset < Math.max(log.logStartOffset, expected.logStartOffset)) continue
    for (let offset = Math.max(batch.baseOffset, log.logStartOffset); offset <= batch.lastOffset; offset++) {
      if (!(await log.read(offset, 1, Number.MAX_SAFE_INTEGER, true, out))) fail(`read of ${offset}: ${out.errorCode}`)
      if (!Buffer.concat(out.buffers).equals(batch.bytes)) fail(`other bytes at ${offset}`)
    }
  }
}

function checkEpochs(log: Log, expected: LogExpectation): void {
  for (const { baseOffset, lastOffset, epoch } of expected.batches) {
    const startOffset = Math.max(log.logStartOffset, expected.logStartOffset)
    if (baseOffset < startOffset || lastOffset >= log.logEndOffset) continue
    const found = log.epochs.cache.epochAt(baseOffset)
    if (found !== epoch) fail(`epoch ${found} at ${baseOffset}, appended with ${epoch}`)
  }
}

function checkProducers(log: Log, expected: LogExpectation): void {
  const last = new Map<number, number>()
  for (const { producerId, lastSequence, baseOffset, lastOffset } of expected.batches) {
    const present = baseOffset >= log.logStartOffset && lastOffset < log.logEndOffset
    if (present && producerId >= 0) last.set(producerId, lastSequence)
  }
  const found = new Map<number, number>()
  for (const entry of log.producers()) found.set(entry.producerId, entry.lastSequence)
  for (const [producerId, sequence] of last) {
    if (found.get(producerId) !== sequence) {
      fail(`producer ${producerId} at sequence ${found.get(producerId)}, replay says ${sequence}`)
    }
  }
}

/** The recovered log takes appends, and after a clean stop it is as it was. */
async function checkAppendAndReopen(
  { manager, failures }: Harness,
  disk: SimulatedDisk,
  logs: readonly LogExpectation[],
): Promise<void> {
  const result = new AppendResult()
  const batch = batchOf(['after the crash'])
  for (const log of manager.logs()) {
    const code = log.append(batch, 0, batch.length, 'client', log.latestEpoch, result)
    if (code !== 0) fail(`append after recovery: ${code}`)
  }
  manager.flushStaged()
  const ends = new Map(Array.from(manager.logs(), (log) => [log.partition, log.logEndOffset]))
  await manager.shutdown()
  if (failures.length > 0) fail(`directory failed: ${failures[0]!.error.message}`)
  const reopened = await open(disk)
  if (reopened.manager.recoveredUncleanly) fail('a clean stop is taken for a crash')
  for (const [partition, end] of ends) {
    const log = reopened.manager.log('topic', partition)
    if (log?.logEndOffset !== end) fail(`after a clean stop the log ends at ${log?.logEndOffset}, not ${end}`)
    const out = new ReadResult()
    if (!(await log.read(end - 1, 1000, end, true, out)) || out.lastOffset !== end - 1) fail('last batch is not found')
    const expected = logs.find((candidate) => candidate.partition === partition)
    if (expected?.topicId === log.topicId) await checkBatches(log, expected, end - 1)
  }
  await reopened.manager.shutdown()
}

function fail(reason: string): never {
  throw new Error(reason)
}
