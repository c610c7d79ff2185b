import type { DiskFile, Mapping } from '@millrace/base'

/**
 * Mappings grow in steps of four times, so that a small log costs little, up to 16 MiB; the next one holds a whole segment: each above that
 * costs a collection of the heap, however much larger it is (docs/adr/0002).
 */
const SIZES_BYTES = [2 ** 16, 2 ** 18, 2 ** 20, 2 ** 22, 2 ** 24, 2 ** 30, 2 ** 31]

/** The mapping of a segment's log file, and those before it that readers may still look at. */
export class SegmentMapping {
  /** End of the highest view that was given to a reader, in bytes of the file. */
  viewedEndBytes: number
  #mapping: Mapping | null
  /** Mappings that were released while readers may still hold views of them. */
  readonly #lent: Mapping[]

  constructor() {
    this.viewedEndBytes = 0
    this.#mapping = null
    this.#lent = []
  }

  get isMapped(): boolean {
    return this.#mapping !== null
  }

  /** The mapping there is, if it reaches to `endBytes`. Hot path. */
  reaching(endBytes: number): Mapping | null {
    return this.#mapping !== null && this.#mapping.sizeBytes >= endBytes ? this.#mapping : null
  }

  /** Puts one of `file` from its start to `endBytes` at least in the place of what there is; null where the disk has none. */
  grow(file: DiskFile, endBytes: number): Mapping | null {
    this.release()
    this.#mapping = file.map(SIZES_BYTES.find((size) => size >= endBytes) ?? endBytes)
    return this.#mapping
  }

  /** Whether a reader may hold a view of what stands from `position` on. */
  isViewedFrom(position: number): boolean {
    if (this.viewedEndBytes <= position) return false
    return (this.#mapping?.hasViews() ?? false) || this.#lent.some((mapping) => mapping.hasViews())
  }

  /** Lets the mapping go; views of it live on. */
  release(): void {
    if (this.#mapping === null) return
    if (this.#mapping.hasViews()) {
      const lent = this.#lent.filter((mapping) => mapping.hasViews())
      this.#lent.splice(0, this.#lent.length, ...lent, this.#mapping)
    }
    this.#mapping.release()
    this.#mapping = null
  }

  /** Another file is in the place of the one that was mapped, and nobody has seen it yet. */
  forgetViews(): void {
    this.viewedEndBytes = 0
    this.#lent.length = 0
  }
}
