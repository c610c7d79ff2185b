import type { Offset, Uuid } from '@millrace/base'
import {
  createBatchIndexAndErrorMessage,
  createPartitionProduceResponse,
  createProduceResponse,
  createProduceResponseLeaderIdAndEpoch,
  createProduceResponseNodeEndpoint,
  createTopicProduceResponse,
  ErrorCode,
  encodeProduceResponse,
  type ProduceResponse,
  type Writer,
} from '@millrace/protocol'
import type { Connection } from '../network/connection.ts'
import type { RequestHeader } from '../network/request-header.ts'
import { ResponseSlot } from '../network/response-slot.ts'
import type { HighWatermarkWaiter, Partition } from '../partition/partition.ts'
import type { ProduceOutcome, RecordError } from '../partition/produce-appender.ts'
import type { Verification } from '../partition/transaction-verifications.ts'
import type { LeaderHintCollection, LeaderHints } from './leader-hints.ts'

const ACKS_ALL = -1
/** From here on an answer may say who leads (KIP-951). */
const FIRST_VERSION_WITH_LEADERS = 10

/** One partition's part of an answer, which also waits in the partition for its acknowledgement. */
export class PartitionOutcome implements ProduceOutcome, HighWatermarkWaiter {
  readonly topic: string
  readonly topicId: Uuid
  readonly index: number
  partition: Partition | null = null
  errorCode = 0
  baseOffset: Offset = -1
  logAppendTimeMs = -1
  logStartOffset: Offset = -1
  requiredOffset: Offset = 0
  recordErrors: readonly RecordError[] | null = null
  errorMessage: string | null = null
  verification: Verification | null = null
  /** The acknowledgement is awaited. */
  waiting = false
  readonly #slot: ProduceSlot

  constructor(slot: ProduceSlot, topic: string, topicId: Uuid, index: number) {
    this.#slot = slot
    this.topic = topic
    this.topicId = topicId
    this.index = index
  }

  onCommitted(errorCode: number): void {
    // Late: the request's time was over first.
    if (!this.waiting) return
    this.waiting = false
    this.errorCode = errorCode
    if (errorCode === ErrorCode.NONE && !this.partition!.hadEnoughReplicas()) {
      this.errorCode = ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND
    }
    this.#slot.onSettled()
  }

  /**
   * The error at the time of answering. Appends are written at the end of the turn: a disk that failed or was full then, or a topic
   * that was deleted, counts. Records that a full disk did not take are in memory only, which no acknowledgement means.
   */
  get finalErrorCode(): number {
    const { partition } = this
    if (this.errorCode !== ErrorCode.NONE || partition === null) return this.errorCode
    if (partition.deleted) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    const { log } = partition
    return log.failed || log.writtenOffset < this.requiredOffset ? ErrorCode.KAFKA_STORAGE_ERROR : ErrorCode.NONE
  }
}

/** The answer of one Produce request. */
export class ProduceSlot extends ResponseSlot {
  readonly #version: number
  readonly #correlationId: number
  readonly #acks: number
  readonly #deadlineMs: number
  /** By position. The first has a place of its own: nearly all small requests have no other, and an array costs as much as they do. */
  #first: PartitionOutcome | null = null
  #others: PartitionOutcome[] | null = null
  #waiting = 0
  #hints: LeaderHints | null = null
  #listener = ''
  /** The connection that ends when it is this slot's turn to be answered. */
  #failed: Connection | null = null
  /** The client is gone. */
  abandoned = false

  /** `pipelined`: all its appends are done by the time the next request is read. */
  constructor(header: RequestHeader, acks: number, deadlineMs: number, pipelined = true) {
    super(pipelined)
    this.#version = header.apiVersion
    this.#correlationId = header.correlationId
    this.#acks = acks
    this.#deadlineMs = deadlineMs
    this.silent = acks === 0
  }

  /** Who leads what is not led here is told as clients of this listener need it. */
  hintBy(hints: LeaderHints | null, listener: string): void {
    this.#hints = hints
    this.#listener = listener
  }

  /** Partitions whose acknowledgement is not there yet. */
  get waitingCount(): number {
    return this.#waiting
  }

  add(topic: string, topicId: Uuid, index: number): PartitionOutcome {
    const outcome = new PartitionOutcome(this, topic, topicId, index)
    if (this.#first === null) {
      this.#first = outcome
    } else {
      this.#others ??= []
      this.#others.push(outcome)
    }
    return outcome
  }

  #outcomes(): PartitionOutcome[] {
    if (this.#first === null) return []
    return this.#others === null ? [this.#first] : [this.#first, ...this.#others]
  }

  /** Some partitions are not worked on yet: the answer waits for one {@link onSettled} more. */
  hold(): void {
    this.#waiting++
  }

