import type { Disk, Offset } from '@millrace/base'
import { crc32cUpdate } from '@millrace/protocol'
import { LEADER_EPOCH_FILE, offsetFileName, TRANSACTION_INDEX_SUFFIX } from './file-names.ts'
import { readIfPresent } from './text-checkpoint.ts'

/** What a fingerprint needs of a segment, which remembers its own as long as it does not change. */
export interface FingerprintedSegment {
  readonly baseOffset: Offset
  fingerprint(): number
}

/** One segment: base offset and size of its log, contents of its transaction index, which may be absent. Throws `DiskError`. */
export function fingerprintOfSegment(
  disk: Disk,
  directory: string,
  baseOffset: Offset,
  sizeBytes: number,
  hasTransactionIndex: boolean,
): number {
  const crc = crc32cUpdate(0, Buffer.from(`${baseOffset} ${sizeBytes}`))
  if (!hasTransactionIndex) return crc
  return crc32cUpdate(crc, readIfPresent(disk, `${directory}/${offsetFileName(baseOffset, TRANSACTION_INDEX_SUFFIX)}`))
}

/**
 * What cannot be told from the files of a log alone: which closed segments there are up to an offset, how long they are, and which
 * transactions were aborted in them. Kept in the durable mark and compared at the next start, so that files that were lost, cut or
 * exchanged are noticed without being read. Offset and time indexes are held against the log when they are used. A sum modulo 2^32,
 * so that {@link surplusCount} can take segments out of it again.
 */
export function fingerprintOfClosed(segments: readonly FingerprintedSegment[], endOffset: Offset): number {
  return sumOf(segments, closedCount(segments, endOffset), 0)
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
 * How many segments in front are not counted in a fingerprint that counts all the others: retention gives segments up before it
 * renames their files, and a crash may undo the renaming. 0 if the fingerprint is as the segments are, -1 if it is not so with any of
 * them left out. `clean` tells which fingerprint it is. Throws `DiskError`.
 */
export function surplusCount(
  disk: Disk,
  directory: string,
  segments: readonly FingerprintedSegment[],
  fingerprint: number,
  clean: boolean,
  recoveryPoint: Offset,
  epochsChecksum: number | null = null,
): number {
  if (clean) {
    return surplusOf(segments, segments.length, epochsChecksum ?? checksumOfEpochs(disk, directory), fingerprint)
  }
  const count = closedCount(segments, recoveryPoint)
  // One that ends just at the recovery point may have been closed after that was noted: it was the active one then, and not counted.
  // Asked first: where it is the only one, nothing was counted, which is also so if all were given up, and its records would be lost.
  const wasActive = count > 0 && segments[count]?.baseOffset === recoveryPoint
  if (wasActive && sumOf(segments, count - 1, 0) === fingerprint) return 0
  let surplus = surplusOf(segments, count, 0, fingerprint)
  if (surplus < 0 && wasActive) surplus = surplusOf(segments, count - 1, 0, fingerprint)
  if (surplus >= 0 || count === segments.length) return surplus
  // A new segment has no file before its first write, and none for good if the log goes on at a later offset: what was closed by it
  // does not look so then.
  return surplusOf(segments, count + 1, 0, fingerprint)
}

/** Segments that end at or below `endOffset`, as far as the next one's base tells. */
function closedCount(segments: readonly FingerprintedSegment[], endOffset: Offset): number {
  let count = 0
  while (count + 1 < segments.length && segments[count + 1]!.baseOffset <= endOffset) count++
  return count
}

function surplusOf(
  segments: readonly FingerprintedSegment[],
  count: number,
  start: number,
  fingerprint: number,
): number {
  let sum = sumOf(segments, count, start)
  for (let slot = 0; slot <= count && slot < Math.max(1, segments.length); slot++) {
    if (sum === fingerprint) return slot
    if (slot < count) sum = (sum - segments[slot]!.fingerprint()) >>> 0
  }
  return -1
}

function checksumOfEpochs(disk: Disk, directory: string): number {
  return crc32cUpdate(0, readIfPresent(disk, `${directory}/${LEADER_EPOCH_FILE}`))
}

function sumOf(segments: readonly FingerprintedSegment[], count: number, start: number): number {
  let sum = start
  for (let slot = 0; slot < count; slot++) sum = (sum + segments[slot]!.fingerprint()) >>> 0
  return sum
}
