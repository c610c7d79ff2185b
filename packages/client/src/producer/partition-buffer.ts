import type { ClientPorts } from '../ports/client-ports.ts'
import { Backoff } from '../retry/backoff.ts'
import type { BuilderPool } from './builder-pool.ts'
import type { Delivery } from './delivery.ts'
import { type IdentitySource, PartitionQueue } from './partition-queue.ts'
import { ProducerBatch } from './producer-batch.ts'
import type { ResolvedProducerOptions } from './producer-options.ts'
import type { RecordHeader } from './producer-record.ts'

/**
 * With lingerMs 0 a batch that is not full waits this long at most while an earlier one is under way: under load records gather
 * for about a round trip, and a far broker costs no more latency than Java's default linger.
 */
const GATHER_MS = 5

/** What one partition holds unsent: the batch that is being filled and the queue of those that are. */
export class PartitionBuffer {
  readonly topic: string
  readonly partition: number
  readonly queue: PartitionQueue<ProducerBatch>
  /** Nothing is sent before, in monotonic milliseconds, after a failure. */
  notBeforeMs = 0
  /** Bytes of the batches that are not done, before compression. */
  queuedBytes = 0
  readonly backoff: Backoff
  readonly #options: ResolvedProducerOptions
  readonly #builders: BuilderPool
  readonly #ports: ClientPorts
  #open: ProducerBatch | null = null

  constructor(
    topic: string,
    partition: number,
    options: ResolvedProducerOptions,
    identities: IdentitySource | null,
    builders: BuilderPool,
    ports: ClientPorts,
    retry: { retryBackoffMs: number; retryBackoffMaxMs: number },
  ) {
    this.topic = topic
    this.partition = partition
    this.#options = options
    this.#builders = builders
    this.#ports = ports
    this.queue = new PartitionQueue(identities, options.maxInFlightRequestsPerConnection)
    this.backoff = new Backoff(retry.retryBackoffMs, retry.retryBackoffMaxMs, ports.random)
  }

  get isEmpty(): boolean {
    return this.#open === null && this.queue.isEmpty
  }

  /** Every batch that is not done, the one being filled last. */
  get batches(): ProducerBatch[] {
    const batches = this.queue.batches
    if (this.#open !== null) batches.push(this.#open)
    return batches
  }

  /** The oldest batch that is not done. */
  get oldest(): ProducerBatch | null {
    return this.queue.first ?? this.#open
  }

  /** Adds a record, closing the batch it no longer fits into. `sizeBytes` is its estimate; memory for it is reserved. Hot path. */
  append(
    timestamp: number,
    key: Buffer | null,
    value: Buffer | string | null,
    headers: readonly RecordHeader[] | null,
    sizeBytes: number,
    delivery: Delivery | null,
    place: number,
  ): void {
    if (this.#open !== null && this.#open.sizeBytes + sizeBytes > this.#options.batchSize) this.#closeOpen()
    this.#open ??= new ProducerBatch(this.topic, this.partition, this.#ports.clock.monotonicMs(), this.#builders)
    this.#open.append(timestamp, key, value, headers, sizeBytes, delivery, place)
    this.queuedBytes += sizeBytes
    if (this.#open.sizeBytes >= this.#options.batchSize) this.#closeOpen()
  }

  /** The batch to send to the node now, not yet taken; null if none is due or allowed. `force`: do not wait for more records. */
  nextFor(nodeId: number, nowMs: number, force: boolean): ProducerBatch | null {
    if (nowMs < this.notBeforeMs) return null
    const batch = this.queue.peek(nodeId)
    if (batch !== null || this.#open === null || this.queue.hasUnsent) return batch
    if (this.queue.inFlightCount >= this.#options.maxInFlightRequestsPerConnection) return null
    if (!force && this.openDueMs() > nowMs) return null
    this.#closeOpen()
    return this.queue.peek(nodeId)
  }

  /** When the batch that is being filled should leave, in monotonic milliseconds; infinity if there is none. */
  openDueMs(): number {
    if (this.#open === null) return Number.POSITIVE_INFINITY
    const gatherMs = this.queue.inFlightCount > 0 ? GATHER_MS : 0
    return this.#open.createdMs + Math.max(this.#options.lingerMs, gatherMs)
  }

  /** Takes the batch that is being filled out of the buffer, to give it up. */
  dropOpen(batch: ProducerBatch): boolean {
    if (this.#open !== batch) return false
    this.#open = null
    batch.state = 'done'
    return true
  }

  #closeOpen(): void {
    if (this.#open === null) return
    this.queue.push(this.#open)
    this.#open = null
  }
}
