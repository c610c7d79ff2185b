import type { RecordMetadata } from './producer-record.ts'

/**
 * Whoever waits for records of a batch. One object per `send` call, however many records it has: a batch calls it once per record
 * with the record's place in the call.
 */
export interface Delivery {
  onDelivered(metadata: RecordMetadata, place: number): void
  onFailed(error: unknown, place: number): void
}

/** Waits for one record. */
export class SingleDelivery implements Delivery {
  readonly promise: Promise<RecordMetadata>
  #resolve!: (metadata: RecordMetadata) => void
  #reject!: (error: unknown) => void

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  onDelivered(metadata: RecordMetadata): void {
    this.#resolve(metadata)
  }

  onFailed(error: unknown): void {
    this.#reject(error)
  }
}

/** Some records of a `sendMany` call were not delivered. */
export class PartialDeliveryError extends AggregateError {
  readonly code = 'PARTIAL_DELIVERY'
  readonly retriable = false
  /** By place in the call: where the record is stored, or null for those that failed. */
  readonly delivered: readonly (RecordMetadata | null)[]

  constructor(errors: readonly unknown[], delivered: readonly (RecordMetadata | null)[]) {
    const first = errors[0]
    const reason = first instanceof Error ? first.message : String(first)
    super(errors, `${errors.length} of ${delivered.length} records were not delivered, the first since: ${reason}`)
    this.name = 'PartialDeliveryError'
    this.delivered = delivered
  }
}

/** Waits for many records with one promise. */
export class ManyDelivery implements Delivery {
  readonly promise: Promise<RecordMetadata[]>
  readonly #results: (RecordMetadata | null)[]
  readonly #errors: unknown[] = []
  #left: number
  #resolve!: (results: RecordMetadata[]) => void
  #reject!: (error: unknown) => void

  constructor(count: number) {
    this.#results = new Array<RecordMetadata | null>(count).fill(null)
    this.#left = count
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    if (count === 0) this.#resolve([])
  }

  onDelivered(metadata: RecordMetadata, place: number): void {
    this.#results[place] = metadata
    this.#settleOne()
  }

  onFailed(error: unknown): void {
    this.#errors.push(error)
    this.#settleOne()
  }

  #settleOne(): void {
    this.#left--
    if (this.#left > 0) return
    if (this.#errors.length === 0) this.#resolve(this.#results as RecordMetadata[])
    else this.#reject(new PartialDeliveryError(this.#errors, this.#results))
  }
}
