import { RandomChoices, type SeededRandom, type SimulatedDisk } from '@millrace/base'
import {
  DURABLE_MARK_FILE,
  LOG_SUFFIX,
  OFFSET_INDEX_SUFFIX,
  offsetOfFileName,
  TIME_INDEX_SUFFIX,
} from '../file-names.ts'
import type { LogConfig } from '../log-config.ts'
import type { CrashCheck } from './crash-check.ts'
import type { CrashPoint } from './crash-workload.ts'
import { checkReads, isKept, openDamaged, type Victim, victimsOf } from './damage-check.ts'
import { type Evaluations, fail } from './invariant.ts'
import { overwriteFile } from './log-driver.ts'
import { checkContents } from './log-invariants.ts'

const OFFSET_ENTRY_BYTES = 8
const TIME_ENTRY_BYTES = 12
/** Of a batch: its base offset, which no checksum covers. */
const BASE_OFFSET_BYTES = 8

/**
 * S8: before a crash is recovered, the file of a log is cut before or inside a batch below the durable mark, or part of such a batch is zeros, or
 * its base offset is lower than it was. The log still ends where it did, no byte of what is left goes, and what was not damaged is
 * served. False if there is nothing to damage.
 */
export async function checkFileDamage(
  point: CrashPoint,
  random: SeededRandom,
  evaluations: Evaluations,
  config: Partial<LogConfig> = {},
): Promise<boolean> {
  const disk = point.disk.crashed(new RandomChoices(random))
  const victim = choose(
    point.logs.flatMap((expected) => victimsOf(disk, expected)),
    random,
  )
  if (victim === null) return false
  const kind = [cut, zero, lowerBaseOffset][random.uint32() % 3]!
  const damage = kind(disk, victim, random)
  if (damage === null) return false
  const { batch, expected, path, position, markedOffset } = victim
  const damaged = disk.peek(path).subarray(position, position + batch.bytes.length)
  const lost = new Set(batchesBehind(disk, victim))
  const { manager } = await openDamaged(disk, config)
  evaluations.S8++
  const log = manager.log('topic', expected.partition)
  if (log?.topicId !== expected.topicId) fail('S8', `${damage} took the log away`)
  if (log.logEndOffset < markedOffset) fail('S8', `${damage} made the log end at ${log.logEndOffset}`)
  if (!isKept(disk, path, damaged)) fail('S8', `${damage}: what was left of it is gone`)
  await checkReads(log, victim, damaged, lost)
  await manager.shutdown()
  return true
}

/** Often the last batch of its file, or of all that was synced: they decide where a walk ends. */
function choose(victims: readonly Victim[], random: SeededRandom): Victim | null {
  const lasts = victims.filter((victim, slot) => victims[slot + 1]?.path !== victim.path)
  const chosen = [victims, lasts, lasts.slice(-1)][random.uint32() % 3]!
  return chosen[random.uint32() % Math.max(1, chosen.length)] ?? null
}

/** At its start, as if it had never been, or inside of it. */
function cut(disk: SimulatedDisk, { path, position, batch }: Victim, random: SeededRandom): string {
  const isWhole = position > 0 && random.uint32() % 2 === 0
  const keptBytes = isWhole ? position : position + 1 + (random.uint32() % (batch.bytes.length - 1))
  overwriteFile(disk, path, disk.peek(path).subarray(0, keptBytes))
  return `a cut ${isWhole ? 'before' : 'inside'} batch ${batch.baseOffset}`
}

function zero(disk: SimulatedDisk, { path, position, batch }: Victim, random: SeededRandom): string | null {
  const contents = disk.peek(path)
  // Not all of it: what has no header looks like space that was reserved.
  const keptBytes = Math.floor(batch.bytes.length / 2)
  const from = keptBytes + (random.uint32() % (batch.bytes.length - keptBytes))
  contents.fill(0, position + from, position + batch.bytes.length)
  if (contents.equals(disk.peek(path))) return null
  overwriteFile(disk, path, contents)
  return `zeros in batch ${batch.baseOffset}`
}

/** Only where recovery walks: elsewhere, readers find a batch by what the index says of it. */
function lowerBaseOffset(
  disk: SimulatedDisk,
  { path, position, batch, isWalked }: Victim,
  random: SeededRandom,
): string | null {
  if (!isWalked || batch.baseOffset === 0) return null
  const bits: number[] = []
  for (let bit = 0; bit < 8 * BASE_OFFSET_BYTES; bit++) {
    if ((batch.bytes[bit >>> 3]! & (0x80 >>> (bit & 7))) !== 0) bits.push(bit)
  }
  const bit = bits[random.uint32() % bits.length]!
  disk.corrupt(path, position + (bit >>> 3), 0x80 >>> (bit & 7))
  return `a lower base offset of batch ${batch.baseOffset}`
}

