import type { LogConfig } from '../log-config.ts'
import type { LogSegments } from '../log-segments.ts'
import type { Segment } from '../segment.ts'

/** A relative offset is an int32 in the indexes. */
const RELATIVE_OFFSET_MAX = 2 ** 31 - 1

/**
 * Neighbours of `segments[0, endSlot)` that become one segment each, so that a log does not end in many small ones: as many as are no
 * larger together than a segment may be, nor their indexes or offsets further apart.
 */
export function groupSegments(segments: LogSegments, endSlot: number, config: LogConfig): Segment[][] {
  const groups: Segment[][] = []
  let group: Segment[] = []
  const sizes = { log: 0, offsets: 0, times: 0 }
  for (let slot = 0; slot < endSlot; slot++) {
    const segment = segments.at(slot)
    const offsetBytes = sizeOf(segment.indexes.offsets.file)
    const timeBytes = sizeOf(segment.indexes.times.file)
    const fits =
      group.length > 0 &&
      sizes.log + segment.sizeBytes <= config.segmentBytes &&
      sizes.offsets + offsetBytes <= config.segmentIndexBytes &&
      sizes.times + timeBytes <= config.segmentIndexBytes &&
      segments.endOffsetOf(slot) - 1 - group[0]!.baseOffset <= RELATIVE_OFFSET_MAX
    if (!fits) {
      group = []
      groups.push(group)
      Object.assign(sizes, { log: 0, offsets: 0, times: 0 })
    }
    group.push(segment)
    sizes.log += segment.sizeBytes
    sizes.offsets += offsetBytes
    sizes.times += timeBytes
  }
  return groups
}

function sizeOf({ count, entryBytes }: { readonly count: number; readonly entryBytes: number }): number {
  return count * entryBytes
}
