import { BatchBuilder, type BatchOptions } from '@millrace/protocol'

const LEAST_BYTES = 1024

/**
 * Builders whose batches are stored, to be used again: their memory is as large as a batch, and taking it anew for each would be
 * most of what the producer allocates.
 */
export class BuilderPool {
  readonly #options: BatchOptions
  readonly #batchSize: number
  readonly #maxCount: number
  readonly #free: BatchBuilder[] = []
  /** Size of the last batch that was sent: the next will be about as large, and growing twofold to it copies it once more. */
  #recentBytes = LEAST_BYTES

  /** Keeps at most `maxCount` builders that nobody uses. */
  constructor(options: BatchOptions, batchSize: number, maxCount: number) {
    this.#options = options
    this.#batchSize = batchSize
    this.#maxCount = maxCount
  }

  take(): BatchBuilder {
    const builder = this.#free.pop()
    if (builder === undefined) return new BatchBuilder({ ...this.#options, initialSizeBytes: this.#recentBytes })
    builder.reset(this.#options)
    return builder
  }

  /** A batch of this size before compression was sent. */
  noteSize(sizeBytes: number): void {
    this.#recentBytes = Math.max(LEAST_BYTES, Math.min(sizeBytes, this.#batchSize))
  }

  /** Nothing may refer to the builder's bytes any more: its batch was answered by the broker, so the socket is done with it. */
  giveBack(builder: BatchBuilder): void {
    // One that grew for a large record would stay that large for ever.
    const isUsual = builder.sizeInBytes <= 2 * Math.max(this.#batchSize, LEAST_BYTES)
    if (isUsual && this.#free.length < this.#maxCount) this.#free.push(builder)
  }
}
