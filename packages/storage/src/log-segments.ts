import { assert, type Offset } from '@millrace/base'
import type { Segment } from './segment.ts'
import type { SegmentHolder } from './segment-ports.ts'

/** Segments of a log in order of base offset; the last one is active. Never empty once the log is open. */
export class LogSegments implements SegmentHolder {
  /** Reads that come from the disk in steps: files stay open for them. */
  pendingReadCount: number
  #segments: Segment[]
  /** Bytes of all but the last. */
  #closedBytes: number

  constructor(segments: readonly Segment[]) {
    this.pendingReadCount = 0
    this.#segments = [...segments]
    for (const segment of segments) segment.holder = this
    this.#closedBytes = 0
    this.#countClosedBytes()
  }

  get all(): readonly Segment[] {
    return this.#segments
  }

  get count(): number {
    return this.#segments.length
  }

  get first(): Segment {
    return this.#segments[0]!
  }

  get active(): Segment {
    return this.#segments[this.#segments.length - 1]!
  }

  get sizeBytes(): number {
    return this.#closedBytes + this.active.sizeBytes
  }

  at(slot: number): Segment {
    return this.#segments[slot]!
  }

  /** Slot of the last segment with a base offset at or below `offset`, -1 if none. */
  slotFor(offset: Offset): number {
    const last = this.#segments.length - 1
    if (this.#segments[last]!.baseOffset <= offset) return last
    let low = 0
    let high = last
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#segments[middle]!.baseOffset <= offset) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** End of a segment: the next one's base offset, or what was appended to the last. */
  endOffsetOf(slot: number): Offset {
    return slot + 1 < this.#segments.length ? this.#segments[slot + 1]!.baseOffset : this.active.nextOffset
  }

  add(segment: Segment): void {
    assert(
      this.#segments.length === 0 || segment.baseOffset > this.active.baseOffset,
      'segments are added in order of base offset',
    )
    segment.holder = this
    this.#segments.push(segment)
    this.#countClosedBytes()
  }

  /** Puts one segment, which covers their offsets, in the place of `count` closed ones. */
  replace(slot: number, count: number, segment: Segment): void {
    assert(slot + count < this.#segments.length, 'the active segment stays')
    assert(this.#segments[slot]!.baseOffset === segment.baseOffset, 'a replacement begins where the first one does')
    segment.holder = this
    this.#segments.splice(slot, count, segment)
    this.#countClosedBytes()
  }

  /** Takes the first `count` out. */
  removeFirst(count: number): Segment[] {
    const removed = this.#segments.splice(0, count)
    this.#countClosedBytes()
    return removed
  }

  /** Takes those from `slot` on out. */
  removeFrom(slot: number): Segment[] {
    const removed = this.#segments.splice(slot)
    this.#countClosedBytes()
    return removed
  }

  #countClosedBytes(): void {
    this.#closedBytes = 0
    for (let slot = 0; slot < this.#segments.length - 1; slot++) this.#closedBytes += this.#segments[slot]!.sizeBytes
  }
}
