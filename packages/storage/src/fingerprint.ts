import type { Disk, Offset } from '@millrace/base'
import { crc32cUpdate } from '@millrace/protocol'
import { LEADER_EPOCH_FILE, offsetFileName, TRANSACTION_INDEX_SUFFIX } from './file-names.ts'
import { readIfPresent } from './text-checkpoint.ts'

/** What a fingerprint needs of a segment, which remembers its own as long as it does not change. */
export interface FingerprintedSegment {
  readonly baseOffset: Offset
  /** Its file may be longer than its data, or be so again after a crash. */
  readonly hasUnsettledEnd: boolean
  fingerprint(): number
}

/** How a log's segments agree with a fingerprint. */
export interface FingerprintMatch {
  /** Segments in front that it does not count: the log had given them up already. */
  surplusCount: number
  /** Segments up to the last one that it counts, those in front included. */
  countedEnd: number
}

/** One segment: base offset and size of its log, contents of its transaction index, which may be absent. Throws `DiskError`. */
export function fingerprintOfSegment(
  disk: Disk,
  directory: string,
  baseOffset: Offset,
  sizeBytes: number,
  hasTransactionIndex: boolean,
): number {
  if (!hasTransactionIndex) return fingerprintOf(baseOffset, sizeBytes, NO_TRANSACTIONS)
  const path = `${directory}/${offsetFileName(baseOffset, TRANSACTION_INDEX_SUFFIX)}`
  return fingerprintOf(baseOffset, sizeBytes, readIfPresent(disk, path))
}

/** The same from what was read. */
export function fingerprintOf(baseOffset: Offset, sizeBytes: number, transactionIndex: Buffer): number {
  return crc32cUpdate(crc32cUpdate(0, Buffer.from(`${baseOffset} ${sizeBytes}`)), transactionIndex)
}

/**
 * Fingerprints that `fingerprint` would be, had the mark been written after compaction put one of the segments in the place of others,
 * which are among `retired` (by base offset): one for each segment that it may have been. The mark is written just behind the exchange, and
 * one at a time, so that there is one at most of which it does not know. Reads transaction indexes; throws `DiskError`.
 */
export function* exchangedFingerprints(
  segments: readonly FingerprintedSegment[],
  fingerprint: number,
  retired: ReadonlyMap<Offset, number>,
): Iterable<number> {
  for (const [slot, segment] of segments.entries()) {
    if (!retired.has(segment.baseOffset)) continue
    // The last one, too: a new segment has no file before its first write.
    const endOffset = segments[slot + 1]?.baseOffset ?? Number.POSITIVE_INFINITY
    let sum = (fingerprint + segment.fingerprint()) >>> 0
    for (const [baseOffset, former] of retired) {
      if (baseOffset >= segment.baseOffset && baseOffset < endOffset) sum = (sum - former) >>> 0
    }
    yield sum
  }
}

const NO_TRANSACTIONS = Buffer.alloc(0)

/**
 * What cannot be told from the files of a log alone: which closed segments there are up to an offset, how long they are, and which
 * transactions were aborted in them. Kept in the durable mark and compared at the next start, so that files that were lost, cut or
 * exchanged are noticed without being read. Offset and time indexes are held against the log when they are used. A sum modulo 2^32,
 * so that {@link matchFingerprint} can take segments out of it again.
 *
 * A segment that was closed just at `endOffset`, after everything below had been checkpointed, counts once its end is known to be on the
 * disk: a crash may give it back the tail that had been reserved, and its size would be another.
 */
export function fingerprintOfClosed(segments: readonly FingerprintedSegment[], endOffset: Offset): number {
  const count = closedCount(segments, endOffset)
  const isUnsettled = endsAt(segments, count, endOffset) && segments[count - 1]!.hasUnsettledEnd
  return sumOf(segments, isUnsettled ? count - 1 : count, 0)
}

/** The same at a clean stop: all segments, and the leader epochs, whose checksum is read where the caller has none. Throws `DiskError`. */
export function fingerprintOfAll(
  disk: Disk,
  directory: string,
  segments: readonly FingerprintedSegment[],
  epochsChecksum: number = checksumOfEpochs(disk, directory),
): number {
  return sumOf(segments, segments.length, epochsChecksum)
}

/**
 * Which segments a fingerprint counts. Some in front may be none of them: retention gives segments up before it renames their files, and a
 * crash may undo the renaming. Null if it agrees in no way: segments are gone, changed or exchanged. `clean` tells which fingerprint it
 * is. Throws `DiskError`.
 */
export function matchFingerprint(
  disk: Disk,
  directory: string,
  segments: readonly FingerprintedSegment[],
  fingerprint: number,
  clean: boolean,
  recoveryPoint: Offset,
  epochsChecksum: number | null = null,
): FingerprintMatch | null {
  if (clean) {
    return matchOf(segments, segments.length, epochsChecksum ?? checksumOfEpochs(disk, directory), fingerprint)
  }
  const count = closedCount(segments, recoveryPoint)
  // One that ends just at the recovery point may have been closed after that was noted: it was the active one then, and not counted.
  // Asked first: where it is the only one, nothing was counted, which is also so if all were given up, and its records would be lost.
  const wasActive = endsAt(segments, count, recoveryPoint)
  if (wasActive && sumOf(segments, count - 1, 0) === fingerprint) return { surplusCount: 0, countedEnd: count - 1 }
  let match = matchOf(segments, count, 0, fingerprint)
  if (match === null && wasActive) match = matchOf(segments, count - 1, 0, fingerprint)
  if (match !== null || count === segments.length) return match
  // A new segment has no file before its first write, and none for good if the log goes on at a later offset: what was closed by it
  // does not look so then.
  return matchOf(segments, count + 1, 0, fingerprint)
}

/** Segments that end at or below `endOffset`, as far as the next one's base tells. */
function closedCount(segments: readonly FingerprintedSegment[], endOffset: Offset): number {
  let count = 0
  while (count + 1 < segments.length && segments[count + 1]!.baseOffset <= endOffset) count++
  return count
}

/** Whether the last of the first `count` segments ends just at the offset, as far as the next one's base tells. */
function endsAt(segments: readonly FingerprintedSegment[], count: number, endOffset: Offset): boolean {
  return count > 0 && segments[count]?.baseOffset === endOffset
}

function matchOf(
  segments: readonly FingerprintedSegment[],
  count: number,
  start: number,
  fingerprint: number,
): FingerprintMatch | null {
  let sum = sumOf(segments, count, start)
  for (let slot = 0; slot <= count && slot < Math.max(1, segments.length); slot++) {
    if (sum === fingerprint) return { surplusCount: slot, countedEnd: count }
    if (slot < count) sum = (sum - segments[slot]!.fingerprint()) >>> 0
  }
  return null
}

function checksumOfEpochs(disk: Disk, directory: string): number {
  return crc32cUpdate(0, readIfPresent(disk, `${directory}/${LEADER_EPOCH_FILE}`))
}

function sumOf(segments: readonly FingerprintedSegment[], count: number, start: number): number {
  let sum = start
  for (let slot = 0; slot < count; slot++) sum = (sum + segments[slot]!.fingerprint()) >>> 0
  return sum
}
