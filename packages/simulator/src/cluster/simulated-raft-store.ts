import type { Entry, HardState, LogIndex, RaftStore, SnapshotPoint, StoreBatch, Term } from '@millrace/consensus'
import { FIRST_CHAIN } from '@millrace/consensus'
import { DurableLog } from '../consensus/durable-log.ts'
import type { ProcessLoop } from '../world/process-loop.ts'
import type { RandomStream } from '../world/random-stream.ts'

/** What a directory of the quorum's log keeps through the lives of its processes. */
export class RaftDirectory {
  readonly log = new DurableLog(FIRST_CHAIN)
  /** Milliseconds that a write takes. */
  writeMs = 1
}

/**
 * `RaftStore` of one process life over a {@link RaftDirectory}. What a write that is under way when the process ends leaves behind is
 * decided by chance: all of it or nothing.
 */
export class SimulatedRaftStore implements RaftStore {
  readonly #directory: RaftDirectory
  readonly #loop: ProcessLoop
  readonly #random: RandomStream
  #writing: StoreBatch | null = null

  constructor(directory: RaftDirectory, loop: ProcessLoop, random: RandomStream) {
    this.#directory = directory
    this.#loop = loop
    this.#random = random
  }

  get hardState(): HardState {
    return this.#directory.log.hardState
  }

  get firstIndex(): LogIndex {
    return this.#directory.log.firstIndex
  }

  get lastIndex(): LogIndex {
    return this.#directory.log.lastIndex
  }

  get snapshot(): SnapshotPoint | null {
    return this.#directory.log.snapshot
  }

  pointAt(index: LogIndex): { readonly term: Term; readonly chain: Buffer } | null {
    return this.#directory.log.pointAt(index)
  }

  entries(from: LogIndex, to: LogIndex, maxBytes: number): Entry[] {
    return this.#directory.log.entries(from, to, maxBytes)
  }

  readSnapshot(index: LogIndex, offset: number, maxBytes: number) {
    return this.#directory.log.readSnapshot(index, offset, maxBytes)
  }

  write(batch: StoreBatch): Promise<void> {
    this.#writing = batch
    return new Promise((resolve) => {
      this.#loop.after(this.#directory.writeMs * this.#random.real(0.5, 1.5), 'quorum log written', () => {
        this.#writing = null
        this.#apply(batch)
        resolve()
      })
    })
  }

  saveSnapshot(point: SnapshotPoint, data: Buffer, keepFrom: LogIndex): Promise<void> {
    return new Promise((resolve) => {
      this.#loop.after(2 * this.#directory.writeMs, 'quorum snapshot saved', () => {
        this.#directory.log.saveSnapshot(point, data, keepFrom)
        resolve()
      })
    })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** The process has ended. */
  onProcessEnded(): void {
    if (this.#writing !== null && this.#random.chance(0.5)) this.#apply(this.#writing)
    this.#writing = null
  }

  #apply(batch: StoreBatch): void {
    this.#directory.log.write(batch, hashOfSnapshot)
  }
}

/** Whole clusters compare what the metadata says, not hashes of it. */
function hashOfSnapshot(): number {
  return 0
}
