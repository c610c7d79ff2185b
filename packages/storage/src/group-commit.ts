import { DiskError } from '@millrace/base'

/** `again`: being synced, and in the queue for one more sync. `due`: the same, and its turn has come. */
export type SyncState = 'idle' | 'queued' | 'running' | 'again' | 'due'

/** What {@link GroupCommit} syncs: a log. */
export interface Syncable {
  /** Where it stands; kept by {@link GroupCommit}. */
  syncState: SyncState
  /** Something was written since the last sync began. */
  readonly needsSync: boolean
  /** Makes what was written so far durable. Rejects with `DiskError`. */
  sync(): Promise<void>
}

/** So many logs that wait let one more sync run. */
const WAITING_PER_SYNC = 8
/** What has left the queue is cleared away when it is this much, and most of the queue. */
const LEFT_COUNT_MAX = 1024

/**
 * Syncs the logs of one directory on the thread pool, each at most once at a time and a few at once. A log that is asked for
 * while its sync runs is synced again, so one sync covers all appends that came meanwhile: group commit without a timer. A failed sync is
 * final (S7): nothing of this directory is synced again.
 *
 * The log whose oldest unsynced write waits longest comes first: each has one place in the queue, which it takes with the first write
 * that no sync has begun for. So whoever comes waits for one sync of each other log at most, `maxConcurrency` of them at a time, however
 * busy those are. Few syncs run while few logs wait, since a sync covers the more the later it begins; many, when the wait would add up:
 * file systems share the commits of syncs that run together. One sync of the whole file system would be faster still, but it waits for
 * what others have written to it, and does not tell of failed writes everywhere (older Linux, overlays).
 */
export class GroupCommit {
  readonly #concurrency: number
  readonly #maxConcurrency: number
  readonly #onFailure: (error: DiskError) => void
  #queue: Syncable[]
  #queueStart: number
  #runningCount: number
  #failed: boolean
  #idleWaiters: (() => void)[]

  /** `concurrency`: syncs at a time while few logs wait, `maxConcurrency` while many do. */
  constructor(concurrency: number, maxConcurrency: number, onFailure: (error: DiskError) => void) {
    this.#concurrency = concurrency
    this.#maxConcurrency = Math.max(concurrency, maxConcurrency)
    this.#onFailure = onFailure
    this.#queue = []
    this.#queueStart = 0
    this.#runningCount = 0
    this.#failed = false
    this.#idleWaiters = []
  }

  /** Makes sure that what the log has written is synced soon. Hot path, once a log and turn. */
  schedule(log: Syncable): void {
    if (this.#failed) return
    if (log.syncState === 'idle') log.syncState = 'queued'
    else if (log.syncState === 'running') log.syncState = 'again'
    else return
    this.#queue.push(log)
    this.#startWaiting()
  }

  /** Resolves when nothing is queued or running. */
  whenIdle(): Promise<void> {
    if (this.#runningCount === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idleWaiters.push(resolve))
  }

  /** Forgets the logs that wait for their first sync: they will be synced in another way. */
  clear(): void {
    const kept: Syncable[] = []
    for (let slot = this.#queueStart; slot < this.#queue.length; slot++) {
      const log = this.#queue[slot]!
      if (log.syncState === 'queued') log.syncState = 'idle'
      else kept.push(log)
    }
    this.#queue = kept
    this.#queueStart = 0
  }

  /** Nothing is started any more; what runs ends by itself. */
  stop(): void {
    this.#failed = true
    this.#queue = []
    this.#queueStart = 0
  }

  #start(log: Syncable): void {
    log.syncState = 'running'
    this.#runningCount++
    log.sync().then(
      () => this.#onEnd(log),
      (error: unknown) => {
        this.stop()
        this.#onEnd(log)
        if (!(error instanceof DiskError)) throw error
        this.#onFailure(error)
      },
    )
  }

  #onEnd(log: Syncable): void {
    this.#runningCount--
    const { syncState } = log
    // Still in the queue: it keeps its place.
    const isQueued = syncState === 'again' && !this.#failed
    log.syncState = isQueued ? 'queued' : 'idle'
    // Not whenever it was written to: a log with write caching that was synced once would be synced without end.
    if (syncState === 'due' && !this.#failed && log.needsSync) this.#start(log)
    this.#startWaiting()
    if (this.#runningCount === 0) {
      const waiters = this.#idleWaiters
      this.#idleWaiters = []
      for (const wake of waiters) wake()
    }
  }

  #startWaiting(): void {
    for (;;) {
      const waitingCount = this.#queue.length - this.#queueStart
      const wantedCount = this.#concurrency + Math.floor(waitingCount / WAITING_PER_SYNC)
      if (waitingCount === 0 || this.#runningCount >= Math.min(this.#maxConcurrency, wantedCount)) return
      this.#startNext()
    }
  }

  #startNext(): void {
    const next = this.#queue[this.#queueStart++]!
    if (this.#queueStart === this.#queue.length) {
      this.#queue.length = 0
      this.#queueStart = 0
    } else if (this.#queueStart > LEFT_COUNT_MAX && this.#queueStart * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#queueStart)
      this.#queueStart = 0
    }
    if (next.syncState === 'again') {
      // Its turn has come while it is being synced: it goes on when that ends, and nobody behind it waits for it.
      next.syncState = 'due'
      return
    }
    next.syncState = 'idle'
    if (next.needsSync) this.#start(next)
  }
}
