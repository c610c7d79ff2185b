import type { Timer } from '@millrace/base'
import { ErrorCode, errorInfo, type ProduceResponse, produceApi } from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import type { ClusterView } from '../cluster/cluster-view.ts'
import { ClientClosedError, TimeoutError } from '../errors/client-errors.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { isRetriable } from '../errors/retriable.ts'
import type { Answer, Connection } from '../network/connection.ts'
import type { Accumulator } from './accumulator.ts'
import type { BufferMemory } from './buffer-memory.ts'
import type { PartitionBuffer } from './partition-buffer.ts'
import {
  type BatchAnswer,
  leaderHints,
  matchAnswers,
  maxProduceVersion,
  produceRequest,
  type SentBatch,
} from './produce-exchange.ts'
import type { ProducerBatch } from './producer-batch.ts'
import type { ResolvedProducerOptions } from './producer-options.ts'
import type { TransactionManager } from './transactions/transaction-manager.ts'

/** Without an answer there is no way to learn that a topic id is stale: topics go by name, which later versions cannot. */
const NAMES_UP_TO_VERSION = 12

/**
 * Refusals before anything was appended. Any other may come after the append: a leader that waits for replicas answers so when it
 * loses the partition or the time is over.
 */
const CERTAINLY_NOT_STORED: ReadonlySet<number> = new Set([
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.MESSAGE_TOO_LARGE,
  // The transaction before is still being completed (KIP-890).
  ErrorCode.CONCURRENT_TRANSACTIONS,
])

const ANY_VERSION = { minVersion: 0, maxVersion: Number.MAX_SAFE_INTEGER }

const NO_ANSWER: BatchAnswer = {
  errorCode: ErrorCode.NETWORK_EXCEPTION,
  baseOffset: -1,
  logAppendTimeMs: -1,
  logStartOffset: -1,
  errorMessage: 'the broker’s answer lacks this partition',
  recordErrors: null,
}

/**
 * Moves batches from the accumulator to partition leaders. One `pump` decides everything: what expired, what is due, where it goes;
 * it runs after appends, answers, metadata changes and at the next deadline.
 */
export class Sender {
  readonly #core: ClientCore
  readonly #options: ResolvedProducerOptions
  readonly #accumulator: Accumulator
  readonly #memory: BufferMemory
  readonly #transactions: TransactionManager | null
  readonly #requestsByNode = new Map<number, number>()
  readonly #connecting = new Set<number>()
  /** Nodes whose connection has more to write than it likes. */
  readonly #congested = new Set<number>()
  readonly #stopListening: () => void
  #pumpScheduled = false
  #timer: Timer | null = null
  #timerAtMs = Number.POSITIVE_INFINITY
  #flushCount = 0
  /** Where the next request begins among a node's partitions, so that a large one cannot starve the rest. */
  #rotation = 0
  #closed = false
  #fatalError: unknown = null
  #idleWaiters: (() => void)[] = []

  /** `transactions` is null for a producer without. */
  constructor(
    core: ClientCore,
    options: ResolvedProducerOptions,
    accumulator: Accumulator,
    memory: BufferMemory,
    transactions: TransactionManager | null,
  ) {
    this.#core = core
    this.#options = options
    this.#accumulator = accumulator
    this.#memory = memory
    this.#transactions = transactions
    this.#stopListening = core.metadata.onUpdate(() => this.schedule())
  }

  /** The error that ended this producer, `ClientClosedError` once closed, or null. */
  get fatalError(): unknown {
    return this.#fatalError
  }

  /** Runs a pump after the present turn of the event loop; many calls make one. Hot path. */
  schedule(): void {
    if (this.#pumpScheduled || this.#closed) return
    this.#pumpScheduled = true
    this.#core.ports.defer(() => {
      this.#pumpScheduled = false
      if (!this.#closed) this.#pump()
    })
  }

  /** While any flush is under way, no batch waits for more records. */
  beginFlush(): void {
    this.#flushCount++
    this.schedule()
  }

  endFlush(): void {
    this.#flushCount--
  }

