import type { Disk, Offset } from '@millrace/base'
import { crc32cUpdate } from '@millrace/protocol'
import { LEADER_EPOCH_FILE, offsetFileName, TRANSACTION_INDEX_SUFFIX } from './file-names.ts'
import { readIfPresent } from './text-checkpoint.ts'

/** What a fingerprint needs of a segment; those of closed segments are remembered, since they do not change. */
export interface FingerprintedSegment {
  readonly baseOffset: Offset
  fingerprint(): number
}

/** One segment: base offset and size of its log, contents of its transaction index. Throws `DiskError`. */
export function fingerprintOfSegment(disk: Disk, directory: string, baseOffset: Offset, sizeBytes: number): number {
  const index = readIfPresent(disk, `${directory}/${offsetFileName(baseOffset, TRANSACTION_INDEX_SUFFIX)}`)
  return crc32cUpdate(crc32cUpdate(0, Buffer.from(`${baseOffset} ${sizeBytes}`)), index)
}

/**
 * What cannot be told from the files of a log alone: which closed segments there are up to an offset, how long they are, and which
 * transactions were aborted in them. Kept in the durable mark and compared at the next start, so that files that were lost, cut or
 * exchanged are noticed without being read. Offset and time indexes are held against the log when they are used.
 */
export function fingerprintOfClosed(segments: readonly FingerprintedSegment[], endOffset: Offset): number {
  let crc = 0
  for (let slot = 0; slot + 1 < segments.length && segments[slot + 1]!.baseOffset <= endOffset; slot++) {
    crc = withNumber(crc, segments[slot]!.fingerprint())
  }
  return crc
}

/** The same at a clean stop: all segments, and the leader epochs. Throws `DiskError`. */
export function fingerprintOfAll(disk: Disk, directory: string, segments: readonly FingerprintedSegment[]): number {
  let crc = crc32cUpdate(0, readIfPresent(disk, `${directory}/${LEADER_EPOCH_FILE}`))
  for (const segment of segments) crc = withNumber(crc, segment.fingerprint())
  return crc
}

function withNumber(crc: number, value: number): number {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return crc32cUpdate(crc, bytes)
}
