import { RandomChoices, type SeededRandom, SimulatedClock, type SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { BATCH_HEADER_BYTES, batchCrcOk, batchSizeOf } from '@millrace/protocol'
import { DurableMark } from '../durable-mark.ts'
import { LOG_SUFFIX, offsetOfFileName } from '../file-names.ts'
import { type Log, ReadResult } from '../index.ts'
import type { LogConfig } from '../log-config.ts'
import { CorruptFileError } from '../text-checkpoint.ts'
import type { CrashPoint } from './crash-workload.ts'
import { type Evaluations, fail } from './invariant.ts'
import { SMALL } from './log-driver.ts'
import { findWrongProducer } from './log-invariants.ts'
import type { ModelBatch } from './log-model.ts'
import { type Harness, openStorage } from './storage-harness.ts'
import type { LogExpectation } from './workload-log.ts'

/** The checksum of a batch, and behind it all that it covers. */
const CRC_POSITION = 17

/** A batch below the durable mark, and where it stands on a disk. */
export interface Victim {
  expected: LogExpectation
  batch: ModelBatch
  path: string
  position: number
  /** Recovery walks it, and must notice. */
  isWalked: boolean
  markedOffset: number
}

/**
 * S8: a bit flips in what was synced, below the durable mark, before a crash is recovered. Nothing is cut for it; the batch is not
 * served as if it were whole where recovery has walked it; all others are; and what it says of its producer is not believed (S4). False
 * if there is nothing to flip.
 */
export async function checkDamage(
  point: CrashPoint,
  random: SeededRandom,
  evaluations: Evaluations,
  config: Partial<LogConfig> = {},
): Promise<boolean> {
  const disk = point.disk.crashed(new RandomChoices(random))
  const victims = point.logs.flatMap((expected) => victimsOf(disk, expected))
  const victim = victims[random.uint32() % Math.max(1, victims.length)]
  if (victim === undefined) return false
  const { batch, expected, path, position } = victim
  const at = CRC_POSITION + (random.uint32() % (batch.bytes.length - CRC_POSITION))
  disk.corrupt(path, position + at, 1 << (random.uint32() % 8))
  const damaged = disk.peek(path).subarray(position, position + batch.bytes.length)
  const opened = await openDamaged(disk, config)
  evaluations.S8++
  const log = opened.manager.log('topic', expected.partition)
  if (log?.topicId !== expected.topicId) fail('S8', `one bit at ${at} of batch ${batch.baseOffset} took the log away`)
  if (log.logEndOffset < victim.markedOffset) fail('S8', `one bit cut the log at ${log.logEndOffset}`)
  if (!isKept(disk, path, damaged)) fail('S8', `the bytes of damaged batch ${batch.baseOffset} are gone`)
  checkProducers(log, victim, evaluations)
  await checkReads(log, victim, damaged)
  await opened.manager.shutdown()
  return true
}

/**
 * S4: of producers and transactions what the sound batches say is known, and at most what the damaged one said when it was sound. Whether
 * that is known, too, as to a snapshot from behind it.
 */
export function checkProducers(log: Log, victim: Victim, evaluations: Evaluations): boolean {
  const { expected, batch, markedOffset } = victim
  const startOffset = Math.max(log.logStartOffset, expected.logStartOffset)
  const written = expected.batches.filter(({ lastOffset }) => lastOffset < log.logEndOffset)
  evaluations.S4++
  if (findWrongProducer(log, written, startOffset) === null) return true
  // What was not synced may be missing just behind the damage, and more be there behind that.
  const isThere = (other: ModelBatch): boolean => other.lastOffset < markedOffset || !isFaulty(log, other)
  const left = written.filter((other) => other === batch || isThere(other))
  if (findWrongProducer(log, left, startOffset) === null) return true
  const sound = left.filter((other) => other !== batch)
  const wrong = findWrongProducer(log, sound, startOffset)
  if (wrong !== null) fail('S4', `beside damaged batch ${batch.baseOffset}: ${wrong}`)
  return false
}

/** Whether it lies in a range that is told to be damaged. */
export function isFaulty(log: Log, { baseOffset, lastOffset }: ModelBatch): boolean {
  return log.faultyRanges.some(({ startOffset, endOffset }) => startOffset <= baseOffset && lastOffset < endOffset)
}

/** Starts storage on a disk that was damaged. `config`: what differs from the usual of tests. */
export async function openDamaged(disk: SimulatedDisk, config: Partial<LogConfig>): Promise<Harness> {
  const clock = new SimulatedClock()
  return await openStorage({ disk, clock, timers: new SimulatedTimers(clock), config: { ...SMALL, ...config } })
}

/** Every batch whose damage is to be noticed, in order of the files and their offsets. */
export function victimsOf(disk: SimulatedDisk, expected: LogExpectation): Victim[] {
  const mark = new DurableMark(disk.copy(), '/data').get(expected.topicId, expected.partition)
  const directory = `/data/topic-${expected.partition}`
  if (mark === null || disk.stat(directory)?.isDirectory !== true) return []
  const files = disk.listDirectory(directory).filter((name) => offsetOfFileName(name, LOG_SUFFIX) >= 0)
  const victims: Victim[] = []
  for (const batch of expected.batches) {
    if (batch.lastOffset >= mark.durableOffset || batch.baseOffset < expected.logStartOffset) continue
    for (const name of files) {
      const position = disk.peek(`${directory}/${name}`).indexOf(batch.bytes)
      if (position < 0) continue
      const isWalked = batch.baseOffset >= mark.recoveryPoint
      const path = `${directory}/${name}`
      victims.push({ expected, batch, path, position, isWalked, markedOffset: mark.durableOffset })
    }
  }
  return victims
}

/** Whether some file beside `path` still has the bytes. */
export function isKept(disk: SimulatedDisk, path: string, bytes: Buffer): boolean {
  const directory = path.slice(0, path.lastIndexOf('/'))
  return disk.listDirectory(directory).some((name) => disk.peek(`${directory}/${name}`).includes(bytes))
}

/** The victim is not served as if it were whole, and all batches of its log but those of `lost` are. */
export async function checkReads(
  log: Log,
  victim: Victim,
  damaged: Buffer,
  lost: ReadonlySet<ModelBatch> = new Set(),
): Promise<void> {
  const { batch, expected, isWalked, markedOffset } = victim
  const out = new ReadResult()
  const answered = await log.read(batch.lastOffset, 1, log.logEndOffset, true, out)
  const served = Buffer.concat(out.buffers)
  if (isWalked && answered && served.length > 0) fail('S8', `damaged batch ${batch.baseOffset} is served`)
  // Not walked: the checksum that goes with it tells whoever reads it.
  if (answered && served.length > 0 && !served.equals(damaged)) fail('S8', `other bytes at ${batch.lastOffset}`)
  for (const other of expected.batches) {
    if (
      other === batch ||
      lost.has(other) ||
      other.lastOffset >= markedOffset ||
      other.baseOffset < expected.logStartOffset
    )
      continue
    const isRead = await log.read(other.lastOffset, 1, log.logEndOffset, true, out)
    if (!isRead || !Buffer.concat(out.buffers).equals(other.bytes)) {
      fail('S8', `batch ${other.baseOffset} is not read, only ${batch.baseOffset} was damaged`)
    }
  }
}

/**
 * Beyond the budget: the disk said that it synced and did not. What was acknowledged may be gone, but what is served is what was
 * appended, at its offsets (S2); a refusal to start is well. Resolves with whether something acknowledged is missing.
 */
export async function checkAfterLies(
  point: CrashPoint,
  random: SeededRandom,
  evaluations: Evaluations,
  config: Partial<LogConfig> = {},
): Promise<boolean> {
  const disk = point.disk.crashed(new RandomChoices(random))
  let opened: Harness
  try {
    opened = await openDamaged(disk, config)
  } catch (error) {
    if (error instanceof CorruptFileError) return true
    throw error
  }
  let isMissing = false
  for (const expected of point.logs) {
    const log = opened.manager.log('topic', expected.partition)
    if (log === undefined || log.logEndOffset < expected.durableOffset) isMissing = true
    if (log?.topicId === expected.topicId) await checkServed(log, expected, evaluations)
  }
  await opened.manager.shutdown()
  return isMissing
}

async function checkServed(log: Log, expected: LogExpectation, evaluations: Evaluations): Promise<void> {
  const out = new ReadResult()
  for (const batch of expected.batches) {
    if (batch.lastOffset < Math.max(log.logStartOffset, expected.logStartOffset)) continue
    if (batch.lastOffset >= log.logEndOffset) return
    evaluations.S2++
    if (!(await log.read(batch.lastOffset, 1, log.logEndOffset, true, out)) || out.sizeBytes === 0) continue
    const served = Buffer.concat(out.buffers)
    const isKnown = expected.batches.some(({ bytes }) => bytes.equals(served))
    // A checksum that does not hold tells whoever reads it.
    if (!isKnown && holdsSoundBatch(served)) fail('S2', `what is served at ${batch.lastOffset} was never appended`)
  }
}

function holdsSoundBatch(bytes: Buffer): boolean {
  const isWhole = bytes.length >= BATCH_HEADER_BYTES && batchSizeOf(bytes, 0) === bytes.length
  return isWhole && batchCrcOk(bytes, 0)
}
