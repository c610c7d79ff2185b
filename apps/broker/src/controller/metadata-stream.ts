import { type MetadataImage, type MetadataRecord, snapshotRecords } from '@millrace/consensus'
import {
  MAX_RECORDS_PER_MESSAGE,
  MAX_UNCONFIRMED_MESSAGES,
  MAX_WAITING_RECORDS,
  type ToBroker,
} from './thread-messages.ts'

interface Batch {
  readonly startOffset: number
  readonly records: readonly MetadataRecord[]
}

/** An image on its way, part by part. */
interface ImageInParts {
  readonly offset: number
  readonly records: Iterator<MetadataRecord>
  isFirst: boolean
}

/**
 * What the controller's thread tells the broker's of the metadata, no faster than that one takes it. If too much waits, it is dropped, and
 * the broker gets the newest image in its place: memory stays bounded however long the broker's thread hangs.
 */
export class MetadataStream {
  readonly #post: (message: ToBroker) => void
  readonly #newestImage: () => MetadataImage
  #waiting: Batch[] = []
  #waitingCount = 0
  /** Position in the first waiting batch. */
  #sentOfFirst = 0
  #image: ImageInParts | null = null
  #unconfirmedCount = 0

  constructor(post: (message: ToBroker) => void, newestImage: () => MetadataImage) {
    this.#post = post
    this.#newestImage = newestImage
  }

  onRecords(startOffset: number, records: readonly MetadataRecord[]): void {
    if (records.length === 0) return
    if (this.#waitingCount + records.length > MAX_WAITING_RECORDS) {
      // The newest image holds these records too.
      this.onImage(this.#newestImage())
      return
    }
    this.#waiting.push({ startOffset, records })
    this.#waitingCount += records.length
    this.#pump()
  }

  onImage(image: MetadataImage): void {
    this.#waiting = []
    this.#waitingCount = 0
    this.#sentOfFirst = 0
    this.#image = { offset: image.offset, records: snapshotRecords(image), isFirst: true }
    this.#pump()
  }

  onConfirmed(): void {
    this.#unconfirmedCount--
    this.#pump()
  }

  #pump(): void {
    while (this.#unconfirmedCount < MAX_UNCONFIRMED_MESSAGES) {
      const message = this.#image === null ? this.#nextRecords() : this.#nextPart(this.#image)
      if (message === null) return
      this.#unconfirmedCount++
      this.#post(message)
    }
  }

  #nextPart(image: ImageInParts): ToBroker {
    const { isFirst, offset } = image
    image.isFirst = false
    const records: MetadataRecord[] = []
    while (records.length < MAX_RECORDS_PER_MESSAGE) {
      const next = image.records.next()
      if (next.done === true) {
        this.#image = null
        return { type: 'image', isFirst, isLast: true, offset, records }
      }
      records.push(next.value)
    }
    return { type: 'image', isFirst, isLast: false, offset, records }
  }

  #nextRecords(): ToBroker | null {
    const [batch] = this.#waiting
    if (batch === undefined) return null
    const start = this.#sentOfFirst
    const end = Math.min(batch.records.length, start + MAX_RECORDS_PER_MESSAGE)
    const isLast = end === batch.records.length
    this.#sentOfFirst = isLast ? 0 : end
    if (isLast) {
      this.#waiting.shift()
      this.#waitingCount -= batch.records.length
    }
    const records = start === 0 && isLast ? batch.records : batch.records.slice(start, end)
    return { type: 'records', startOffset: batch.startOffset + start, records, isLast }
  }
}