  /** Resolves once no batch is left and every produce request has been answered. */
  whenIdle(): Promise<void> {
    if (this.#closed || this.#isIdle) return Promise.resolve()
    return new Promise((resolve) => {
      this.#idleWaiters.push(resolve)
    })
  }

  /** Nothing can be sent any more: every batch fails with the error. */
  failAll(error: unknown): void {
    this.#fatalError = error
    for (const buffer of [...this.#accumulator.active]) {
      for (const batch of buffer.batches) this.#giveUp(buffer, batch, error)
    }
  }

  /** Stops sending; what is left fails. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#timer?.cancel()
    this.#stopListening()
    this.failAll(new ClientClosedError('producer'))
    this.#wakeIdle()
  }

  get #isIdle(): boolean {
    if (this.#accumulator.active.size > 0) return false
    for (const count of this.#requestsByNode.values()) if (count > 0) return false
    return true
  }

  #wakeIdle(): void {
    for (const wake of this.#idleWaiters.splice(0)) wake()
  }

  #pump(): void {
    const nowMs = this.#core.ports.clock.monotonicMs()
    const byNode = new Map<number, PartitionBuffer[]>()
    let wakeAtMs = Number.POSITIVE_INFINITY
    let leaderMissing = false
    this.#dropUnsent()
    for (const buffer of this.#accumulator.active) {
      this.#expire(buffer, nowMs)
      this.#giveUpUnsettled(buffer)
      if (buffer.isEmpty) continue
      wakeAtMs = Math.min(wakeAtMs, this.#expiryMs(buffer), this.#dueMs(buffer, nowMs))
      const leaderId = this.#core.metadata.partition(buffer.topic, buffer.partition)?.leaderId ?? -1
      if (leaderId === -1) {
        leaderMissing = true
        continue
      }
      const list = byNode.get(leaderId)
      if (list === undefined) byNode.set(leaderId, [buffer])
      else list.push(buffer)
    }
    if (leaderMissing) this.#core.metadata.requestUpdate()
    for (const [nodeId, buffers] of byNode) this.#sendTo(nodeId, buffers, nowMs)
    this.#wakeAt(wakeAtMs)
    if (this.#idleWaiters.length > 0 && this.#isIdle) this.#wakeIdle()
  }

  /** In a transaction that will be aborted nothing is sent any more; answers to what was sent are waited for. */
  #dropUnsent(): void {
    const reason = this.#transactions?.dropReason ?? null
    if (reason === null) return
    for (const buffer of [...this.#accumulator.active]) {
      for (const batch of buffer.batches) if (batch.state !== 'in-flight') this.#giveUp(buffer, batch, reason)
    }
  }

  /** When a pump could find more to do for the buffer without anything else happening. */
  #dueMs(buffer: PartitionBuffer, nowMs: number): number {
    if (buffer.notBeforeMs > nowMs) return buffer.notBeforeMs
    const dueMs = buffer.openDueMs()
    return dueMs > nowMs ? dueMs : Number.POSITIVE_INFINITY
  }

  #expiryMs(buffer: PartitionBuffer): number {
    const { oldest } = buffer
    // Those that were given up in flight are not waited for; what stands behind them has a limit of its own.
    const next = oldest?.abandoned ? buffer.batches.find(({ abandoned }) => !abandoned) : oldest
    return next == null ? Number.POSITIVE_INFINITY : next.createdMs + this.#options.deliveryTimeoutMs
  }

  #expire(buffer: PartitionBuffer, nowMs: number): void {
    const limitMs = nowMs - this.#options.deliveryTimeoutMs
    const oldest = buffer.oldest
    if (oldest === null || oldest.createdMs > limitMs) return
    for (const batch of buffer.batches) {
      if (batch.createdMs > limitMs || batch.abandoned) continue
      const { deliveryTimeoutMs } = this.#options
      const message = `${batch.recordCount} records for ${batch.topic}-${batch.partition} were not delivered within ${deliveryTimeoutMs} ms`
      const error = new TimeoutError(message, deliveryTimeoutMs, { cause: batch.lastError })
      if (batch.state === 'in-flight') {
        // Kept until its answer shows whether its sequence numbers are used.
        batch.abandoned = true
        batch.fail(error, this.#options.onDeliveryError)
        this.#transactions?.onFailure(error, 'produce')
      } else {
        this.#giveUp(buffer, batch, error)
      }
    }
  }

