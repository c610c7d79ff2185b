import type { Clock } from '@millrace/base'
import { DurationHistogram } from './duration-histogram.ts'

/** What runs on the thread pool. A fixed few: they are labels. */
export const DISK_OPERATIONS = ['read', 'sync', 'extend', 'sync-directory', 'sync-all', 'remove-tree'] as const
export type DiskOperation = (typeof DISK_OPERATIONS)[number]

/**
 * Disk operations on the thread pool: how many are out, and how long each kind took from its call to its end, the wait for a thread
 * included. When more are out than there are threads, the rest wait: a disk that slows down shows here first.
 */
export class DiskActivity {
  readonly #clock: Clock
  readonly durations: Readonly<Record<DiskOperation, DurationHistogram>>
  #outstanding = 0
  maxOutstanding = 0
  /** Descriptors of files that are open. */
  openFileCount = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.durations = {
      read: new DurationHistogram(),
      sync: new DurationHistogram(),
      extend: new DurationHistogram(),
      'sync-directory': new DurationHistogram(),
      'sync-all': new DurationHistogram(),
      'remove-tree': new DurationHistogram(),
    }
  }

  get outstanding(): number {
    return this.#outstanding
  }

  /** Counts and times one operation; gives its result. */
  async measure<Result>(operation: DiskOperation, run: () => Promise<Result>): Promise<Result> {
    const startMs = this.#clock.monotonicMs()
    this.#outstanding++
    if (this.#outstanding > this.maxOutstanding) this.maxOutstanding = this.#outstanding
    try {
      return await run()
    } finally {
      this.#outstanding--
      this.durations[operation].observe(this.#clock.monotonicMs() - startMs)
    }
  }
}
