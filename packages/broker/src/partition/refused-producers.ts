import type { ProducerId } from '@millrace/base'
import { BATCH_HEADER_BYTES, baseSequenceOf, magicOf, producerEpochOf, producerIdOf } from '@millrace/protocol'
import type { Partition } from './partition.ts'

/** Of all partitions of a node. Beyond it the oldest are forgotten, and a broker is as trusting as Kafka's. */
const MAX_COUNT = 10_000

interface Refused {
  readonly producerEpoch: number
  /** The earliest that was refused and is to be sent again. */
  readonly baseSequence: number
}

/**
 * Producers that a log does not know, and whose first batches were refused for a reason that passes (too few replicas in sync, no leader
 * yet). A log takes any sequence from a producer that it does not know, since it may have forgotten it after
 * `producer.id.expiration.ms`. But producers have several requests under way: if the first is refused and the reason passes before the
 * second comes, the second would be stored without the first. librdkafka then takes the first for stored, as no broker stores a later
 * sequence without the earlier (`rd_kafka_handle_idempotent_Produce_success`), and reports records that are nowhere; others store them
 * behind what was sent later. So what is behind a refused batch is out of order until that one has come again. Kafka has this rule for
 * transactions only (`ProducerAppendInfo.checkSequence`, lowest sequence).
 */
export class RefusedProducers {
  /** By partition and producer, oldest first. */
  readonly #refused = new Map<string, Refused>()

  get count(): number {
    return this.#refused.size
  }

  /** The batch `buffer[start, end)` was refused, and its producer will send it again. Nothing of it was checked. */
  note(partition: Partition, buffer: Buffer, start: number, end: number): void {
    if (start < 0 || end - start < BATCH_HEADER_BYTES || magicOf(buffer, start) !== 2) return
    const producerId = producerIdOf(buffer, start)
    const producerEpoch = producerEpochOf(buffer, start)
    const baseSequence = baseSequenceOf(buffer, start)
    if (!(producerId >= 0) || baseSequence < 0) return
    const { log } = partition
    // Not loaded for this: where it knows the producer after all, it is asked before anything is refused.
    if (log.producerStates.isLoaded && log.currentProducers().isWriter(producerId)) return
    const key = keyOf(partition, producerId)
    const before = this.#refused.get(key)
    if (before?.producerEpoch === producerEpoch && before.baseSequence <= baseSequence) return
    this.#refused.delete(key)
    this.#refused.set(key, { producerEpoch, baseSequence })
    if (this.#refused.size > MAX_COUNT) this.#refused.delete(this.#refused.keys().next().value!)
  }

  /** Whether a batch may be appended as far as this goes. Hot path: nothing is looked up while nobody was refused. */
  admits(partition: Partition, producerId: ProducerId, producerEpoch: number, baseSequence: number): boolean {
    if (this.#refused.size === 0) return true
    const key = keyOf(partition, producerId)
    const refused = this.#refused.get(key)
    if (refused === undefined) return true
    const isBehind = producerEpoch === refused.producerEpoch && baseSequence > refused.baseSequence
    if (isBehind && !partition.log.currentProducers().isWriter(producerId)) return false
    // From here on the log itself knows what comes next.
    this.#refused.delete(key)
    return true
  }
}

function keyOf({ topicId, partition }: Partition, producerId: ProducerId): string {
  return `${topicId}/${partition}/${producerId}`
}
