import { recordSizeBound } from '@millrace/protocol'
import { ClientCore } from '../client/client-core.ts'
import type { TopicView } from '../cluster/cluster-view.ts'
import { ArgumentError, ClientClosedError, RecordTooLargeError, StateError } from '../errors/client-errors.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { wait } from '../retry/wait.ts'
import { Accumulator, type PreparedRecord } from './accumulator.ts'
import { BufferMemory } from './buffer-memory.ts'
import { type Delivery, ManyDelivery, SingleDelivery } from './delivery.ts'
import { ProducerIdentitySource } from './producer-identity.ts'
import { type ProducerOptions, type ResolvedProducerOptions, resolveProducerOptions } from './producer-options.ts'
import { type ProducerRecord, type RecordMetadata, toBuffer, toHeaders, toValue } from './producer-record.ts'
import { Sender } from './sender.ts'
import { Transaction } from './transactions/transaction.ts'
import { TransactionManager } from './transactions/transaction-manager.ts'

/** A record that waits for metadata or memory before it can join a batch. */
interface WaitingRecord {
  record: PreparedRecord
  delivery: Delivery
  place: number
  /** When `maxBlockMs` is over, in monotonic milliseconds. */
  deadlineMs: number
  /** Whether it does not wait any more: it joined a batch, was refused, or its transaction was given up. */
  isOver: boolean
}

/**
 * Sends records: batched per partition, several requests under way per broker, in order and once per record even when brokers
 * fail (idempotence is on by default). Made and used at once; it connects when the first record comes.
 */
export class Producer implements AsyncDisposable {
  readonly #core: ClientCore
  readonly #options: ResolvedProducerOptions
  readonly #memory: BufferMemory
  readonly #accumulator: Accumulator
  readonly #sender: Sender
  readonly #transactions: TransactionManager | null
  /** Records that wait, by topic: later ones line up behind them, so that order is kept. */
  readonly #lines = new Map<string, WaitingRecord[]>()
  #closing: Promise<void> | null = null

