import { type Clock, DiskError } from '@millrace/base'
import type { StorageLogger } from './log-config.ts'

/** Above this share of the bound, room is made ahead. */
const CROWDED_SHARE = 7 / 8
/** How often room is made ahead; how often a share is given back, and a search for something to close repeated that found nothing. */
const CROWDED_MS = 100
const SEARCH_MS = 20
/** Segments that a search looks at before others have their turn, a fraction of a millisecond, and when it goes on. */
const LOOKS_MAX = 4096
const PAUSE_MS = 4
/** Of those that were used lately so many are tried where a search found no other. */
const USED_TRIED = 64
/** When the system gives no descriptor although the bound is not reached, this share is given back. */
const GIVEN_BACK_SHARE = 1 / 8
/** How often refusals are told. */
const TOLD_MS = 60_000

/** Whether the process, or the system, has no descriptor left: nothing was done, and it may be tried again. */
export function isOutOfDescriptors({ errno }: DiskError): boolean {
  return errno === 'EMFILE' || errno === 'ENFILE'
}

/** A segment as {@link OpenSegments} sees it. */
export interface OpenableSegment {
  /** Its file or mapping was used since the last look, which takes this back. */
  wasUsed: boolean
  /** Gives up descriptor and mapping, which come back with the next use, unless something is under way or not synced. Whether it did. */
  closeUnused(): boolean
}

/**
 * The segments whose files are open, and how many may be: a process has so many descriptors, and more partitions may be busy at once.
 * Beyond the bound the one that was used the longest ago is closed (second chance: used since the last look, a segment is spared once);
 * where none can be, since all have something that is not synced, whoever needs another is refused and may try again. Files are closed
 * only while another is opened: who asks for a file keeps it no longer than that, or has its log count a pending read.
 */
export class OpenSegments {
  /** Most that may be open. Infinity while logs are loaded: what they find unsynced must be opened, and closed by them. */
  maxCount: number
  /** What {@link maxCount} will be then. */
  loadingMaxCount: number
  readonly #clock: Clock
  readonly #logger: StorageLogger
  readonly #onCrowded: () => void
  /** The next to be looked at first. */
  readonly #segments: Set<OpenableSegment>
  #madeRoomMs: number
  #gaveBackMs: number
  /** Before then nothing is searched for that could be closed. */
  #pausedUntilMs: number
  /** Looks that are left of a search; 0: none is under way. */
  #leftCount: number
  #toldMs: number
  #refusedCount: number

  /** `onCrowded`: few more can be opened. To be answered later: it is called in the middle of a use. */
  constructor(clock: Clock, logger: StorageLogger, onCrowded: () => void) {
    this.maxCount = Number.POSITIVE_INFINITY
    this.loadingMaxCount = Number.POSITIVE_INFINITY
    this.#clock = clock
    this.#logger = logger
    this.#onCrowded = onCrowded
    this.#segments = new Set()
    this.#madeRoomMs = Number.NEGATIVE_INFINITY
    this.#gaveBackMs = Number.NEGATIVE_INFINITY
    this.#pausedUntilMs = Number.NEGATIVE_INFINITY
    this.#leftCount = 0
    this.#toldMs = Number.NEGATIVE_INFINITY
    this.#refusedCount = 0
  }

  get count(): number {
    return this.#segments.size
  }

  /** For the loading of logs: whether so many more would be more than can be open for long. */
  isCrowdedBy(count: number): boolean {
    return this.count + count >= this.loadingMaxCount * CROWDED_SHARE
  }

  /** A segment is about to open its file. Throws `DiskError` (EMFILE) where that would be one too many. */
  makeRoom(path: string): void {
    if (this.count < this.maxCount * CROWDED_SHARE) return
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#madeRoomMs >= CROWDED_MS) {
      this.#madeRoomMs = nowMs
      this.#onCrowded()
    }
    if (this.count < this.maxCount || this.#close(this.count - this.maxCount + 1)) return
    throw new DiskError('DISK_OTHER', 'open', path, 'EMFILE')
  }

  onOpened(segment: OpenableSegment): void {
    this.#segments.add(segment)
  }

  onClosed(segment: OpenableSegment): void {
    this.#segments.delete(segment)
  }

  /** Something could not be opened, here or by the system, for want of a descriptor. Told once a minute. */
  onRefused(error: DiskError): void {
    this.#refusedCount++
    const nowMs = this.#clock.monotonicMs()
    this.#giveBack(nowMs)
    if (nowMs - this.#toldMs < TOLD_MS) return
    this.#toldMs = nowMs
    this.#logger.error('no descriptor was left for a file: what needs one is refused, and may be tried again', {
      error: error.message,
      refusedCount: this.#refusedCount,
      openSegments: this.count,
      maxOpenSegments: Number.isFinite(this.maxCount) ? this.maxCount : null,
    })
    this.#refusedCount = 0
  }

  /** Once in a while: of many that are refused at once, each would close another part of what the rest still works with. */
  #giveBack(nowMs: number): void {
    if (this.count >= this.maxCount || nowMs - this.#gaveBackMs < SEARCH_MS) return
    this.#gaveBackMs = nowMs
    this.#close(Math.ceil(this.count * GIVEN_BACK_SHARE))
  }

  /** Whether so many could be closed. A search in vain is not repeated at once. */
  #close(wantedCount: number): boolean {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs < this.#pausedUntilMs) return false
    for (let left = wantedCount; left > 0; left--) if (!this.#closeOne(nowMs)) return false
    return true
  }

  /**
   * Looks at all that are open twice at most, and at so many at a time; the next search goes on where this one ended. Where all that it
   * looked at were used lately, one of those goes: to refuse would be worse than to open it again.
   */
  #closeOne(nowMs: number): boolean {
    if (this.#leftCount === 0) this.#leftCount = 2 * this.count
    let lookCount = Math.min(this.#leftCount, LOOKS_MAX)
    const used: OpenableSegment[] = []
    for (const segment of this.#segments) {
      if (lookCount-- === 0) break
      this.#leftCount--
      if (segment.wasUsed && used.length < USED_TRIED) used.push(segment)
      if (!segment.wasUsed && segment.closeUnused()) {
        this.#leftCount = 0
        return true
      }
      segment.wasUsed = false
      this.#segments.delete(segment)
      this.#segments.add(segment)
    }
    if (used.some((segment) => segment.closeUnused())) {
      this.#leftCount = 0
      return true
    }
    this.#pausedUntilMs = nowMs + (this.#leftCount > 0 ? PAUSE_MS : SEARCH_MS)
    return false
  }
}