  /** After an append: with acks=all, waits until its records are committed. A duplicate waits for its original. */
  appended(outcome: PartitionOutcome): void {
    if (this.#acks !== ACKS_ALL) return
    const partition = outcome.partition!
    if (outcome.requiredOffset <= partition.log.highWatermark) return
    this.#waiting++
    outcome.waiting = true
    partition.awaitHighWatermark(outcome)
  }

  /** All appends of the request are done: ready now, unless acknowledgements are awaited. */
  settle(): this {
    if (this.#waiting === 0) this.complete()
    return this
  }

  onSettled(): void {
    this.#waiting--
    if (this.#waiting === 0) this.complete()
  }

  /**
   * A producer that wants no answer learns of a failure by the end of its connection, which comes after the answers to what it sent
   * before. Until then the slot stays open, so that nothing starts that it sent afterwards.
   */
  endConnection(connection: Connection): void {
    this.hold()
    this.#failed = connection
    this.#endIfFirst(connection)
  }

  #endIfFirst(connection: Connection): void {
    if (connection.waitingRequests <= 1 && connection.transport.bufferedBytes === 0) connection.close()
  }

  override expire(nowMs: number): void {
    if (this.#failed !== null) this.#endIfFirst(this.#failed)
    // As in Kafka, only acknowledgements by all are waited for with an end. What waits for its check alone has no other answer to come.
    if (this.ready || this.#acks !== ACKS_ALL || nowMs < this.#deadlineMs) return
    for (const outcome of this.#outcomes()) {
      if (!outcome.waiting) continue
      // The records stay, or may still come; that they are committed was not known in time.
      outcome.waiting = false
      outcome.errorCode = ErrorCode.REQUEST_TIMED_OUT
    }
    this.#waiting = 0
    this.complete()
  }

  override abandon(): void {
    super.abandon()
    this.abandoned = true
    for (const outcome of this.#outcomes()) outcome.waiting = false
  }

  encode(writer: Writer): void {
    const lone = this.#others === null ? this.#first : null
    writer.beginFrame()
    writer.int32(this.#correlationId)
    if (this.#version >= 9) writer.unsignedVarint(0)
    if (lone !== null && isPlain(lone)) encodePlain(writer, lone, this.#version)
    else encodeProduceResponse(writer, responseOf(this.#outcomes(), this.#collectHints()), this.#version)
    writer.endFrame()
  }

  #collectHints(): LeaderHintCollection | null {
    return this.#version < FIRST_VERSION_WITH_LEADERS ? null : (this.#hints?.collect(this.#listener) ?? null)
  }
}

/** Neither error texts nor other leaders: nearly every answer. */
function isPlain(outcome: PartitionOutcome): boolean {
  const { recordErrors, errorMessage } = outcome
  return recordErrors === null && errorMessage === null && outcome.finalErrorCode !== ErrorCode.NOT_LEADER_OR_FOLLOWER
}

/** What `encodeProduceResponse` writes for one partition, without building the response first. A test holds it to that. */
function encodePlain(writer: Writer, outcome: PartitionOutcome, version: number): void {
  const flexible = version >= 9
  const errorCode = outcome.finalErrorCode
  const ok = errorCode === ErrorCode.NONE
  if (flexible) writer.unsignedVarint(2)
  else writer.int32(1)
  if (version >= 13) writer.uuid(outcome.topicId)
  else if (flexible) writer.compactString(outcome.topic)
  else writer.string(outcome.topic)
  if (flexible) writer.unsignedVarint(2)
  else writer.int32(1)
  writer.int32(outcome.index)
  writer.int16(errorCode)
  writer.int64(ok ? outcome.baseOffset : -1)
  writer.int64(ok ? outcome.logAppendTimeMs : -1)
  if (version >= 5) writer.int64(outcome.logStartOffset)
  if (version >= 8) {
    if (flexible) writer.unsignedVarint(1)
    else writer.int32(0)
    if (flexible) writer.unsignedVarint(0)
    else writer.int16(-1)
  }
  // End of partition, end of topic.
  if (flexible) writer.int16(0)
  writer.int32(0)
  if (flexible) writer.int8(0)
}

function responseOf(outcomes: readonly PartitionOutcome[], hints: LeaderHintCollection | null): ProduceResponse {
  const response = createProduceResponse({})
  let last: ProduceResponse['responses'][number] | null = null
  for (const outcome of outcomes) {
    if (last === null || last.name !== outcome.topic || last.topicId !== outcome.topicId) {
      last = createTopicProduceResponse({ name: outcome.topic, topicId: outcome.topicId, partitionResponses: [] })
      response.responses.push(last)
    }
    const errorCode = outcome.finalErrorCode
    const ok = errorCode === ErrorCode.NONE
    const hint =
      errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER ? (hints?.leaderOf(outcome.topic, outcome.index) ?? null) : null
    last.partitionResponses.push(
      createPartitionProduceResponse({
        index: outcome.index,
        errorCode,
        currentLeader: createProduceResponseLeaderIdAndEpoch(hint ?? {}),
        baseOffset: ok ? outcome.baseOffset : -1,
        logAppendTimeMs: ok ? outcome.logAppendTimeMs : -1,
        logStartOffset: outcome.logStartOffset,
        recordErrors: (outcome.recordErrors ?? []).map((error) =>
          createBatchIndexAndErrorMessage({ batchIndex: error.batchIndex, batchIndexErrorMessage: error.message }),
        ),
        errorMessage: outcome.errorMessage,
      }),
    )
  }
  response.nodeEndpoints = (hints?.nodes() ?? []).map((node) => createProduceResponseNodeEndpoint(node))
  return response
}
