import { BaseError, type Offset, type Timer } from '@millrace/base'
import { buildEndTxnMarker, ControlRecordType, ErrorCode } from '@millrace/protocol'
import type { CoordinatorLog } from '../coordinator-log.ts'
import { AwaitedBatches } from './awaited-batches.ts'
import type { Coordinator, EncodedRecord } from './coordinator.ts'
import { describeError } from './describe-error.ts'
import { KeyedTimers } from './keyed-timers.ts'
import { replayLog } from './log-replay.ts'
import { encodeRecordBatch } from './record-batch.ts'
import type { ShardPorts, ShardState, TransactionEnd } from './shard-ports.ts'
import { Step, type TimerCommand } from './step.ts'
import { Timeline } from './timeline.ts'
import { recordSizeBytes, type TransactionalProducer, WriteBatch } from './write-batch.ts'
import { type Complete, WriteOperation } from './write-operation.ts'

/** A log that could not be read is tried again after so long, then twice as long, up to the most. */
const FIRST_RETRY_MS = 100
const MAX_RETRY_MS = 10_000
/** So often, which is some four minutes: then somebody has to look. */
const MAX_RETRIES = 30

/**
 * Runs the coordinator of one partition: feeds it one operation at a time, writes what it emits, and answers when that is
 * committed (`coordinators.md`, section 1). Everything is synchronous but loading, so an operation sees all that came before
 * it, committed or not.
 */
export class CoordinatorShard<Machine extends Coordinator<Record, Event, Reply>, Record, Event, Reply> {
  readonly partition: number
  readonly #ports: ShardPorts<Machine, Record, Reply>
  readonly #log: CoordinatorLog
  readonly #keyedTimers: KeyedTimers<Event>
  #state: ShardState = 'loading'
  #timeline: Timeline
  #machine: Machine
  /** Counts loads, so that a superseded one notices. */
  #loadCount = 0
  /** Loads that failed since the last one that did not. */
  #retryCount = 0
  #retryTimer: Timer | null = null
  #highWatermark: Offset
  /** The log is replayed, and the shard serves once the high watermark is here; null: not replayed, or it serves. */
  #servesFrom: Offset | null = null
  #openBatch: WriteBatch<Event> | null = null
  #lingerTimer: Timer | null = null
  readonly #appended: AwaitedBatches<Event>

