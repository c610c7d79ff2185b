import type { Offset } from '@millrace/base'

/** What a replay left out of a log: how much, between which offsets, and why at first. One line tells of all of it. */
export class LeftOut {
  count = 0
  firstOffset: Offset = -1
  lastOffset: Offset = -1
  reason = ''

  /** `count` records, or ranges that nobody can count, of `[firstOffset, lastOffset]`. Offsets come in ascending order. */
  add(firstOffset: Offset, lastOffset: Offset, reason: string, count = 1): void {
    if (this.count === 0) {
      this.firstOffset = firstOffset
      this.reason = reason
    }
    this.count += count
    this.lastOffset = lastOffset
  }
}
