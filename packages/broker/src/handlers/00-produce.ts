import { type Clock, ZERO_UUID } from '@millrace/base'
import {
  createBatchIndexAndErrorMessage,
  createPartitionProduceResponse,
  createProduceResponse,
  createTopicProduceResponse,
  decodeProduceRequest,
  ErrorCode,
  encodeProduceResponse,
  type PartitionProduceData,
  type ProduceRequest,
  type ProduceResponse,
  type Reader,
  type TopicProduceData,
  type Writer,
} from '@millrace/protocol'
import type { TopicMetrics } from '../metrics/topic-metrics.ts'
import { isInternalTopic } from '../metadata/internal-topics.ts'
import type { Connection } from '../network/connection.ts'
import type { RawHandler } from '../network/request-dispatcher.ts'
import type { RequestHeader } from '../network/request-header.ts'
import { ResponseSlot } from '../network/response-slot.ts'
import type { HighWatermarkWaiter, Partition } from '../partition/partition.ts'
import type { HostedTopic, PartitionManager } from '../partition/partition-manager.ts'
import { ProduceAppender, type ProduceOutcome } from '../partition/produce-appender.ts'

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
 * when the high watermark has passed the records (acks -1).
 */
export class ProduceHandler implements RawHandler {
  readonly apiKey = 0
  readonly minVersion = 3
  readonly maxVersion = 13
  readonly #deps: ProduceDeps

  constructor(deps: ProduceDeps) {
    this.#deps = deps
  }

  start(reader: Reader, header: RequestHeader, _connection: Connection): ResponseSlot | null {
    const request = decodeProduceRequest(reader, header.apiVersion)
    reader.expectEnd()
    const slot = new ProduceSlot(header, request.acks, this.#deps.clock.monotonicMs() + request.timeoutMs)
    const requestError = checkRequest(request)
    for (const topic of request.topicData) this.#appendTopic(slot, request, topic, header, requestError)
    if (request.acks === 0) return slot.failed ? null : slot.settle()
    if (slot.waiting > 0) this.#deps.partitions.requestAckScan()
    return slot.settle()
  }

  #appendTopic(
    slot: ProduceSlot,
    request: ProduceRequest,
    topic: TopicProduceData,
    header: RequestHeader,
    requestError: number,
  ): void {
    const hosted = this.#find(topic)
    const name = hosted?.name ?? topic.name
    const counters = this.#deps.metrics.total
    counters.produceRequests++
    for (const data of topic.partitionData) {
      const outcome = slot.add(name, topic.topicId, data.index)
      outcome.errorCode = requestError !== ErrorCode.NONE ? requestError : this.#append(outcome, hosted, topic, data, request, header)
      if (outcome.errorCode !== ErrorCode.NONE) {
        slot.failed = true
        counters.failedProduceRequests++
      } else if (request.acks === ACKS_ALL) {
        slot.await(outcome)
      }
    }
  }

  #find(topic: TopicProduceData): HostedTopic | undefined {
    const { partitions } = this.#deps
    return topic.topicId === ZERO_UUID ? partitions.topic(topic.name) : partitions.topicById(topic.topicId)
  }

  #append(
    outcome: PartitionOutcome,
    hosted: HostedTopic | undefined,
    topic: TopicProduceData,
    data: PartitionProduceData,
    request: ProduceRequest,
    header: RequestHeader,
  ): number {
    if (hosted === undefined) {
      return topic.topicId === ZERO_UUID ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.UNKNOWN_TOPIC_ID
    }
    const partition = hosted.partitions[data.index] ?? null
    if (partition === null) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    outcome.partition = partition
    if (isInternalTopic(hosted.name) && header.clientId !== ADMIN_CLIENT_ID) return ErrorCode.INVALID_TOPIC_EXCEPTION
    return this.#deps.appender.append(partition, data.records, header.apiVersion, request.acks === ACKS_ALL, outcome)
  }
}

/** Errors of the whole request, answered for each partition. */
function checkRequest(request: ProduceRequest): number {
  if (request.acks < -1 || request.acks > 1) return ErrorCode.INVALID_REQUIRED_ACKS
  return ErrorCode.NONE
}

/** One partition's part of the answer, which also waits for its acknowledgement. */
class PartitionOutcome implements ProduceOutcome, HighWatermarkWaiter {
  readonly topic: string
  readonly topicId: TopicProduceData['topicId']
  readonly index: number
  partition: Partition | null = null
  errorCode = 0
  baseOffset = -1
  logAppendTimeMs = -1
  logStartOffset = -1
  requiredOffset = 0
  recordErrors: ProduceOutcome['recordErrors'] = null
  errorMessage: string | null = null
  readonly #slot: ProduceSlot

