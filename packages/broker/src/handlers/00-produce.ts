import { type Clock, ZERO_UUID } from '@millrace/base'
import { ApiKey, ErrorCode, Reader } from '@millrace/protocol'
import type { Access, Authorizer } from '../authorization/authorizer.ts'
import { NEEDS } from '../authorization/needs.ts'
import type { PartitionVerifier } from '../coordinator/transaction/partition-verifier.ts'
import type { BudgetSample } from '../metrics/budget.ts'
import type { TopicMetrics } from '../metrics/topic-metrics.ts'
import type { Connection } from '../network/connection.ts'
import type { RawHandler } from '../network/request-dispatcher.ts'
import type { RequestHeader } from '../network/request-header.ts'
import type { ResponseSlot } from '../network/response-slot.ts'
import type { BatchChecks } from '../partition/batch-checks.ts'
import type { PartitionManager } from '../partition/partition-manager.ts'
import type { HostedTopic } from '../partition/partition-placement.ts'
import type { ProduceAppender } from '../partition/produce-appender.ts'
import { elementLimitOf } from './element-limits.ts'
import { HeavyProduce, type HeavyRequest } from './heavy-produce.ts'
import type { LeaderHints } from './leader-hints.ts'
import { ProduceRequestView } from './produce-request.ts'
import { type PartitionOutcome, ProduceSlot } from './produce-slot.ts'
import { isTransactionalAt, ProduceVerification } from './produce-verification.ts'

const ACKS_ALL = -1
const ELEMENT_LIMIT = elementLimitOf(ApiKey.PRODUCE)
/** More bytes to expand, or to compress anew, are worked on elsewhere: so many may become a few megabytes, and a few ms. */
const MAX_HEAVY_BYTES = 16 * 1024
/** The only client that may write to internal topics, by Kafka's own rule. */
const ADMIN_CLIENT_ID = '__admin_client'

export interface ProduceDeps {
  partitions: PartitionManager
  appender: ProduceAppender
  clock: Clock
  metrics: TopicMetrics
  /** Where batches are checked that would hold the loop. */
  checks: BatchChecks
  /** Bytes of requests that may wait for such checks. */
  maxCheckBytes: number
  /** Says who may write what; null: everybody everything. */
  authorizer: Authorizer | null
  /** Asks whether transactions know of the partitions that their producers write to. */
  verifier: Pick<PartitionVerifier, 'verify'>
  /** `transaction.partition.verification.enable` now. */
  isVerificationRequired(): boolean
  /** Who leads instead, for producers that ask the wrong broker; left out where nobody else can. */
  leaderHints?: LeaderHints
  /** The checks of a request broke off: nobody can say what became of it. */
  onFailed(connection: Connection, error: unknown): void
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
  /** By position in the request: the topic, and whether a later entry is for the same partition. */
  readonly #hosted: (HostedTopic | undefined)[] = []
  readonly #superseded: boolean[] = []
  #requestNumber = 0
  readonly #heavy: HeavyProduce