  /** Throws `ConfigurationError` for settings that are wrong or do not go together. */
  constructor(options: ProducerOptions) {
    this.#options = resolveProducerOptions(options)
    this.#core = new ClientCore(options, {
      maxInFlightRequestsPerConnection: this.#options.maxInFlightRequestsPerConnection + 1,
      allowAutoTopicCreation: true,
    })
    this.#memory = new BufferMemory(this.#options.bufferMemory, this.#core.ports)
    this.#transactions = this.#newTransactions()
    const identities = this.#options.enableIdempotence
      ? new ProducerIdentitySource(
          this.#core,
          () => this.#sender.schedule(),
          (error) => this.#sender.failAll(error),
          this.#options.onRetry,
        )
      : null
    this.#accumulator = new Accumulator(this.#core, this.#options, this.#transactions ?? identities)
    this.#sender = new Sender(this.#core, this.#options, this.#accumulator, this.#memory, this.#transactions)
  }

  /**
   * Sends one record and resolves when it is stored as `acks` asks. Waits when the buffer is full, so awaiting it is back-pressure.
   * Rejects with `ProtocolError`, `TimeoutError` (`maxBlockMs` before it entered the buffer, `deliveryTimeoutMs` after),
   * `RecordTooLargeError` or `ClientClosedError`. Calls keep their order per partition whether or not they are awaited. A producer with a
   * `transactionalId` sends through {@link begin} only.
   */
  send(record: ProducerRecord): Promise<RecordMetadata> {
    return this.#transactions === null ? this.#send(record) : Promise.reject(outsideTransaction())
  }

  #send(record: ProducerRecord): Promise<RecordMetadata> {
    const delivery = new SingleDelivery()
    this.#submit(record, delivery, 0)
    return delivery.promise
  }

  /**
   * Sends many records with one promise. Results are in the order of the records. If some fail, rejects with
   * `PartialDeliveryError` once the fate of all is known.
   */
  sendMany(records: readonly ProducerRecord[]): Promise<RecordMetadata[]> {
    return this.#transactions === null ? this.#sendMany(records) : Promise.reject(outsideTransaction())
  }

  #sendMany(records: readonly ProducerRecord[]): Promise<RecordMetadata[]> {
    const delivery = new ManyDelivery(records.length)
    for (let place = 0; place < records.length; place++) this.#submit(records[place]!, delivery, place)
    return delivery.promise
  }

  /**
   * Takes a record without a promise: the cheapest way. False means that it was not taken, since the buffer is full or the topic is
   * not known yet; await {@link ready} and post it again. Failed deliveries go to `onDeliveryError`. Hot path.
   */
  post(record: ProducerRecord): boolean {
    if (this.#transactions !== null) throw outsideTransaction()
    return this.#post(record)
  }

  #post(record: ProducerRecord): boolean {
    this.#assertOpen()
    const prepared = this.#prepare(record)
    return this.#tryAppend(prepared, null, 0)
  }

  /**
   * Gets the producer's identity from the coordinator, which fences every earlier producer with this `transactionalId` and ends what it
   * left open. {@link begin} does it by itself; a consumer whose offsets go with the transactions should wait for it, since what was left
   * open holds up readers until then. Rejects with `ProtocolError`, a fatal
   * `TransactionError` or, after `maxBlockMs`, `TimeoutError`; it may be called again.
   */
  async initTransactions(): Promise<void> {
    this.#assertOpen()
    await this.#withTransactions().init()
  }

  /**
   * Opens a transaction: `await using transaction = await producer.begin()`. One at a time: while the one before ends, this waits. Rejects
   * as {@link initTransactions}, and with `StateError` while one is open.
   */
  async begin(): Promise<Transaction> {
    this.#assertOpen()
    const manager = this.#withTransactions()
    await manager.begin()
    return new Transaction(manager, {
      send: (record) => this.#send(record),
      sendMany: (records) => this.#sendMany(records),
      post: (record) => this.#post(record),
    })
  }

  /** Resolves when the topic is known and the buffer has room. Rejects as {@link send} does. */
  async ready(topic: string): Promise<void> {
    this.#assertOpen()
    await this.#core.metadata.awaitTopic(topic, this.#options.maxBlockMs)
    const sizeBytes = Math.min(this.#options.maxRequestSize, this.#options.bufferMemory)
    await this.#reserve(sizeBytes, this.#options.maxBlockMs)
    this.#memory.release(sizeBytes)
  }

  /** Partition count of a topic, asking the cluster if need be. */
  async partitionCount(topic: string): Promise<number> {
    this.#assertOpen()
    const view = await this.#core.metadata.awaitTopic(topic, this.#options.maxBlockMs)
    return view.partitions.length
  }

  /** Sends what is buffered without waiting for more and resolves when all of it is stored or has failed. Never rejects for those. */
  async flush(): Promise<void> {
    this.#sender.beginFlush()
    try {
      const lines = [...this.#lines.values()].flat()
      await Promise.all(lines.map(({ delivery }) => settled(delivery)))
      const batches = [...this.#accumulator.active].flatMap((buffer) => buffer.batches)
      await Promise.all(batches.map((batch) => batch.whenDone()))
    } finally {
      this.#sender.endFlush()
    }
  }

  /**
   * Flushes for at most `timeoutMs`, then fails what is left and closes the connections. A transaction that is open is aborted, one that
   * is ending is waited for. Later calls give the same promise.
   */
  close(options: { timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.timeoutMs ?? this.#options.deliveryTimeoutMs)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    const limit = new AbortController()
    const done = this.#transactions?.shutDown() ?? this.flush()
    await Promise.race([done, wait(this.#core.ports.timers, timeoutMs, limit.signal)])
    limit.abort()
    this.#sender.close()
    this.#memory.close()
    this.#core.close()
  }

  #submit(record: ProducerRecord, delivery: Delivery, place: number): void {
    try {
      this.#assertOpen()
      const prepared = this.#prepare(record)
      if (this.#tryAppend(prepared, delivery, place)) return
      const deadlineMs = this.#core.ports.clock.monotonicMs() + this.#options.maxBlockMs
      this.#lineUp({ record: prepared, delivery, place, deadlineMs, isOver: false })
    } catch (error) {
      this.#refuse(delivery, place, error)
    }
  }

  /** A record that does not even become part of a batch breaks the transaction all the same: it was meant to be in it. */
  #refuse(delivery: Delivery, place: number, error: unknown): void {
    delivery.onFailed(error, place)
    this.#transactions?.onFailure(error, 'produce')
  }

  #prepare(record: ProducerRecord): PreparedRecord {
    const key = toBuffer(record.key)
    const value = toValue(record.value)
    const headers = toHeaders(record.headers)
    const sizeBytes = recordSizeBound(key, value, headers)
    const { maxRequestSize, bufferMemory } = this.#options
    if (sizeBytes > maxRequestSize) throw new RecordTooLargeError(sizeBytes, maxRequestSize, 'maxRequestSize')
    if (sizeBytes > bufferMemory) throw new RecordTooLargeError(sizeBytes, bufferMemory, 'bufferMemory')
    const { topic, partition = -1, timestamp = -1 } = record
    // Refused here, since a batch would carry it to the records that it shares the batch with, and metadata to all topics.
    if (typeof topic !== 'string' || topic === '')
      throw new ArgumentError('topic', 'a record needs the name of a topic')
    if (!Number.isSafeInteger(timestamp) || timestamp < -1) {
      throw new ArgumentError('timestamp', `must be whole milliseconds since the Unix epoch, not ${timestamp}`)
    }
    return { topic, partition, timestamp, key, value, headers, sizeBytes }
  }

  /** Appends at once if nothing stands in the way. */
  #tryAppend(record: PreparedRecord, delivery: Delivery | null, place: number): boolean {
    if (this.#lines.has(record.topic)) return false
    const topic = this.#core.metadata.view.topics.get(record.topic)
    if (topic === undefined || topic.partitions.length === 0) return false
    if (!this.#memory.tryReserve(record.sizeBytes)) return false
    this.#append(topic, record, delivery, place)
    return true
  }

  #append(topic: TopicView, record: PreparedRecord, delivery: Delivery | null, place: number): void {
    try {
      // It may have waited until after the end: nobody would ever send it.
      if (this.#sender.fatalError !== null) throw this.#sender.fatalError
      this.#transactions?.assertSending()
      this.#accumulator.append(topic, record, delivery, place)
    } catch (error) {
      this.#memory.release(record.sizeBytes)
      throw error
    }
    this.#sender.schedule()
  }

  #lineUp(waiting: WaitingRecord): void {
    const { topic } = waiting.record
    const line = this.#lines.get(topic)
    if (line !== undefined) {
      line.push(waiting)
      return
    }
    const started = [waiting]
    this.#lines.set(topic, started)
    void this.#serve(topic, started)
  }

  /** Moves a line into batches one by one, each as soon as its topic is known and memory is free. Never rejects. */
  async #serve(name: string, line: WaitingRecord[]): Promise<void> {
    const { clock } = this.#core.ports
    this.#core.metadata.addTopic(name)
    let refusal: unknown = null
    let refusedCount = 0
    for (let head = 0; head < line.length; head++) {
      const waiting = line[head]!
      const { record, delivery, place, deadlineMs } = waiting
      if (waiting.isOver) continue
      if (head < refusedCount) {
        waiting.isOver = true
        this.#refuse(delivery, place, refusal)
        continue
      }
      try {
        // Without awaiting where nothing has to be waited for: records of one line then share batches.
        const known = this.#core.metadata.view.topics.get(name)
        if (known !== undefined && known.partitions.length > 0 && this.#memory.tryReserve(record.sizeBytes)) {
          this.#append(known, record, delivery, place)
          waiting.isOver = true
          continue
        }
        const topic = await this.#core.metadata.awaitTopic(name, Math.max(0, deadlineMs - clock.monotonicMs()))
        await this.#reserve(record.sizeBytes, Math.max(0, deadlineMs - clock.monotonicMs()))
        if (waiting.isOver) this.#memory.release(record.sizeBytes)
        else this.#append(topic, record, delivery, place)
        waiting.isOver = true
      } catch (error) {
        if (waiting.isOver) continue
        waiting.isOver = true
        this.#refuse(delivery, place, error)
        if (!(error instanceof ProtocolError)) continue
        // The topic may not be used: that is the answer to all who stood in line when it came, without a request for each.
        refusal = error
        refusedCount = line.length
      }
    }
    this.#core.metadata.removeTopic(name)
    this.#lines.delete(name)
  }

  /** Takes buffer memory, waiting for it if need be; who waits makes batches leave without lingering. */
  #reserve(sizeBytes: number, timeoutMs: number): Promise<void> {
    const reserved = this.#memory.reserve(sizeBytes, timeoutMs)
    if (this.#memory.isExhausted) this.#sender.schedule()
    return reserved
  }

  #dropWaiting(error: unknown): void {
    for (const line of this.#lines.values()) {
      for (const waiting of line) {
        if (waiting.isOver) continue
        waiting.isOver = true
        waiting.delivery.onFailed(error, waiting.place)
      }
    }
  }

  #newTransactions(): TransactionManager | null {
    const { transactionalId, transactionTimeoutMs, maxBlockMs } = this.#options
    if (transactionalId === null) return null
    return new TransactionManager(
      this.#core,
      { transactionalId, transactionTimeoutMs, maxBlockMs },
      {
        flush: () => this.flush(),
        dropWaiting: (error) => this.#dropWaiting(error),
        whenIdle: () => this.#sender.whenIdle(),
        schedule: () => this.#sender.schedule(),
        failAll: (error) => this.#sender.failAll(error),
        onRetry: this.#options.onRetry,
      },
    )
  }

  #withTransactions(): TransactionManager {
    if (this.#transactions === null) throw new StateError('transactions need a transactionalId')
    return this.#transactions
  }

  #assertOpen(): void {
    if (this.#closing !== null) throw new ClientClosedError('producer')
    if (this.#sender.fatalError !== null) throw this.#sender.fatalError
  }
}

function outsideTransaction(): StateError {
  return new StateError('with a transactionalId records are sent in transactions: see begin')
}

/** Resolves when the delivery has its outcome, whatever it is. */
async function settled(delivery: Delivery): Promise<void> {
  const { promise } = delivery as SingleDelivery | ManyDelivery
  await promise.then(
    () => undefined,
    () => undefined,
  )
}