  constructor(slot: ProduceSlot, topic: string, topicId: TopicProduceData['topicId'], index: number) {
    this.#slot = slot
    this.topic = topic
    this.topicId = topicId
    this.index = index
  }

  onCommitted(errorCode: number): void {
    this.#slot.onCommitted(this, errorCode)
  }
}

/** The answer of one request. */
class ProduceSlot extends ResponseSlot {
  readonly #version: number
  readonly #correlationId: number
  readonly #acks: number
  readonly #deadlineMs: number
  readonly #outcomes: PartitionOutcome[] = []
  /** Partitions whose acknowledgement is not there yet. */
  waiting = 0
  /** Some partition was refused. */
  failed = false

  constructor(header: RequestHeader, acks: number, deadlineMs: number) {
    super(true)
    this.#version = header.apiVersion
    this.#correlationId = header.correlationId
    this.#acks = acks
    this.#deadlineMs = deadlineMs
  }

  add(topic: string, topicId: TopicProduceData['topicId'], index: number): PartitionOutcome {
    const outcome = new PartitionOutcome(this, topic, topicId, index)
    this.#outcomes.push(outcome)
    return outcome
  }

  /** Waits until the outcome's records are committed; a duplicate whose original is committed waits for nothing. */
  await(outcome: PartitionOutcome): void {
    const partition = outcome.partition!
    if (outcome.requiredOffset <= partition.log.highWatermark) return
    this.waiting++
    partition.awaitHighWatermark(outcome)
  }

  /** All appends of the request are done: ready now, unless acknowledgements are awaited. */
  settle(): this {
    this.silent = this.#acks === 0
    if (this.waiting === 0) this.complete()
    return this
  }

  onCommitted(outcome: PartitionOutcome, errorCode: number): void {
    if (this.ready) return
    outcome.errorCode = errorCode
    if (errorCode === ErrorCode.NONE && !outcome.partition!.hasEnoughReplicas()) {
      outcome.errorCode = ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND
    }
    outcome.requiredOffset = 0
    this.waiting--
    if (this.waiting === 0) this.complete()
  }

  override expire(nowMs: number): void {
    if (this.ready || nowMs < this.#deadlineMs) return
    for (const outcome of this.#outcomes) {
      // Not yet settled: the records stay, but their fate was not known in time.
      if (outcome.requiredOffset > 0 && outcome.errorCode === ErrorCode.NONE) outcome.errorCode = ErrorCode.REQUEST_TIMED_OUT
    }
    this.waiting = 0
    this.complete()
  }

  encode(writer: Writer): void {
    writer.beginFrame()
    writer.int32(this.#correlationId)
    if (this.#version >= 9) writer.unsignedVarint(0)
    encodeProduceResponse(writer, this.#response(), this.#version)
    writer.endFrame()
  }

  #response(): ProduceResponse {
    const response = createProduceResponse({})
    let last: ProduceResponse['responses'][number] | null = null
    for (const outcome of this.#outcomes) {
      if (last === null || last.name !== outcome.topic || last.topicId !== outcome.topicId) {
        last = createTopicProduceResponse({ name: outcome.topic, topicId: outcome.topicId, partitionResponses: [] })
        response.responses.push(last)
      }
      last.partitionResponses.push(partitionResponse(outcome))
    }
    return response
  }
}

function partitionResponse(outcome: PartitionOutcome): ReturnType<typeof createPartitionProduceResponse> {
  let { errorCode } = outcome
  // Written at the end of this turn, before any answer: a disk that failed then fails this answer too.
  if (errorCode === ErrorCode.NONE && outcome.partition !== null && outcome.partition.log.failed) {
    errorCode = ErrorCode.KAFKA_STORAGE_ERROR
  }
  const ok = errorCode === ErrorCode.NONE
  return createPartitionProduceResponse({
    index: outcome.index,
    errorCode,
    baseOffset: ok ? outcome.baseOffset : -1,
    logAppendTimeMs: ok ? outcome.logAppendTimeMs : -1,
    logStartOffset: outcome.logStartOffset,
    recordErrors: (outcome.recordErrors ?? []).map((error) =>
      createBatchIndexAndErrorMessage({ batchIndex: error.batchIndex, batchIndexErrorMessage: error.message }),
    ),
    errorMessage: outcome.errorMessage,
  })
}
