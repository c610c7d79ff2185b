import type { Offset } from '@millrace/base'
import type { Hole } from './index-rebuild.ts'
import type { SegmentIndexes } from './segment-indexes.ts'
import type { SegmentPorts } from './segment-ports.ts'
import { isTemporary } from './settle-all.ts'

/** The segment whose soundness it is. */
interface JudgedSegment {
  readonly directory: string
  readonly logPath: string
  readonly indexes: SegmentIndexes
  /** Out of use for good. */
  readonly isGone: boolean
}

/**
 * What is known of whether the batches of a segment are as they were written: damaged parts, what this process has written or walked
 * itself, and what readers have held against its checksums since. Positions are bytes of the log file.
 */
export class SegmentSoundness {
  /** Damaged parts of the file, which look-ups must not walk through. Recovery adds what it meets. */
  readonly holes: Hole[]
  readonly #segment: JudgedSegment
  readonly #ports: SegmentPorts
  /**
   * What stands from here on this process has written, or walked with its checksums. Below, the file is as it was found, and nobody has
   * looked at it since it was closed: what is read is held against its neighbours (`log-reader.ts`).
   */
  #knownFrom: number
  /** Below that, what readers have held against its checksums since: see {@link noteChecked}. */
  #checkedFrom: number
  #checkedTo: number
  /** The walk for damage under way; null before it, and after one that was given up. */
  #search: Promise<readonly Hole[] | null> | 'done' | null

  constructor(segment: JudgedSegment, ports: SegmentPorts, foundBytes: number) {
    this.holes = []
    this.#segment = segment
    this.#ports = ports
    this.#knownFrom = foundBytes
    this.#checkedFrom = 0
    this.#checkedTo = 0
    this.#search = null
  }

  /** Whether what is read from `position` on was neither written nor walked by this process. Hot path. */
  isDoubtedAt(position: number): boolean {
    return position < this.#knownFrom && this.#search !== 'done'
  }

  /** Walked whole for damage: its holes are known, and gaps that are none of them are sound. */
  get isSearched(): boolean {
    return this.#search === 'done'
  }

  /** Whether the checksums of what stands in `[start, end)` were looked at by an earlier read. Hot path. */
  isChecked(start: number, end: number): boolean {
    return start >= this.#checkedFrom && end <= this.#checkedTo
  }

  /** They are right. One stretch is remembered, which grows as readers go on: enough for those who read on and on. Hot path. */
  noteChecked(start: number, end: number): void {
    if (start > this.#checkedTo || end < this.#checkedFrom) {
      this.#checkedFrom = start
      this.#checkedTo = end
      return
    }
    if (start < this.#checkedFrom) this.#checkedFrom = start
    if (end > this.#checkedTo) this.#checkedTo = end
  }

  /** `holes` were met: new ones are logged and told to the log. */
  noteDamage(holes: readonly Hole[]): void {
    const { directory, logPath, isGone } = this.#segment
    const countBefore = this.holes.length
    for (const hole of holes) {
      if (this.holes.some(({ startOffset }) => startOffset === hole.startOffset)) continue
      this.holes.push(hole)
      this.#ports.logger.error('damaged batches found', { segment: logPath, ...hole })
    }
    if (this.holes.length > countBefore && !isGone) this.#ports.onDamaged(directory)
  }

  /**
   * Walks the whole segment for damage, once, in pieces; who comes meanwhile waits for it. False if that was done before. Rejects with
   * `DiskError`.
   */
  async searchDamage(): Promise<boolean> {
    if (this.#search === 'done') return false
    this.#search ??= this.#segment.indexes.rebuildInPieces()
    const search = this.#search
    // A place that cannot be read is not tried each time; what found no descriptor is.
    let isDone = true
    try {
      const holes = await search
      isDone = holes !== null
      this.noteDamage(holes ?? [])
    } catch (error) {
      isDone = !isTemporary(error)
      throw error
    } finally {
      if (this.#search === search) this.#search = isDone ? 'done' : null
    }
    return true
  }

  /** Somebody found what stands here to be damaged: the next read of it looks for itself, whoever wrote its `writtenBytes`. */
  distrust(writtenBytes: number): void {
    this.#knownFrom = writtenBytes
    this.#checkedFrom = 0
    this.#checkedTo = 0
    if (this.#search === 'done') this.#search = null
  }

  /** A walk with checksums begins at `position`. */
  onWalkedFrom(position: number): void {
    this.#knownFrom = position
  }

  /** What stood from `position` on is gone. What is appended in the place of damage is sound, and may be damaged anew. */
  cut(position: number, endOffset: Offset): void {
    this.#knownFrom = Math.min(this.#knownFrom, position)
    this.#checkedFrom = Math.min(this.#checkedFrom, position)
    this.#checkedTo = Math.min(this.#checkedTo, position)
    const kept = this.holes.filter((hole) => hole.startOffset < endOffset)
    for (const hole of kept) hole.endOffset = Math.min(hole.endOffset, endOffset)
    this.holes.splice(0, this.holes.length, ...kept)
    this.#search = null
  }
}
