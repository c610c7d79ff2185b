import type { DiskFile, Offset } from '@millrace/base'
import { BatchScanner } from './batch-scanner.ts'
import type { SegmentIndexes } from './segment-indexes.ts'

/** What a search needs of a segment. */
interface SearchedSegment {
  readonly baseOffset: Offset
  readonly exists: boolean
  readonly writtenBytes: number
  readonly indexes: SegmentIndexes
  file(): DiskFile
}

/** See `Segment.locate`. Throws `DiskError`. */
export function locateCut(segment: SearchedSegment, offset: Offset): { position: number; endOffset: Offset } {
  if (!segment.exists) return { position: 0, endOffset: offset }
  segment.indexes.loadNow()
  const start = segment.indexes.offsets.positionFor(offset)
  const scanner = new BatchScanner(segment.file(), start, segment.writtenBytes, segment.baseOffset)
  for (;;) {
    const found = scanner.next()
    const isPast = found === 'end' || (found === 'invalid' && scanner.expectedOffset >= offset)
    if (isPast) return { position: scanner.position, endOffset: offset }
    // Damage below stays, with what is sound behind it.
    const isSound = found === 'batch' || scanner.resync(Number.POSITIVE_INFINITY)
    if (!isSound) return { position: segment.writtenBytes, endOffset: offset }
    if (scanner.lastOffset >= offset) {
      return { position: scanner.position, endOffset: Math.min(offset, scanner.baseOffset) }
    }
  }
}
