import type { Timers } from '@millrace/base'
import type { RaftStore, StoreBatch } from '../../log/raft-store.ts'
import { MemoryLog } from '../../raft/testing/memory-log.ts'
import type { Entry, HardState, LogIndex, SnapshotPoint } from '../../raft/types.ts'

/** A {@link RaftStore} that outlives its node: writes take simulated time, and fail on request. */
export class MemoryStore implements RaftStore {
  readonly log = new MemoryLog()
  readonly #timers: Timers
  writeMs = 1
  /** Writes fail with it. */
  failure: Error | null = null
  mayVote = true
  #life = 0

  constructor(timers: Timers) {
    this.#timers = timers
  }

  /** The process that wrote is gone, and with it what was under way. */
  crash(): void {
    this.#life++
  }

  get hardState(): HardState {
    return this.log.hardState
  }

  get firstIndex(): LogIndex {
    return this.log.firstIndex
  }

  get lastIndex(): LogIndex {
    return this.log.lastIndex
  }

  get snapshot(): SnapshotPoint | null {
    return this.log.snapshot
  }

  pointAt(index: LogIndex): ReturnType<MemoryLog['pointAt']> {
    return this.log.pointAt(index)
  }

  entries(from: LogIndex, to: LogIndex, maxBytes: number): Entry[] {
    return this.log.entries(from, to, maxBytes)
  }

  readSnapshot(index: LogIndex, offset: number, maxBytes: number): ReturnType<MemoryLog['readSnapshot']> {
    return this.log.readSnapshot(index, offset, maxBytes)
  }

  write(batch: StoreBatch): Promise<void> {
    return this.#durably(() => this.log.write(batch))
  }

  saveSnapshot(point: SnapshotPoint, data: Buffer, keepFrom: LogIndex): Promise<void> {
    return this.#durably(() => this.log.saveSnapshot(point, data, keepFrom))
  }

  async close(): Promise<void> {
    this.crash()
  }

  #durably(run: () => void): Promise<void> {
    const life = this.#life
    return new Promise((resolve, reject) => {
      this.#timers.setTimer(this.writeMs, () => {
        if (this.#life !== life) return
        if (this.failure !== null) {
          reject(this.failure)
          return
        }
        run()
        resolve()
      })
    })
  }
}
