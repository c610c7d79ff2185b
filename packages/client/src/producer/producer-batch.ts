import { assert } from '@millrace/base'
import { type BatchBuilder, RecordReader, setProducer } from '@millrace/protocol'
import { ProtocolError } from '../errors/protocol-error.ts'
import type { BuilderPool } from './builder-pool.ts'
import type { Delivery } from './delivery.ts'
import { type BatchState, type QueuedBatch, SendEvidence } from './partition-queue.ts'
import type { ProducerIdentity } from './producer-identity.ts'
import type { RecordHeader } from './producer-record.ts'

/** Errors of single records in a batch that was refused, as the broker names them. */
export type RecordErrors = readonly { batchIndex: number; batchIndexErrorMessage: string | null }[]

type OnDeliveryError = (error: unknown, topic: string, partition: number, recordCount: number) => void

/** Records that travel together: filled, built, sent as often as needed, and settled once for all who wait. */
export class ProducerBatch implements QueuedBatch {
  readonly topic: string
  readonly partition: number
  /** When its first record came, in monotonic milliseconds. */
  readonly createdMs: number
  recordCount = 0
  /** Estimate of the records before compression: what is reserved of the buffer memory. */
  sizeBytes = 0
  baseSequence = -1
  identity: ProducerIdentity | null = null
  place = 0
  state: BatchState = 'open'
  abandoned = false
  readonly evidence = new SendEvidence()
  /** Times it was sent. */
  attempts = 0
  lastError: unknown = undefined
  recordErrors: RecordErrors | null = null
  readonly #pool: BuilderPool
  readonly #builder: BatchBuilder
  #bytes: Buffer | null = null
  #stampedFor: ProducerIdentity | null = null
  #stampedSequence = -1
  #settled = false
  #whenDone: (() => void)[] = []
  /** Of records that someone waits for, in parallel: who, their place there, their place here, their timestamp. */
  readonly #deliveries: Delivery[] = []
  readonly #places: number[] = []
  readonly #deltas: number[] = []
  readonly #timestamps: number[] = []

  constructor(topic: string, partition: number, createdMs: number, pool: BuilderPool) {
    this.topic = topic
    this.partition = partition
    this.createdMs = createdMs
    this.#pool = pool
    this.#builder = pool.take()
  }

  /** Hot path. */
  append(
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | string | null,
    headers: readonly RecordHeader[] | null,
    sizeBytes: number,
    delivery: Delivery | null,
    place: number,
  ): void {
    this.#builder.append(timestamp, key, value, headers)
    if (delivery !== null) this.#expect(delivery, place, this.recordCount, timestamp)
    this.recordCount++
    this.sizeBytes += sizeBytes
  }

  /** At most as many bytes as {@link bytesToSend} will have, unless compression makes it larger. */
  get wireSizeBytes(): number {
    return this.#bytes?.length ?? this.#builder.sizeInBytes
  }

  /** The finished batch with its present identity and sequence number. Built and compressed on the first call. */
  bytesToSend(): Buffer {
    this.attempts++
    if (this.#bytes === null) {
      if (this.identity !== null) {
        const { producerId, producerEpoch } = this.identity
        this.#builder.setProducerState(producerId, producerEpoch, this.baseSequence)
      }
      this.#pool.noteSize(this.#builder.sizeInBytes)
      this.#bytes = this.#builder.build()
    } else if (this.identity !== this.#stampedFor || this.baseSequence !== this.#stampedSequence) {
      assert(this.identity !== null, 'an identity is never taken back')
      // What is written may still be on its way to a socket that is going down: only a copy may change.
      this.#bytes = Buffer.from(this.#bytes)
      setProducer(this.#bytes, 0, this.identity.producerId, this.identity.producerEpoch, this.baseSequence)
    }
    this.#stampedFor = this.identity
    this.#stampedSequence = this.baseSequence
    return this.#bytes
  }

  /** Resolves once the batch is stored or failed. */
  whenDone(): Promise<void> {
    if (this.#settled) return Promise.resolve()
    return new Promise((resolve) => {
      this.#whenDone.push(resolve)
    })
  }

  /** Stored from `baseOffset` on (-1n: nobody knows where). `logAppendTimeMs` is -1 unless the broker stamped the records. */
  complete(baseOffset: bigint, logAppendTimeMs: number): void {
    if (this.#settled) return
    const { topic, partition } = this
    for (let slot = 0; slot < this.#deliveries.length; slot++) {
      const offset = baseOffset < 0n ? baseOffset : baseOffset + BigInt(this.#deltas[slot]!)
      const timestamp = logAppendTimeMs >= 0 ? logAppendTimeMs : this.#timestamps[slot]!
      this.#deliveries[slot]!.onDelivered({ topic, partition, offset, timestamp }, this.#places[slot]!)
    }
    this.#settle()
  }

  /** Not stored, or nobody knows. Records that nobody waits for are told to `onDeliveryError`. */
  fail(error: unknown, onDeliveryError: OnDeliveryError): void {
    if (this.#settled) return
    for (let slot = 0; slot < this.#deliveries.length; slot++) {
      this.#deliveries[slot]!.onFailed(this.#errorOf(this.#deltas[slot]!, error), this.#places[slot]!)
    }
    const postedCount = this.recordCount - this.#deliveries.length
    this.#settle()
    if (postedCount > 0) onDeliveryError(error, this.topic, this.partition, postedCount)
  }

  /** Gives the memory back. Only after the broker answered, or if it was never sent. */
  recycle(): void {
    this.#pool.giveBack(this.#builder)
  }

  /** Two batches with the records of this one, and those who wait for them. This one is settled when both are. */
  split(): ProducerBatch[] {
    const { topic, partition, createdMs } = this
    const parts = [0, 1].map(() => new ProducerBatch(topic, partition, createdMs, this.#pool))
    const firstCount = Math.ceil(this.recordCount / 2)
    const reader = new RecordReader()
    // Our own bytes: they expand to what they were built from, however well that was compressed.
    reader.open(this.#bytes!, 0, this.#builder.sizeInBytes)
    let waiting = 0
    for (let delta = 0; reader.next(); delta++) {
      const part = parts[delta < firstCount ? 0 : 1]!
      part.#builder.append(reader.timestamp, reader.key(), reader.value(), reader.headers())
      if (this.#deltas[waiting] === delta) {
        part.#expect(this.#deliveries[waiting]!, this.#places[waiting]!, part.recordCount, this.#timestamps[waiting]!)
        waiting++
      }
      part.recordCount++
    }
    parts[0]!.sizeBytes = Math.floor(this.sizeBytes / 2)
    parts[1]!.sizeBytes = this.sizeBytes - parts[0]!.sizeBytes
    Promise.all(parts.map((part) => part.whenDone())).then(() => this.#settle())
    return parts
  }

  #expect(delivery: Delivery, place: number, delta: number, timestamp: number): void {
    this.#deliveries.push(delivery)
    this.#places.push(place)
    this.#deltas.push(delta)
    this.#timestamps.push(timestamp)
  }

  #errorOf(delta: number, error: unknown): unknown {
    if (this.recordErrors === null || !(error instanceof ProtocolError)) return error
    const own = this.recordErrors.find(({ batchIndex }) => batchIndex === delta)
    const { topic, partition } = this
    const message = own?.batchIndexErrorMessage ?? error.message
    return own === undefined ? error : new ProtocolError(error.errorCode, { topic, partition, message })
  }

  #settle(): void {
    this.#settled = true
    for (const resolve of this.#whenDone.splice(0)) resolve()
  }
}
