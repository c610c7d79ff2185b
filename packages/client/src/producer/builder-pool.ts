import { BatchBuilder, type BatchOptions } from '@millrace/protocol'

/**
 * Builders whose batches are stored, to be used again: their memory is as large as a batch, and taking it anew for each would be
 * most of what the producer allocates.
 */
export class BuilderPool {
  readonly #options: BatchOptions
  readonly #maxCount: number
  readonly #free: BatchBuilder[] = []

  /** Keeps at most `maxCount` builders that nobody uses. */
  constructor(options: BatchOptions, maxCount: number) {
    this.#options = options
    this.#maxCount = maxCount
  }

  take(): BatchBuilder {
    const builder = this.#free.pop()
    if (builder === undefined) return new BatchBuilder(this.#options)
    builder.reset(this.#options)
    return builder
  }

  /** Nothing may refer to the builder's bytes any more: its batch was answered by the broker, so the socket is done with it. */
  giveBack(builder: BatchBuilder): void {
    if (this.#free.length < this.#maxCount) this.#free.push(builder)
  }
}