  constructor(deps: ProduceDeps) {
    this.#deps = deps
    const { appender, checks, maxCheckBytes } = deps
    this.#heavy = new HeavyProduce({
      appender,
      checks,
      maxWaitingBytes: maxCheckBytes,
      find: (view, at) => this.#find(view, at),
    })
  }

  budget(): BudgetSample {
    return { name: 'batch-checks', unit: 'bytes', used: this.#heavy.waitingBytes, limit: this.#deps.maxCheckBytes }
  }

  start(reader: Reader, header: RequestHeader, connection: Connection): ResponseSlot | null {
    const view = this.#view
    const start = reader.position
    reader.limitElements(ELEMENT_LIMIT)
    view.read(reader, header.apiVersion)
    const counters = this.#deps.metrics.total
    counters.produceRequests++
    if (view.partitionCount !== 1) this.#findAll()
    else this.#findLone()
    const access = this.#deps.authorizer?.accessOf(connection.context) ?? null
    if (access !== null && !mayWriteTransaction(access, view, reader.buffer)) {
      return this.#refuse(header, NEEDS[ApiKey.PRODUCE].transaction.errorCode)
    }
    const verification = this.#beginVerification(reader.buffer, header, access)
    if (verification?.isMixed === true) return this.#refuse(header, ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    if (verification !== null || this.#heavyBytes(reader.buffer, header, access) > MAX_HEAVY_BYTES) {
      return this.#startHeavy(reader, start, header, connection, access, verification)
    }
    const slot = new ProduceSlot(header, view.acks, this.#deps.clock.monotonicMs() + view.timeoutMs)
    slot.hintBy(this.#deps.leaderHints ?? null, connection.context.listener)
    let failed = false
    for (let at = 0; at < view.partitionCount; at++) {
      if (this.#superseded[at]!) continue
      const hosted = this.#hosted[at]
      const outcome = slot.add(hosted?.name ?? view.topicName[at]!, view.topicId[at]!, view.partition[at]!)
      outcome.errorCode = this.#append(view, outcome, hosted, reader.buffer, at, header, connection, access)
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

  /** What must be asked before this is appended; null: nothing, as of all but the first batches of transactions. Hot path. */
  #beginVerification(buffer: Buffer, header: RequestHeader, access: Access | null): ProduceVerification | null {
    const view = this.#view
    if (view.transactionalId === null) return null
    const verification = new ProduceVerification(view.transactionalId, header.apiVersion)
    const isNeeded = verification.isNeeded(this.#deps.isVerificationRequired())
    for (let at = 0; at < view.partitionCount; at++) {
      if (this.#superseded[at]! || !isTransactionalAt(view, buffer, at)) continue
      verification.noteProducer(buffer, view.recordsStart[at]!)
      const hosted = this.#hosted[at]
      if (!isNeeded || this.#guard(view, hosted, at, header, access) !== ErrorCode.NONE) continue
      const partition = hosted!.partitions[view.partition[at]!]!
      if (partition.checkLeader(-1) === ErrorCode.NONE)
        verification.begin(partition, buffer, view.recordsStart[at]!, at)
    }
    return verification.isEmpty && !verification.isMixed ? null : verification
  }

  /** Every partition of a request that takes part in a transaction in which the client may not, or that is not one producer's. */
  #refuse(header: RequestHeader, errorCode: number): ResponseSlot | null {
    const view = this.#view
    const slot = new ProduceSlot(header, view.acks, 0)
    for (let at = 0; at < view.partitionCount; at++) {
      if (this.#superseded[at]!) continue
      slot.add(view.topicName[at]!, view.topicId[at]!, view.partition[at]!).errorCode = errorCode
      this.#deps.metrics.total.failedProduceRequests++
    }
    return view.acks === 0 ? null : slot.settle()
  }

  /** How many bytes of batches would have to be expanded, or compressed anew, to append all of the request. Hot path. */
  #heavyBytes(buffer: Buffer, header: RequestHeader, access: Access | null): number {
    const view = this.#view
    let sizeBytes = 0
    for (let at = 0; at < view.partitionCount; at++) {
      if (!this.#superseded[at]!) sizeBytes += this.#heavyBytesOf(this.#hosted[at], buffer, at, header, access)
    }
    return sizeBytes
  }

  #heavyBytesOf(
    hosted: HostedTopic | undefined,
    buffer: Buffer,
    at: number,
    header: RequestHeader,
    access: Access | null,
  ): number {
    const view = this.#view
    const partition = hosted?.partitions[view.partition[at]!] ?? null
    if (partition === null || view.recordsStart[at]! < 0) return 0
    const sizeBytes = this.#deps.appender.heavyBytes(partition, buffer, view.recordsStart[at]!, view.recordsEnd[at]!)
    // What is refused anyway is not worth a check.
    return sizeBytes > 0 && this.#guard(view, hosted, at, header, access) === ErrorCode.NONE ? sizeBytes : 0
  }

  /** Batches are checked elsewhere, or a coordinator is asked first; the connection waits for the answer. */
  #startHeavy(
    reader: Reader,
    start: number,
    header: RequestHeader,
    connection: Connection,
    access: Access | null,
    verification: ProduceVerification | null,
  ): ResponseSlot | null {
    const { clock, metrics, partitions, verifier } = this.#deps
    const bytes = Buffer.from(reader.buffer.subarray(start, reader.position))
    const view = new ProduceRequestView()
    view.read(new Reader(bytes), header.apiVersion)
    const { acks } = view
    const slot = new ProduceSlot(header, acks, clock.monotonicMs() + view.timeoutMs, false)
    slot.hintBy(this.#deps.leaderHints ?? null, connection.context.listener)
    const hasRoom = this.#heavy.hasRoom(bytes.length)
    const entries: { at: number; isHeavy: boolean }[] = []
    for (let at = 0; at < view.partitionCount; at++) {
      if (this.#superseded[at]!) continue
      entries.push({ at, isHeavy: this.#heavyBytesOf(this.#hosted[at], reader.buffer, at, header, access) > 0 })
      if (hasRoom) continue
      // Nothing was appended, and a producer tries again.
      slot.add(view.topicName[at]!, view.topicId[at]!, view.partition[at]!).errorCode = ErrorCode.REQUEST_TIMED_OUT
    }
    if (!hasRoom) {
      metrics.total.failedProduceRequests += entries.length
      return acks === 0 ? null : slot.settle()
    }
    const kept: RequestHeader = { ...header }
    const request: HeavyRequest = {
      view,
      bytes,
      slot,
      apiVersion: kept.apiVersion,
      clientAddress: connection.context.clientAddress,
      acksAll: acks === ACKS_ALL,
      entries,
      prepare: verification === null ? null : () => verification.ask(verifier),
      verification,
      guard: (at) => this.#guard(view, this.#find(view, at), at, kept, access),
      append: (outcome, at) => this.#append(view, outcome, this.#find(view, at), bytes, at, kept, connection, access),
      onDone: (failedCount) => {
        metrics.total.failedProduceRequests += failedCount
        if (acks === 0 && failedCount > 0) slot.endConnection(connection)
      },
    }
    this.#heavy.start(request, (error) => this.#deps.onFailed(connection, error))
    partitions.requestAckScan()
    return slot
  }

  #find(view: ProduceRequestView, at: number): HostedTopic | undefined {
    const { partitions } = this.#deps
    const id = view.topicId[at]!
    return id === ZERO_UUID ? partitions.topic(view.topicName[at]!) : partitions.topicById(id)
  }

  #findLone(): void {
    this.#hosted[0] = this.#find(this.#view, 0)
    this.#superseded[0] = false
  }

  #findAll(): void {
    const view = this.#view
    const number = ++this.#requestNumber
    let absent: Set<string> | null = null
    for (let at = view.partitionCount - 1; at >= 0; at--) {
      const hosted = this.#find(view, at)
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

  /** Why an entry cannot be appended whatever its bytes are, or 0; then its partition is here. Hot path. */
  #guard(
    view: ProduceRequestView,
    hosted: HostedTopic | undefined,
    at: number,
    header: RequestHeader,
    access: Access | null,
  ): number {
    if (access !== null) {
      const { topic: need } = NEEDS[ApiKey.PRODUCE]
      // Before it is told whether there is such a topic. An id that nothing has tells nothing.
      const name = hosted?.name ?? view.topicName[at]!
      if (name !== '' && !access.allows(need, name)) return need.errorCode
    }
    if (view.acks < -1 || view.acks > 1) return ErrorCode.INVALID_REQUIRED_ACKS
    if (hosted === undefined) {
      return header.apiVersion >= 13 ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    }
    if ((hosted.partitions[view.partition[at]!] ?? null) === null) {
      return this.#deps.partitions.absenceCode(hosted.name, view.partition[at]!)
    }
    return hosted.internal && header.clientId !== ADMIN_CLIENT_ID ? ErrorCode.INVALID_TOPIC_EXCEPTION : ErrorCode.NONE
  }

  #append(
    view: ProduceRequestView,
    outcome: PartitionOutcome,
    hosted: HostedTopic | undefined,
    buffer: Buffer,
    at: number,
    header: RequestHeader,
    connection: Connection,
    access: Access | null,
  ): number {
    const guarded = this.#guard(view, hosted, at, header, access)
    if (guarded !== ErrorCode.NONE) return guarded
    // A transaction without a name is nobody's.
    if (view.transactionalId === null && isTransactionalAt(view, buffer, at)) {
      return NEEDS[ApiKey.PRODUCE].transaction.errorCode
    }
    const partition = hosted!.partitions[view.partition[at]!]!
    outcome.partition = partition
    return this.#deps.appender.append(
      partition,
      buffer,
      view.recordsStart[at]!,
      view.recordsEnd[at]!,
      header.apiVersion,
      view.acks === ACKS_ALL,
      connection.context.clientAddress,
      outcome,
    )
  }
}

/** Whether no batch takes part in a transaction, or in one whose id the client may write under. */
function mayWriteTransaction(access: Access, view: ProduceRequestView, buffer: Buffer): boolean {
  for (let at = 0; at < view.partitionCount; at++) {
    if (!isTransactionalAt(view, buffer, at)) continue
    const { transactionalId } = view
    // One id for all of the request.
    return transactionalId !== null && access.allows(NEEDS[ApiKey.PRODUCE].transaction, transactionalId)
  }
  return true
}