  constructor(partition: number, log: CoordinatorLog, ports: ShardPorts<Machine, Record, Reply>) {
    this.partition = partition
    this.#ports = ports
    this.#log = log
    this.#highWatermark = log.highWatermark
    this.#timeline = new Timeline()
    this.#machine = ports.createCoordinator(partition, this.#timeline)
    this.#keyedTimers = new KeyedTimers(ports.clock, ports.timers, (key, event, retryDelayMs) =>
      this.#onTimer(key, event, retryDelayMs),
    )
    this.#appended = new AwaitedBatches(ports.clock, ports.timers, (operation) =>
      this.#end(operation, ErrorCode.REQUEST_TIMED_OUT),
    )
    log.onHighWatermark((highWatermark) => this.#onHighWatermark(highWatermark))
  }

  get state(): ShardState {
    return this.#state
  }

  /**
   * Replays the log and becomes active, or failed. Of what a new leader finds in its log it does not know at once what is committed: the
   * former one may have acknowledged all of it. It serves once that is so, or an answer would be older than one that was given before
   * (R12). What may pass, as a want of descriptors or a moment's fault of the disk, lets it try
   * again: until then it is loading. Resolves after the first try, whatever came of it, also if the shard was closed meanwhile.
   */
  async load(): Promise<void> {
    const load = ++this.#loadCount
    const isCurrent = (): boolean => this.#loadCount === load && this.#state === 'loading'
    const { clock, logger, timers, codec } = this.#ports
    const startMs = clock.monotonicMs()
    const fields = { topic: this.#log.topic, partition: this.partition }
    try {
      const machine = this.#machine
      const summary = await replayLog(
        this.#log,
        { machine, codec, timeline: this.#timeline, clock, timers, logger },
        isCurrent,
      )
      if (!isCurrent()) return
      for (const { endOffset, version } of summary.uncommitted) {
        this.#appended.push(new WriteBatch<Event>(endOffset, version, 0))
      }
      this.#retryCount = 0
      const loaded = { ...fields, records: summary.recordCount, ms: Math.round(clock.monotonicMs() - startMs) }
      // At a first start there are fifty of these, all empty.
      if (summary.recordCount === 0) logger.debug('coordinator loaded', loaded)
      else logger.info('coordinator loaded', loaded)
    } catch (error) {
      if (!isCurrent()) return
      this.#loadFailed(error)
      return
    }
    this.#servesFrom = this.#appended.last?.endOffset ?? 0
    this.#onHighWatermark(this.#highWatermark)
  }

  /** All that was there when it was loaded is committed. */
  #serve(): void {
    this.#servesFrom = null
    this.#state = 'active'
    this.write((machine, step) => machine.onLoaded(step), this.#logFailure('first step of a coordinator failed'))
  }

  #loadFailed(error: unknown): void {
    const { logger, timers } = this.#ports
    const fields = { topic: this.#log.topic, partition: this.partition, error: describeError(error) }
    // What it has read so far is of no use.
    this.#beginAnew()
    if (isLasting(error) || this.#retryCount >= MAX_RETRIES) {
      this.#state = 'failed'
      logger.error('coordinator failed to load', fields)
      return
    }
    // Partitions that met the same fault must not all come back at once.
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** this.#retryCount, MAX_RETRY_MS) + (this.partition % 50)
    this.#retryCount++
    const told = { ...fields, delayMs, retry: this.#retryCount }
    if (this.#retryCount === 1) logger.warn('coordinator could not be loaded and tries again', told)
    else logger.debug('coordinator could not be loaded and tries again', told)
    this.#retryTimer = timers.setTimer(delayMs, () => {
      this.#retryTimer = null
      void this.load()
    })
  }

  #beginAnew(): void {
    this.#timeline = new Timeline()
    this.#machine = this.#ports.createCoordinator(this.partition, this.#timeline)
  }

  /**
   * Takes one step and writes what it emits. `complete` is called in the order of the operations. Records of a `producer` are part of its
   * transaction: they are a batch of their own, which is appended at once.
   */
  write<Response>(
    compute: (machine: Machine, step: Step<Record, Event, Reply>) => Response,
    complete: Complete<Response>,
    producer: TransactionalProducer | null = null,
  ): void {
    if (this.#state !== 'active') {
      complete(this.#stateError(), null)
      return
    }
    const { clock, codec, limits } = this.#ports
    const step = new Step<Record, Event, Reply>(clock.wallMs())
    const version = this.#timeline.begin()
    let response: Response
    let encoded: EncodedRecord[]
    try {
      response = compute(this.#machine, step)
      encoded = step.records.map((record) => codec.encode(record))
    } catch (error) {
      this.#timeline.rollbackFrom(version)
      complete(ErrorCode.UNKNOWN_SERVER_ERROR, null)
      this.#ports.onFault(error)
      return
    }
    this.#carryOut(step)
    const deadlineMs = clock.monotonicMs() + limits.writeTimeoutMs
    const operation = new WriteOperation<Event>(
      version,
      deadlineMs,
      step.continuation,
      response,
      complete as Complete<unknown>,
    )
    if (encoded.length === 0) this.#awaitEarlierWrites(operation)
    else if (producer === null) this.#append(step, encoded, operation)
    else this.#appendTransactional(step, encoded, operation, producer)
  }

  /** A transaction has ended: its marker is written behind all that is under way, and counts for the state at once. */
  endTransaction(end: TransactionEnd, complete: Complete<true>): void {
    if (this.#state !== 'active') {
      complete(this.#stateError(), null)
      return
    }
    const flushError = this.#openBatch === null ? 0 : this.#flush()
    if (flushError !== 0) {
      complete(flushError, null)
      return
    }
    const { clock, limits } = this.#ports
    const { producerId, producerEpoch, commit, coordinatorEpoch, transactionVersion } = end
    const version = this.#timeline.begin()
    this.#machine.endTransaction(producerId, commit)
    const type = commit ? ControlRecordType.COMMIT : ControlRecordType.ABORT
    const timestamp = clock.wallMs()
    const marker = buildEndTxnMarker({ type, coordinatorEpoch, producerId, producerEpoch, timestamp })
    const batch = new WriteBatch<Event>(this.#log.logEndOffset, version, timestamp)
    batch.add(MARKER_RECORD)
    const deadlineMs = clock.monotonicMs() + limits.writeTimeoutMs
    batch.operations.push(new WriteOperation<Event>(version, deadlineMs, null, true, complete as Complete<unknown>))
    this.#appendBatch(batch, () => this.#log.append(marker, { verification: null, transactionVersion }))
  }

  #appendTransactional(
    step: Step<Record, Event, Reply>,
    encoded: readonly EncodedRecord[],
    operation: WriteOperation<Event>,
    producer: TransactionalProducer,
  ): void {
    const flushError = this.#openBatch === null ? 0 : this.#flush()
    if (flushError !== 0) {
      // The step saw what was just taken back.
      this.#end(operation, flushError)
      return
    }
    this.#openBatch = new WriteBatch<Event>(
      this.#log.logEndOffset,
      operation.version,
      this.#ports.clock.wallMs(),
      producer,
    )
    this.#append(step, encoded, operation)
    if (this.#openBatch !== null) this.#flush()
  }

  /** Answers from the state; only its `Committed` faces may be read. The error code is 0 or that of an inactive shard. */
  read<Response>(compute: (machine: Machine) => Response): { errorCode: number; response: Response | null } {
    if (this.#state !== 'active') return { errorCode: this.#stateError(), response: null }
    return { errorCode: 0, response: compute(this.#machine) }
  }

  /** Ends everything: pending writes and parked requests are answered NOT_COORDINATOR, timers die. */
  close(): void {
    if (this.#state === 'closed') return
    this.#unload('closed')
  }

  #stateError(): number {
    return this.#state === 'loading' ? ErrorCode.COORDINATOR_LOAD_IN_PROGRESS : ErrorCode.NOT_COORDINATOR
  }

  #carryOut(step: Step<Record, Event, Reply>): void {
    for (const timer of step.timers) this.#applyTimer(timer)
    for (const { message, fields } of step.notes) this.#ports.logger.info(message, fields)
    for (const reply of step.replies) this.#ports.onReply(reply)
  }

  #applyTimer(command: TimerCommand<Event>): void {
    if (command.event === null) this.#keyedTimers.cancel(command.key)
    else if (command.onlyIfAbsent === true && this.#keyedTimers.has(command.key)) return
    else this.#keyedTimers.schedule(command.key, command.delayMs, command.event, command.retryDelayMs)
  }

  #onTimer(key: string, event: Event, retryDelayMs: number | null): void {
    this.write(
      (machine, step) => machine.onTimer(event, step),
      (errorCode) => {
        if (errorCode === 0 || this.#state !== 'active') return
        if (retryDelayMs !== null && !this.#keyedTimers.has(key)) {
          this.#keyedTimers.schedule(key, retryDelayMs, event, retryDelayMs)
        }
      },
    )
  }

  /** An operation without records read uncommitted state, so its answer must not overtake the writes it saw. */
  #awaitEarlierWrites(operation: WriteOperation<Event>): void {
    const last = this.#openBatch ?? this.#appended.last
    if (last !== undefined) {
      last.operations.push(operation)
      if (last !== this.#openBatch) this.#appended.armTimeout()
      return
    }
    this.#timeline.commitThrough(operation.version)
    this.#end(operation, 0)
  }

  /**
   * Adds the records to the open batch: all in one piece or, if the step allows, as many at a time as fit. The operation ends
   * with its last piece, or with the first that fails.
   */
  #append(step: Step<Record, Event, Reply>, encoded: readonly EncodedRecord[], operation: WriteOperation<Event>): void {
    const pieceLength = step.splittable ? 1 : encoded.length
    let version = operation.version
    for (let start = 0; start < encoded.length; start += pieceLength) {
      const end = start + pieceLength
      if (!this.#hasRoom(encoded, start, end)) {
        const errorCode = this.#flush()
        if (errorCode !== 0) {
          this.#end(operation, errorCode)
          return
        }
        // What was appended must not be taken back with what follows, so that needs a version of its own.
        if (start > 0) version = this.#timeline.begin()
      }
      if (this.#openBatch === null) this.#open(version)
      try {
        this.#apply(step, start, end)
      } catch (error) {
        this.#timeline.rollbackFrom(version)
        this.#end(operation, ErrorCode.UNKNOWN_SERVER_ERROR)
        this.#ports.onFault(error)
        return
      }
      for (let slot = start; slot < end; slot++) this.#openBatch!.add(encoded[slot]!)
      this.#openBatch!.lastVersion = version
    }
    this.#openBatch!.operations.push(operation)
    if (this.#ports.limits.appendLingerMs === 0 || this.#openBatch!.sizeBytes >= this.#ports.limits.maxBatchSizeBytes) {
      this.#flush()
    }
  }

  #hasRoom(encoded: readonly EncodedRecord[], start: number, end: number): boolean {
    const open = this.#openBatch
    if (open === null || open.records.length === 0) return true
    let sizeBytes = open.sizeBytes
    for (let slot = start; slot < end; slot++) sizeBytes += recordSizeBytes(encoded[slot]!)
    return sizeBytes <= this.#ports.limits.maxBatchSizeBytes
  }

  #open(version: number): void {
    const { clock, enqueueEndOfTurn, limits, timers } = this.#ports
    const batch = new WriteBatch<Event>(this.#log.logEndOffset, version, clock.wallMs())
    this.#openBatch = batch
    const flush = (): void => {
      if (this.#openBatch === batch) this.#flush()
    }
    if (limits.appendLingerMs < 0) enqueueEndOfTurn(flush)
    else if (limits.appendLingerMs > 0) this.#lingerTimer = timers.setTimer(limits.appendLingerMs, flush)
  }

  #apply(step: Step<Record, Event, Reply>, start: number, end: number): void {
    const baseOffset = this.#openBatch!.endOffset
    for (let slot = start; slot < end; slot++) {
      if (step.alreadyApplied[slot]) continue
      const producer = this.#openBatch!.producer
      const position = {
        offset: baseOffset + slot - start,
        producerId: producer?.producerId ?? -1,
        producerEpoch: producer?.producerEpoch ?? -1,
      }
      this.#machine.apply(step.records[slot]!, position)
    }
  }

  /** Appends the open batch. On failure its operations end with the error, their state is taken back, and the error is given. */
  #flush(): number {
    const batch = this.#openBatch!
    this.#openBatch = null
    this.#lingerTimer?.cancel()
    this.#lingerTimer = null
    if (batch.records.length === 0) {
      // Its only records were taken back by a fault; operations that came to wait behind them wait for nothing more.
      for (const operation of batch.operations) this.#awaitEarlierWrites(operation)
      return 0
    }
    return this.#appendBatch(batch, () => this.#appendRecords(batch))
  }

  #appendRecords({ records, timestampMs, sizeBytes, producer }: WriteBatch<Event>): number {
    const bytes = encodeRecordBatch(records, timestampMs, sizeBytes, producer)
    if (producer === null) return this.#log.append(bytes)
    return this.#log.append(bytes, { verification: producer.verification, transactionVersion: 0 })
  }

  #appendBatch(batch: WriteBatch<Event>, append: () => number): number {
    const errorCode = append()
    if (errorCode !== 0) {
      this.#ports.logger.warn('append of a coordinator failed', {
        topic: this.#log.topic,
        partition: this.partition,
        errorCode,
        records: batch.records.length,
        sizeBytes: batch.sizeBytes,
      })
      this.#timeline.rollbackFrom(batch.firstVersion)
      for (const operation of batch.operations) this.#end(operation, errorCode)
      return errorCode
    }
    this.#appended.push(batch)
    if (this.#log.logEndOffset !== batch.endOffset) {
      this.#resynchronize(batch.endOffset)
      return ErrorCode.NOT_COORDINATOR
    }
    this.#appended.armTimeout()
    return 0
  }

  /** Somebody else wrote to the log, so that the state is not a function of it any more: load anew. */
  #resynchronize(expectedEndOffset: Offset): void {
    this.#ports.logger.error('coordinator is out of step with its log and loads again', {
      topic: this.#log.topic,
      partition: this.partition,
      expectedEndOffset,
      logEndOffset: this.#log.logEndOffset,
    })
    this.#unload('loading')
    this.#beginAnew()
    void this.load()
  }

  #unload(state: ShardState): void {
    const wasActive = this.#state === 'active'
    this.#state = state
    this.#servesFrom = null
    this.#loadCount++
    this.#keyedTimers.cancelAll()
    this.#retryTimer?.cancel()
    this.#retryTimer = null
    this.#lingerTimer?.cancel()
    this.#lingerTimer = null
    const batches = this.#appended.takeAll()
    if (this.#openBatch !== null) batches.push(this.#openBatch)
    this.#openBatch = null
    for (const batch of batches) {
      for (const operation of batch.operations) this.#end(operation, ErrorCode.NOT_COORDINATOR)
    }
    if (!wasActive) return
    const step = new Step<Record, Event, Reply>(this.#ports.clock.wallMs())
    this.#machine.onUnloaded(step)
    for (const reply of step.replies) this.#ports.onReply(reply)
  }

  #onHighWatermark(highWatermark: Offset): void {
    if (highWatermark > this.#highWatermark) this.#highWatermark = highWatermark
    if (this.#servesFrom !== null && this.#highWatermark >= this.#servesFrom) this.#serve()
    if (this.#state !== 'active') return
    for (;;) {
      const batch = this.#appended.takeCommitted(this.#highWatermark)
      if (batch === null) return
      this.#timeline.commitThrough(batch.lastVersion)
      for (const operation of batch.operations) this.#end(operation, 0)
    }
  }

  #end(operation: WriteOperation<Event>, errorCode: number): void {
    operation.end(errorCode, (continuation) => {
      if (this.#state !== 'active') return
      this.write((machine, step) => machine.onWriteDone(continuation, errorCode, step), ignoreOutcome)
    })
  }

  #logFailure(message: string): (errorCode: number) => void {
    return (errorCode) => {
      if (errorCode === 0 || this.#state !== 'active') return
      this.#ports.logger.warn(message, { topic: this.#log.topic, partition: this.partition, errorCode })
    }
  }
}

const EMPTY = Buffer.alloc(0)
/** Stands for a marker in the count of a batch's records. */
const MARKER_RECORD: EncodedRecord = { key: EMPTY, value: null }

/** The log is not what it was, or not what this coordinator can follow: it will be no other the next time. */
function isLasting(error: unknown): boolean {
  return error instanceof BaseError && (error.code === 'COORDINATOR_REPLAY' || error.code === 'LOG_DAMAGE')
}

/** For writes that nobody waits for: their step has said all it had to say. */
function ignoreOutcome(errorCode: number): void {
  void errorCode
}
