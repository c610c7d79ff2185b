import { type Clock, ZERO_UUID } from '@millrace/base'
import { ErrorCode, type Reader } from '@millrace/protocol'
import type { TopicMetrics } from '../metrics/topic-metrics.ts'
import type { RawHandler } from '../network/request-dispatcher.ts'
import type { RequestHeader } from '../network/request-header.ts'
import type { ResponseSlot } from '../network/response-slot.ts'
import type { HostedTopic, PartitionManager } from '../partition/partition-manager.ts'
import type { ProduceAppender } from '../partition/produce-appender.ts'
import { ProduceRequestView } from './produce-request.ts'
import { type PartitionOutcome, ProduceSlot } from './produce-slot.ts'

const ACKS_ALL = -1
/** The only client that may write to internal topics, by Kafka's own rule. */
const ADMIN_CLIENT_ID = '__admin_client'

export interface ProduceDeps {
  partitions: PartitionManager
  appender: ProduceAppender
  clock: Clock
  metrics: TopicMetrics
}

/**
 * Produce 3–13. Appends happen here and now, in the order of arrival; answers leave at the end of the turn (acks 0 and 1) or
 * when the high watermark has passed the records (acks -1). Of several entries for one partition the last is appended and answered,
 * in all versions: Kafka (`KafkaApis.handleProduceRequest`) puts them into a map.
 */
export class ProduceHandler implements RawHandler {
  readonly apiKey = 0
  readonly minVersion = 3
  readonly maxVersion = 13
  readonly #deps: ProduceDeps
  readonly #view = new ProduceRequestView()
  /** By position in a request of several entries: the topic, and whether a later entry is for the same partition. */
  readonly #hosted: (HostedTopic | undefined)[] = []
  readonly #superseded: boolean[] = []
  #requestNumber = 0

  constructor(deps: ProduceDeps) {
    this.#deps = deps
  }

  start(reader: Reader, header: RequestHeader): ResponseSlot | null {
    const view = this.#view
    view.read(reader, header.apiVersion)
    const slot = new ProduceSlot(header, view.acks, this.#deps.clock.monotonicMs() + view.timeoutMs)
    const counters = this.#deps.metrics.total
    counters.produceRequests++
    let failed = false
    const isLone = view.partitionCount === 1
    if (!isLone) this.#findAll()
    for (let at = 0; at < view.partitionCount; at++) {
      if (!isLone && this.#superseded[at]!) continue
      const hosted = isLone ? this.#find(at) : this.#hosted[at]
      const outcome = slot.add(hosted?.name ?? view.topicName[at]!, view.topicId[at]!, view.partition[at]!)
      outcome.errorCode = this.#append(outcome, hosted, reader.buffer, at, header)
      if (outcome.errorCode === ErrorCode.NONE) {
        slot.appended(outcome)
      } else {
        failed = true
        counters.failedProduceRequests++
      }
    }
    // A producer that wants no answer learns of a failure by losing its connection.
    if (view.acks === 0 && failed) return null
    if (slot.waitingCount > 0) this.#deps.partitions.requestAckScan()
    return slot.settle()
  }

  #find(at: number): HostedTopic | undefined {
    const { partitions } = this.#deps
    const id = this.#view.topicId[at]!
    return id === ZERO_UUID ? partitions.topic(this.#view.topicName[at]!) : partitions.topicById(id)
  }

  #findAll(): void {
    const view = this.#view
    const number = ++this.#requestNumber
    let absent: Set<string> | null = null
    for (let at = view.partitionCount - 1; at >= 0; at--) {
      const hosted = this.#find(at)
      this.#hosted[at] = hosted
      const partition = hosted?.partitions[view.partition[at]!] ?? null
      if (partition !== null) {
        this.#superseded[at] = partition.producedBy === number
        partition.producedBy = number
        continue
      }
      absent ??= new Set()
      const key = `${view.topicId[at]!}/${view.topicName[at]!}/${view.partition[at]!}`
      this.#superseded[at] = absent.has(key)
      absent.add(key)
    }
  }

  #append(
    outcome: PartitionOutcome,
    hosted: HostedTopic | undefined,
    buffer: Buffer,
    at: number,
    header: RequestHeader,
  ): number {
    const view = this.#view
    if (view.acks < -1 || view.acks > 1) return ErrorCode.INVALID_REQUIRED_ACKS
    if (hosted === undefined) {
      return header.apiVersion >= 13 ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    }
    const partition = hosted.partitions[view.partition[at]!] ?? null
    if (partition === null) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    outcome.partition = partition
    if (hosted.internal && header.clientId !== ADMIN_CLIENT_ID) return ErrorCode.INVALID_TOPIC_EXCEPTION
    return this.#deps.appender.append(
      partition,
      buffer,
      view.recordsStart[at]!,
      view.recordsEnd[at]!,
      header.apiVersion,
      view.acks === ACKS_ALL,
      outcome,
    )
  }
}
