import { CodecId, codecIdOf } from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import type { TopicView } from '../cluster/cluster-view.ts'
import { ArgumentError } from '../errors/client-errors.ts'
import { BuilderPool } from './builder-pool.ts'
import type { Delivery } from './delivery.ts'
import { PartitionBuffer } from './partition-buffer.ts'
import type { IdentitySource } from './partition-queue.ts'
import { keyPartition, StickyChoice } from './partitioner.ts'
import type { ResolvedProducerOptions } from './producer-options.ts'
import type { RecordHeader } from './producer-record.ts'

/** A record in the form of the wire, its size estimated, on its way into a batch. */
export interface PreparedRecord {
  topic: string
  /** -1: to be chosen. */
  partition: number
  /** -1: to be stamped. */
  timestamp: number
  key: Buffer | null
  value: Buffer | string | null
  headers: readonly RecordHeader[] | null
  sizeBytes: number
}

/** Small batches could be very many. */
const MAX_FREE_BUILDERS = 256

class TopicBuffer {
  readonly partitions: PartitionBuffer[] = []
  readonly sticky: StickyChoice

  constructor(core: ClientCore, options: ResolvedProducerOptions) {
    this.sticky = new StickyChoice(
      core.ports.random,
      options.batchSize,
      (partition) => this.partitions[partition]?.queuedBytes ?? 0,
    )
  }
}

/** The unsent records of a producer by topic and partition. */
export class Accumulator {
  /** Partitions that hold something. */
  readonly active = new Set<PartitionBuffer>()
  readonly #core: ClientCore
  readonly #options: ResolvedProducerOptions
  readonly #identities: IdentitySource | null
  readonly #topics = new Map<string, TopicBuffer>()
  readonly #builders: BuilderPool

  constructor(core: ClientCore, options: ResolvedProducerOptions, identities: IdentitySource | null) {
    this.#core = core
    this.#options = options
    this.#identities = identities
    const codec = codecIdOf(options.compressionType) ?? CodecId.NONE
    // Half of what the buffer may hold: under load that is what is in flight and answered in turn.
    const poolCount = Math.max(1, Math.min(MAX_FREE_BUILDERS, Math.floor(options.bufferMemory / options.batchSize / 2)))
    const transactional = options.transactionalId !== null
    const batchOptions = { codec, level: options.compressionLevel, transactional }
    this.#builders = new BuilderPool(batchOptions, options.batchSize, poolCount)
  }

  /** Puts a record into its partition's batch. Memory for it is reserved. Throws {@link ArgumentError} for a partition that is none. */
  append(topic: TopicView, record: PreparedRecord, delivery: Delivery | null, place: number): void {
    const topicBuffer = this.#topicBuffer(topic.name)
    const partition = this.#partitionFor(topic, topicBuffer, record)
    const buffer = this.#partitionBuffer(topicBuffer, topic.name, partition)
    const timestamp = record.timestamp === -1 ? this.#core.ports.clock.wallMs() : record.timestamp
    buffer.append(timestamp, record.key, record.value, record.headers, record.sizeBytes, delivery, place)
    this.active.add(buffer)
  }

  #partitionFor(topic: TopicView, topicBuffer: TopicBuffer, record: PreparedRecord): number {
    if (record.partition === -1) {
      const own = this.#options.partitioner
      if (own === null) {
        return record.key === null
          ? topicBuffer.sticky.choose(topic, record.sizeBytes)
          : keyPartition(topic, record.key)
      }
      record.partition = own(topic, record.key, record.value)
    }
    if (!Number.isInteger(record.partition) || record.partition < 0 || record.partition >= topic.partitions.length) {
      const range = `0 to ${topic.partitions.length - 1}`
      throw new ArgumentError('partition', `${topic.name} has partitions ${range}, not ${record.partition}`)
    }
    return record.partition
  }

  #topicBuffer(name: string): TopicBuffer {
    let topicBuffer = this.#topics.get(name)
    if (topicBuffer === undefined) {
      topicBuffer = new TopicBuffer(this.#core, this.#options)
      this.#topics.set(name, topicBuffer)
      this.#core.metadata.addTopic(name)
    }
    return topicBuffer
  }

  #partitionBuffer(topicBuffer: TopicBuffer, topic: string, partition: number): PartitionBuffer {
    const known = topicBuffer.partitions[partition]
    if (known !== undefined) return known
    const { ports, options } = this.#core
    const { retryBackoffMs, retryBackoffMaxMs } = options
    const create = (number: number) =>
      new PartitionBuffer(topic, number, this.#options, this.#identities, this.#builders, ports, {
        retryBackoffMs,
        retryBackoffMaxMs,
      })
    for (let number = topicBuffer.partitions.length; number <= partition; number++) {
      topicBuffer.partitions.push(create(number))
    }
    return topicBuffer.partitions[partition]!
  }
}
