import { DiskError } from '@millrace/base'

export type SyncState = 'idle' | 'queued' | 'running' | 'again'

/** What {@link GroupCommit} syncs: a log. */
export interface Syncable {
  /** In the queue, being synced, or being synced and asked for once more; kept by {@link GroupCommit}. */
  syncState: SyncState
  /** Something was written since the last sync began. */
  readonly needsSync: boolean
  /** Makes what was written so far durable. Rejects with `DiskError`. */
  sync(): Promise<void>
}

/**
 * Syncs the logs of one directory on the thread pool, each at most once at a time and a few at once. A log that is asked for
 * while its sync runs is synced again right after, so one sync covers all appends that came meanwhile: group commit without a
 * timer. A failed sync is final (S7): nothing of this directory is synced again.
 */
export class GroupCommit {
  readonly #concurrency: number
  readonly #onFailure: (error: DiskError) => void
  #queue: Syncable[]
  #queueStart: number
  #runningCount: number
  #failed: boolean
  #idleWaiters: (() => void)[]

  constructor(concurrency: number, onFailure: (error: DiskError) => void) {
    this.#concurrency = concurrency
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
    if (log.syncState !== 'idle') {
      if (log.syncState === 'running') log.syncState = 'again'
      return
    }
    if (this.#runningCount < this.#concurrency && this.#queue.length === 0) {
      this.#start(log)
      return
    }
    log.syncState = 'queued'
    this.#queue.push(log)
  }

  /** Resolves when nothing is queued or running. */
  whenIdle(): Promise<void> {
    if (this.#runningCount === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idleWaiters.push(resolve))
  }

  /** Forgets the logs that wait: they will be synced in another way. */
  clear(): void {
    for (let slot = this.#queueStart; slot < this.#queue.length; slot++) this.#queue[slot]!.syncState = 'idle'
    this.#queue = []
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
    // Not whenever it was written to: a log with write caching that was synced once would be synced without end.
    const isWanted = log.syncState === 'again' && log.needsSync
    log.syncState = 'idle'
    while (this.#runningCount < this.#concurrency && this.#queue.length > 0) this.#startNext()
    // After those that waited: a busy log must not starve them.
    if (isWanted) this.schedule(log)
    if (this.#runningCount === 0) {
      const waiters = this.#idleWaiters
      this.#idleWaiters = []
      for (const wake of waiters) wake()
    }
  }

  #startNext(): void {
    const next = this.#queue[this.#queueStart++]!
    if (this.#queueStart === this.#queue.length) {
      this.#queue = []
      this.#queueStart = 0
    }
    next.syncState = 'idle'
    if (next.needsSync) this.#start(next)
  }
}