/** What stood behind the victim in its file, and went with the end of it. */
function batchesBehind(disk: SimulatedDisk, { expected, path, batch }: Victim): Victim['batch'][] {
  const directory = path.slice(0, path.lastIndexOf('/'))
  const logs = disk
    .listDirectory(directory)
    .filter((name) => offsetOfFileName(name, LOG_SUFFIX) >= 0)
    .map((name) => disk.peek(`${directory}/${name}`))
  return expected.batches.filter(
    ({ baseOffset, bytes }) => baseOffset > batch.baseOffset && !logs.some((contents) => contents.includes(bytes)),
  )
}

/**
 * S4, S5: the newest index files of a log are not what they were when a crash is recovered: zeros at their end, entries exchanged, or
 * positions that lead astray. They are mended from the log; everything else holds as ever. False if there is none with entries.
 */
export async function checkDamagedIndex(point: CrashPoint, random: SeededRandom, check: CrashCheck): Promise<boolean> {
  const disk = point.disk.crashed(new RandomChoices(random))
  const found = point.logs.flatMap(({ partition }) => newestIndexes(disk, `/data/topic-${partition}`))
  const victim = found[random.uint32() % Math.max(1, found.length)]
  if (victim === undefined) return false
  const contents = disk.peek(victim.path)
  const count = Math.floor(contents.length / victim.entryBytes)
  const entry = (slot: number): Buffer => contents.subarray(slot * victim.entryBytes, (slot + 1) * victim.entryBytes)
  const slot = random.uint32() % count
  const kind = random.uint32() % 3
  if (kind === 0) contents.fill(0, slot * victim.entryBytes)
  else if (kind === 1 && slot > 0) {
    const earlier = Buffer.from(entry(slot - 1))
    entry(slot).copy(entry(slot - 1))
    earlier.copy(entry(slot))
  } else if (victim.entryBytes === OFFSET_ENTRY_BYTES) {
    for (let each = 0; each < count; each++) entry(each).writeInt32BE(entry(each).readInt32BE(4) + 1, 4)
  } else contents.fill(0xff, slot * victim.entryBytes)
  overwriteFile(disk, victim.path, contents)
  await check.check(disk, point)
  return true
}

/** The indexes of the last segment with data: the one that recovery walks, or appends go on in. */
function newestIndexes(disk: SimulatedDisk, directory: string): { path: string; entryBytes: number }[] {
  if (disk.stat(directory)?.isDirectory !== true) return []
  const names = disk.listDirectory(directory)
  const isFilled = (name: string): boolean => (disk.stat(`${directory}/${name}`)?.sizeBytes ?? 0) > 0
  const last = names.findLast((name) => offsetOfFileName(name, LOG_SUFFIX) >= 0 && isFilled(name))
  if (last === undefined) return []
  const stem = last.slice(0, -LOG_SUFFIX.length)
  return [
    { name: `${stem}${OFFSET_INDEX_SUFFIX}`, entryBytes: OFFSET_ENTRY_BYTES },
    { name: `${stem}${TIME_INDEX_SUFFIX}`, entryBytes: TIME_ENTRY_BYTES },
  ]
    .filter(({ name, entryBytes }) => (disk.stat(`${directory}/${name}`)?.sizeBytes ?? 0) >= entryBytes)
    .map(({ name, entryBytes }) => ({ path: `${directory}/${name}`, entryBytes }))
}

/**
 * S8: a bit of the durable mark flips before a crash is recovered. Of its two records the other is used, which says less: the log is
 * neither taken for damaged nor for longer than it is, and what was acknowledged is there. False if there is no mark.
 */
export async function checkDamagedMark(
  point: CrashPoint,
  random: SeededRandom,
  evaluations: Evaluations,
  config: Partial<LogConfig> = {},
): Promise<boolean> {
  const disk = point.disk.crashed(new RandomChoices(random))
  const path = `/data/${DURABLE_MARK_FILE}`
  const contents = disk.stat(path) === null ? Buffer.alloc(0) : disk.peek(path)
  const written = [...contents.keys()].filter((position) => contents[position] !== 0)
  if (written.length === 0 || point.logs.length === 0) return false
  const position = written[random.uint32() % written.length]!
  disk.corrupt(path, position, 1 << (random.uint32() % 8))
  const { manager } = await openDamaged(disk, config)
  for (const expected of point.logs) {
    const log = manager.log('topic', expected.partition)
    evaluations.S8++
    if (log?.topicId !== expected.topicId) {
      if (expected.durableOffset > expected.logStartOffset)
        fail('S8', `a bit of the mark took partition ${expected.partition} away`)
      continue
    }
    if (log.faultyRanges.length > 0) fail('S8', `a bit of the mark at ${position} made the log look damaged`)
    const endOffset = Math.max((expected.batches.at(-1)?.lastOffset ?? -1) + 1, expected.logStartOffset)
    if (log.logEndOffset > endOffset) fail('S8', `a bit of the mark made the log end at ${log.logEndOffset}`)
    // Of a log that began anew, the record before the last may know nothing: its data is then set aside.
    if (expected.logStartOffset > 0) continue
    if (log.logEndOffset < expected.durableOffset) fail('S8', `a bit of the mark cut the log at ${log.logEndOffset}`)
    await checkContents(log, expected, log.logEndOffset, evaluations)
  }
  await manager.shutdown()
  return true
}
