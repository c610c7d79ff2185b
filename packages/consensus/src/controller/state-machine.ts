import { assert, type Timer, type Timers } from '@millrace/base'
import type { MetadataImage } from '../metadata/image.ts'
import { decodeBatch } from '../metadata/record-codec.ts'
import type { MetadataRecord } from '../metadata/records.ts'
import { applyRecords, emptyImage } from '../metadata/reducer.ts'
import { decodeSnapshot, encodeSnapshot } from '../metadata/snapshot-codec.ts'
import type { CommittedEntry } from '../quorum/quorum.ts'
import type { LogIndex } from '../raft/types.ts'

export interface StateMachineEvents {
  onRecords(startOffset: number, records: readonly MetadataRecord[]): void
  /** The image was replaced by a snapshot's. */
  onImage(image: MetadataImage): void
}

/**
 * The metadata image as the committed entries make it, and its snapshots. Everything comes in the order of the log; while a snapshot is
 * being read, in steps, the caller holds back what follows (`isLoading`).
 */
export class MetadataStateMachine {
  readonly #timers: Timers
  readonly #events: StateMachineEvents
  #image: MetadataImage
  #appliedIndex: LogIndex = 0
  #step: Timer | null = null
  #isSaving = false
  #closed = false

  constructor(clusterId: string, timers: Timers, events: StateMachineEvents) {
    this.#timers = timers
    this.#events = events
    this.#image = emptyImage(clusterId)
  }

  get image(): MetadataImage {
    return this.#image
  }

  /** Index of the newest entry that the image holds. */
  get appliedIndex(): LogIndex {
    return this.#appliedIndex
  }

  /** Applies one entry. Throws `MetadataFormatError` or `AssertionError` for a broken log: going on would make nodes differ. */
  apply(entry: CommittedEntry): void {
    assert(entry.index > this.#appliedIndex, 'entries are applied once and in order')
    if (entry.kind === 'command') {
      const { baseOffset, records } = decodeBatch(entry.data)
      assert(baseOffset === this.#image.offset, 'a metadata batch does not follow the one before')
      this.#image = applyRecords(this.#image, records).image
      this.#appliedIndex = entry.index
      this.#events.onRecords(baseOffset, records)
    } else {
      this.#appliedIndex = entry.index
    }
  }

  /** Replaces the image, in steps; `done` tells the end, with what went wrong or null. Not from inside this call. */
  load(index: LogIndex, data: Buffer, done: (error: Error | null) => void): void {
    const steps = decodeSnapshot(data)
    const step = () => {
      this.#step = null
      try {
        const result = steps.next()
        if (result.done !== true) {
          this.#step = this.#timers.setTimer(0, step)
          return
        }
        assert(result.value.clusterId === this.#image.clusterId, 'the snapshot is of another cluster')
        this.#image = result.value
        this.#appliedIndex = index
        this.#events.onImage(this.#image)
        done(null)
      } catch (error) {
        done(error as Error)
      }
    }
    this.#step = this.#timers.setTimer(0, step)
  }

  /** Makes a snapshot of the image as it is now, in steps. Nothing happens while another one is being made. */
  save(write: (index: LogIndex, data: Buffer) => Promise<void>, failed: (error: Error) => void): void {
    if (this.#isSaving) return
    this.#isSaving = true
    const index = this.#appliedIndex
    const parts = encodeSnapshot(this.#image)
    const encoded: Buffer[] = []
    const step = () => {
      if (this.#closed) return
      const { value, done } = parts.next()
      if (done !== true) {
        encoded.push(value)
        this.#timers.setTimer(0, step)
        return
      }
      const end = () => {
        this.#isSaving = false
      }
      write(index, Buffer.concat(encoded)).then(end, (error: unknown) => {
        end()
        failed(error as Error)
      })
    }
    this.#timers.setTimer(0, step)
  }

  close(): void {
    this.#closed = true
    this.#step?.cancel()
  }
}