  #giveUpUnsettled(buffer: PartitionBuffer): void {
    for (const batch of buffer.queue.unsettled()) {
      const { topic, partition, recordCount } = batch
      const message = `${recordCount} records may be stored or not: the broker no longer knows of their batch`
      const error = new ProtocolError(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, { topic, partition, message })
      this.#giveUp(buffer, batch, error)
    }
  }

  #sendTo(nodeId: number, buffers: readonly PartitionBuffer[], nowMs: number): void {
    const link = this.#core.connections.link(nodeId)
    if (link === null) {
      this.#core.metadata.requestUpdate()
      return
    }
    const connection = link.readyConnection
    if (connection === null) {
      this.#connect(nodeId, nowMs)
      return
    }
    // Requests without an answer are bounded by nothing but the transport.
    if (this.#options.acks === 0 && connection.isCongested) {
      this.#awaitDrain(nodeId, connection)
      return
    }
    while ((this.#requestsByNode.get(nodeId) ?? 0) < this.#options.maxInFlightRequestsPerConnection) {
      const sent = this.#collect(nodeId, buffers, nowMs)
      if (sent.length === 0) return
      this.#send(nodeId, connection, sent)
      if (!connection.isReady) return
    }
  }

  #awaitDrain(nodeId: number, connection: Connection): void {
    if (this.#congested.has(nodeId)) return
    this.#congested.add(nodeId)
    void connection.drained().then(() => {
      this.#congested.delete(nodeId)
      this.schedule()
    })
  }

  #connect(nodeId: number, nowMs: number): void {
    const link = this.#core.connections.link(nodeId)
    if (link === null || this.#connecting.has(nodeId)) return
    if (link.delayMs > 0) {
      this.#wakeAt(nowMs + link.delayMs)
      return
    }
    this.#connecting.add(nodeId)
    const retry = () => {
      this.#connecting.delete(nodeId)
      this.schedule()
    }
    link.connect().then(retry, (error: unknown) => {
      // A broker that cannot be reached will be tried again; one that refuses us (authentication) will not let us in later.
      if (isRetriable(error)) {
        this.#options.onRetry(error)
        retry()
      } else if (!this.#closed) this.failAll(error)
    })
  }

  #collect(nodeId: number, buffers: readonly PartitionBuffer[], nowMs: number): SentBatch[] {
    const force = this.#flushCount > 0 || this.#memory.isExhausted
    const sent: SentBatch[] = []
    let sizeBytes = 0
    this.#rotation = (this.#rotation + 1) % buffers.length
    for (let step = 0; step < buffers.length; step++) {
      const buffer = buffers[(this.#rotation + step) % buffers.length]!
      if (this.#transactions !== null && !this.#transactions.admits(buffer.topic, buffer.partition)) continue
      const batch = buffer.nextFor(nodeId, nowMs, force)
      if (batch === null) continue
      if (sent.length > 0 && sizeBytes + batch.wireSizeBytes > this.#options.maxRequestSize) continue
      buffer.queue.take(batch, nodeId)
      const bytes = batch.bytesToSend()
      sent.push({ buffer, batch, bytes })
      sizeBytes += bytes.length
    }
    return sent
  }

  #send(nodeId: number, connection: Connection, sent: readonly SentBatch[]): void {
    const view = this.#core.metadata.view
    const { acks, requestTimeoutMs, transactionalId } = this.#options
    const message = () => produceRequest(sent, view, { acks, timeoutMs: requestTimeoutMs, transactionalId })
    if (acks === 0) {
      this.#sendWithoutAnswer(connection, message, sent)
      return
    }
    const versions = this.#transactions?.produceVersions ?? ANY_VERSION
    this.#transactions?.noteSent()
    this.#requestsByNode.set(nodeId, (this.#requestsByNode.get(nodeId) ?? 0) + 1)
    const landed = () => {
      this.#requestsByNode.set(nodeId, this.#requestsByNode.get(nodeId)! - 1)
      this.schedule()
    }
    connection
      .request(produceApi, message, {
        timeoutMs: requestTimeoutMs,
        minVersion: versions.minVersion,
        maxVersion: Math.min(versions.maxVersion, maxProduceVersion(sent, view)),
      })
      .then(
        (answer) => {
          landed()
          this.#onAnswer(answer, sent, view)
        },
        (error: unknown) => {
          landed()
          for (const one of sent) this.#onError(one, error)
        },
      )
  }

  #sendWithoutAnswer(
    connection: Connection,
    message: () => ReturnType<typeof produceRequest>,
    sent: readonly SentBatch[],
  ): void {
    try {
      connection.send(produceApi, message, NAMES_UP_TO_VERSION)
      for (const { buffer, batch } of sent) {
        // Without answers there is no idempotence, and nothing else that this one could settle.
        buffer.queue.onStored(batch)
        batch.complete(-1n, -1)
        this.#release(buffer, batch)
      }
    } catch (error) {
      for (const one of sent) this.#onError(one, error)
    }
  }

  #onAnswer(answer: Answer<ProduceResponse>, sent: readonly SentBatch[], view: ClusterView): void {
    const { response, version } = answer
    const { hints, endpoints } = leaderHints(response, version, view)
    if (hints.length > 0) this.#core.metadata.learnLeaders(hints, endpoints)
    const answers = matchAnswers(response, version, sent, view)
    for (const one of sent) {
      if (one.batch.state === 'done') continue
      this.#onBatchAnswer(one, answers.get(one) ?? NO_ANSWER)
      const { topic, partition } = one.buffer
      const leaderId = this.#core.metadata.partition(topic, partition)?.leaderId
      // The answer named a new leader: there is no reason to pause before asking it.
      if (leaderId !== view.topics.get(topic)?.partitions[partition]?.leaderId) one.buffer.notBeforeMs = 0
    }
  }

  #onBatchAnswer(one: SentBatch, answer: BatchAnswer): void {
    const { buffer, batch } = one
    const { errorCode } = answer
    if (errorCode === ErrorCode.NONE || errorCode === ErrorCode.DUPLICATE_SEQUENCE_NUMBER) {
      // A duplicate so old that the broker forgot its place is stored, but nobody knows where.
      const baseOffset = errorCode === ErrorCode.NONE ? BigInt(answer.baseOffset) : -1n
      this.#onStored(buffer, batch, baseOffset, answer.logAppendTimeMs)
      return
    }
    if (this.#isSequenceError(errorCode) && batch.evidence.isStored) {
      this.#onStored(buffer, batch, -1n, -1)
      return
    }
    const error = new ProtocolError(errorCode, {
      topic: batch.topic,
      partition: batch.partition,
      message: answer.errorMessage,
    })
    if (errorInfo(errorCode).refreshMetadata) this.#core.metadata.requestUpdate()
    const mayBeStored = !CERTAINLY_NOT_STORED.has(errorCode)
    if (this.#isSequenceError(errorCode) && batch.identity !== null) {
      buffer.queue.onOutOfOrder(batch)
      this.#afterFailure(buffer, batch, error)
    } else if (errorCode === ErrorCode.MESSAGE_TOO_LARGE && batch.recordCount > 1 && !batch.abandoned) {
      this.#split(buffer, batch, error)
    } else if (error.retriable) {
      this.#onError(one, error, mayBeStored)
    } else {
      batch.recordErrors = answer.recordErrors
      this.#giveUp(buffer, batch, error)
    }
  }

  #onStored(buffer: PartitionBuffer, batch: ProducerBatch, baseOffset: bigint, logAppendTimeMs: number): void {
    const settled = buffer.queue.onStored(batch)
    buffer.backoff.reset()
    // First, as they were sent first.
    for (const one of settled) this.#complete(buffer, one, -1n, -1)
    this.#complete(buffer, batch, baseOffset, logAppendTimeMs)
  }

  #complete(buffer: PartitionBuffer, batch: ProducerBatch, baseOffset: bigint, logAppendTimeMs: number): void {
    batch.complete(baseOffset, logAppendTimeMs)
    this.#release(buffer, batch)
    batch.recycle()
  }

  #isSequenceError(errorCode: number): boolean {
    return errorCode === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER || errorCode === ErrorCode.UNKNOWN_PRODUCER_ID
  }

  /** A failure without an answer, or with one that allows another try. */
  #onError(one: SentBatch, error: unknown, mayBeStored = true): void {
    const { buffer, batch } = one
    if (batch.state === 'done') return
    if (!isRetriable(error) || batch.attempts > this.#options.retries) {
      this.#giveUp(buffer, batch, error)
      return
    }
    buffer.queue.onRetriable(batch, mayBeStored)
    this.#afterFailure(buffer, batch, error)
  }

  #afterFailure(buffer: PartitionBuffer, batch: ProducerBatch, error: unknown): void {
    batch.lastError = error
    this.#options.onRetry(error)
    if (batch.state === 'done') this.#release(buffer, batch)
    buffer.notBeforeMs = this.#core.ports.clock.monotonicMs() + buffer.backoff.nextMs()
    this.schedule()
  }

  /**
   * The broker's limit is below our batch size: two halves are tried instead. With idempotence only once nothing before it is
   * open, since the halves need new numbers.
   */
  #split(buffer: PartitionBuffer, batch: ProducerBatch, error: ProtocolError): void {
    if (batch.identity !== null && !buffer.queue.isFirst(batch)) {
      buffer.queue.onRetriable(batch, false)
      this.#afterFailure(buffer, batch, error)
      return
    }
    buffer.queue.replace(batch, batch.split())
    this.schedule()
  }

  /** Forgets a batch and tells its senders that it failed. */
  #giveUp(buffer: PartitionBuffer, batch: ProducerBatch, error: unknown): void {
    if (!buffer.dropOpen(batch)) buffer.queue.giveUp(batch)
    this.#release(buffer, batch)
    batch.fail(error, this.#options.onDeliveryError)
    this.#transactions?.onFailure(error, 'produce')
    this.schedule()
  }

  #release(buffer: PartitionBuffer, batch: ProducerBatch): void {
    buffer.queuedBytes -= batch.sizeBytes
    this.#memory.release(batch.sizeBytes)
    if (buffer.isEmpty) this.#accumulator.active.delete(buffer)
  }

  #wakeAt(atMs: number): void {
    if (atMs === Number.POSITIVE_INFINITY || (this.#timer !== null && this.#timerAtMs <= atMs)) return
    this.#timer?.cancel()
    this.#timerAtMs = atMs
    const delayMs = Math.max(0, atMs - this.#core.ports.clock.monotonicMs())
    this.#timer = this.#core.ports.timers.setTimer(delayMs, () => {
      this.#timer = null
      this.#timerAtMs = Number.POSITIVE_INFINITY
      this.schedule()
    })
  }
}
