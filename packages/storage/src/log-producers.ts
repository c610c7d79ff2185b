import { type Clock, type Disk, DiskError, type DiskFile, type Offset } from '@millrace/base'
import { openEmpty } from './atomic-file.ts'
import { offsetFileName, offsetOfFileName, SNAPSHOT_SUFFIX } from './file-names.ts'
import type { LogSegments } from './log-segments.ts'
import { replaySegment } from './producer-replay.ts'
import { decodeProducerSnapshot, encodeProducerSnapshot } from './producer-snapshot.ts'
import { ProducerState } from './producer-state.ts'
import { CorruptFileError } from './text-checkpoint.ts'

export interface ProducerPorts {
  disk: Disk
  clock: Clock
  producerIdExpirationMs: number
}

/** A snapshot that was just written and is still open. */
export interface SnapshotFile {
  sync(): Promise<void>
  syncNow(): void
  close(): void
}

/** A log's producer state and its snapshot files. The state is built when first asked for: newest snapshot, then the log after it. */
export class LogProducers {
  readonly #ports: ProducerPorts
  #directory: string
  readonly #segments: LogSegments
  #state: ProducerState | null
  /** Known to be without producers, as a clean shutdown left it: nothing needs to be read. */
  #knownEmpty: boolean
  /** Offsets of the snapshot files, ascending; null: not listed yet. */
  #snapshots: Offset[] | null
  /** Those that were written, by a roll for example, and not synced: a checkpoint at the same offset does that. Counts the writes. */
  readonly #unsynced: Map<Offset, number>
  #writeCount: number
  /** The state was read from a snapshot at this offset that knows ended transactions, of which it does not say when they ended; -1: it was not. */
  #snapshotOffset: Offset
  /** Snapshots were removed and the directory not synced since: a crash may bring them back, with what a truncation took. */
  hasRemovedNames: boolean

  constructor(ports: ProducerPorts, directory: string, segments: LogSegments, knownEmpty: boolean) {
    this.#ports = ports
    this.#directory = directory
    this.#segments = segments
    this.#state = null
    this.#knownEmpty = knownEmpty
    this.#snapshots = null
    this.#unsynced = new Map()
    this.#writeCount = 0
    this.#snapshotOffset = -1
    this.hasRemovedNames = false
  }

  /** The directory got another name. */
  moveTo(directory: string): void {
    this.#directory = directory
  }

  get isLoaded(): boolean {
    return this.#state !== null
  }

  /** Certainly no producer has state, without a look at the disk. */
  get isKnownEmpty(): boolean {
    return this.#state === null ? this.#knownEmpty : this.#state.isEmpty
  }

  /** The state at `logEndOffset`. The log must be in its files up to there when this is first asked for. */
  stateAt(logStartOffset: Offset, logEndOffset: Offset, highWatermark: Offset): ProducerState {
    if (this.#state !== null) return this.#state
    const state = new ProducerState(logStartOffset)
    if (this.#knownEmpty) state.mapEndOffset = logEndOffset
    else this.#rebuild(state, logStartOffset, logEndOffset, highWatermark)
    // What was replayed counts as open until the high watermark has passed it, which may have been long ago.
    state.onHighWatermark(highWatermark)
    this.#state = state
    return state
  }

  /** Gives recovery the state as of the newest sound snapshot at or below `offset`. */
  loadForRecovery(logStartOffset: Offset, offset: Offset): ProducerState {
    const state = new ProducerState(logStartOffset)
    this.#knownEmpty = false
    this.#loadNewestSnapshot(state, logStartOffset, offset, Number.POSITIVE_INFINITY)
    this.#state = state
    return state
  }

  /**
   * What recovery read, it read from where it had to begin. Where the high watermark lies below, transactions that ended in between would
   * pass for committed: then the state is built anew when it is asked for.
   */
  forgetUnlessKnownSince(highWatermark: Offset): void {
    if (this.#snapshotOffset > highWatermark) this.#state = null
  }

  /** Lists the snapshot files: from now on {@link removeSnapshots} cannot be refused for want of a descriptor. Throws `DiskError`. */
  listSnapshots(): void {
    this.#list()
  }

  /** A truncation left nothing of what is known above `logEndOffset`: the state is built anew when it is asked for. Throws `DiskError`. */
  forgetAbove(logEndOffset: Offset): void {
    this.#state = null
    this.#knownEmpty = false
    this.removeSnapshots((snapshot) => snapshot > logEndOffset)
  }

  /** Forgets all producers; the log is empty at `offset`. */
  clear(offset: Offset): void {
    this.#state = new ProducerState(offset)
  }

  /**
   * Writes a snapshot of the state at the log's end, unsynced; the caller closes it. Where there is one at this offset that was not synced
   * either, as a roll leaves it, it is given to be synced; null if it was.
   */
  writeSnapshot(logStartOffset: Offset, logEndOffset: Offset, highWatermark: Offset): SnapshotFile | null {
    const isThere = this.#list().includes(logEndOffset)
    if (isThere && !this.#unsynced.has(logEndOffset)) return null
    const file = isThere
      ? this.#ports.disk.openFile(this.#path(logEndOffset), { create: true })
      : this.#createSnapshot(logStartOffset, logEndOffset, highWatermark)
    const write = this.#unsynced.get(logEndOffset)
    // Of one that was cut off with its records meanwhile, another may stand in the place.
    const onSynced = (): void => {
      if (this.#unsynced.get(logEndOffset) === write) this.#unsynced.delete(logEndOffset)
    }
    return {
      sync: () => file.syncData().then(onSynced),
      syncNow: () => {
        file.syncDataNow()
        onSynced()
      },
      close: () => file.close(),
    }
  }

  #createSnapshot(logStartOffset: Offset, logEndOffset: Offset, highWatermark: Offset): DiskFile {
    const state = this.stateAt(logStartOffset, logEndOffset, highWatermark)
    const contents = encodeProducerSnapshot(state.producers(), state.count)
    const file = openEmpty(this.#ports.disk, this.#path(logEndOffset))
    try {
      file.write(contents, 0, contents.length, 0)
    } catch (error) {
      file.close()
      throw error
    }
    this.#snapshots = [...this.#list(), logEndOffset].sort((left, right) => left - right)
    this.#unsynced.set(logEndOffset, this.#writeCount++)
    return file
  }

  /** Removes the snapshot files that `unwanted` picks. */
  removeSnapshots(unwanted: (offset: Offset) => boolean): void {
    this.#snapshots = this.#list().filter((offset) => {
      if (!unwanted(offset)) return true
      this.#remove(offset)
      return false
    })
  }

  #rebuild(state: ProducerState, logStartOffset: Offset, logEndOffset: Offset, highWatermark: Offset): void {
    this.#loadNewestSnapshot(state, logStartOffset, logEndOffset, highWatermark)
    const first = Math.max(0, this.#segments.slotFor(state.mapEndOffset))
    for (let slot = first; slot < this.#segments.count; slot++) {
      if (this.#segments.at(slot).writtenBytes > 0) replaySegment(state, this.#segments.at(slot))
    }
    state.mapEndOffset = logEndOffset
  }

  /**
   * A snapshot does not say of a transaction that ended whether its marker lies below the high watermark, before which nobody may see that
   * it ended. So one above the watermark is of use only if no producer of it has ended any.
   */
  #loadNewestSnapshot(state: ProducerState, logStartOffset: Offset, maxOffset: Offset, highWatermark: Offset): void {
    const { disk, clock, producerIdExpirationMs } = this.#ports
    this.#snapshotOffset = -1
    for (const offset of this.#list().toReversed()) {
      if (offset > maxOffset || offset <= logStartOffset) continue
      try {
        const entries = decodeProducerSnapshot(this.#path(offset), disk.readFile(this.#path(offset)))
        const hasEnded = entries.some(({ coordinatorEpoch }) => coordinatorEpoch >= 0)
        if (hasEnded && offset > highWatermark) continue
        if (hasEnded) this.#snapshotOffset = offset
        state.load(entries, offset, clock.wallMs(), producerIdExpirationMs)
        return
      } catch (error) {
        // Any other error says nothing of what the file holds: it stays, for when it can be read.
        const isGone = error instanceof DiskError && error.code === 'DISK_NOT_FOUND'
        if (!isGone && !(error instanceof CorruptFileError)) throw error
        this.removeSnapshots((snapshot) => snapshot === offset)
      }
    }
  }

  #list(): Offset[] {
    if (this.#snapshots === null) {
      const names =
        this.#ports.disk.stat(this.#directory) === null ? [] : this.#ports.disk.listDirectory(this.#directory)
      this.#snapshots = names.map((name) => offsetOfFileName(name, SNAPSHOT_SUFFIX)).filter((offset) => offset >= 0)
    }
    return this.#snapshots
  }

  #remove(offset: Offset): void {
    this.hasRemovedNames = true
    this.#unsynced.delete(offset)
    try {
      this.#ports.disk.removeFile(this.#path(offset))
    } catch (error) {
      if (!(error instanceof DiskError && error.code === 'DISK_NOT_FOUND')) throw error
    }
  }

  #path(offset: Offset): string {
    return `${this.#directory}/${offsetFileName(offset, SNAPSHOT_SUFFIX)}`
  }
}
