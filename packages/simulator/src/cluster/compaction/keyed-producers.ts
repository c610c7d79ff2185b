import { Producer } from '@millrace/client'
import type { RandomStream } from '../../world/random-stream.ts'
import type { World } from '../../world/world.ts'
import { CLOSE_LIMIT_MS, type ClientHost, type ClientSeat, REQUEST_TIMEOUT_MS } from '../client-host.ts'
import type { ReplicaGhost } from '../replica-ghost.ts'
import { BATCH_BYTES, type CompactedTopic } from './compacted-topics.ts'
import type { CompactionGhost, SentRecord } from './compaction-ghost.ts'

export interface KeyedProducersOptions {
  readonly host: ClientHost
  readonly random: RandomStream
  readonly topics: readonly CompactedTopic[]
  readonly ghost: CompactionGhost
  readonly replicas: ReadonlyMap<string, ReplicaGhost>
  readonly deliveryTimeoutMs: number
  isOver(): boolean
}

/** Milliseconds between what one producer sends, and between transactions, on average. */
const SEND_EVERY_MS = 200
const TRANSACTION_EVERY_MS = 800
/** Sent at a time, at most. */
const RECORDS_MAX = 4
/** Of keys that are written again and again; each of the others is written once, and deleted perhaps. */
const KEY_COUNT = 6
const SINGLE_SHARE = 0.15
const DELETE_SHARE = 0.2
/** Of records that are about as large as a batch may be. */
const LARGE_SHARE = 0.03
const LARGE_BYTES = BATCH_BYTES - 500
const COMMIT_SHARE = 0.7

/** What a transaction may end in, beside what any call may. */
const TRANSACTION_CODES: ReadonlySet<string> = new Set([
  // It took longer than it may, and was aborted.
  'INVALID_PRODUCER_EPOCH',
  'INVALID_TXN_STATE',
  'PRODUCER_FENCED',
  'TRANSACTION_ABORTABLE',
  'TRANSACTION_ABORTED',
  'TRANSACTION_FATAL',
  'ILLEGAL_STATE',
])

/** Producers of keyed records, one of them in transactions. */
export class KeyedProducers {
  readonly #options: KeyedProducersOptions
  readonly #world: World
  readonly #random: RandomStream
  /** Keys that were written once, by topic. */
  readonly #singles = new Map<string, string[]>()

  constructor(options: KeyedProducersOptions) {
    this.#options = options
    this.#world = options.host.world
    this.#random = options.random
  }

  start(): void {
    const { host } = this.#options
    for (const number of [0, 1]) this.#startPlain(number)
    host.own(this.#transact(2))
  }

  #startPlain(number: number): void {
    const { host, isOver } = this.#options
    const seat = host.seat(`keyed-producer-${number}`)
    const producer = new Producer({ ...this.#producerOptions(seat), acks: 'all' })
    let sentCount = 0
    const next = (): void => {
      if (isOver()) return
      const topic = this.#random.pick(this.#options.topics)
      // They share a batch.
      for (let count = this.#random.integer(1, RECORDS_MAX + 1); count > 0; count--) {
        host.own(this.#send(producer, this.#draw(topic.name, `${number}-${sentCount++}`)))
      }
      seat.loop.after(this.#random.exponential(SEND_EVERY_MS), 'send', next)
    }
    seat.loop.after(this.#random.real(0, SEND_EVERY_MS), 'send', next)
  }

  async #send(producer: Producer, record: SentRecord): Promise<void> {
    const { host, ghost } = this.#options
    ghost.onSend(record)
    const isDone = await host.call('keyed send', async () => {
      const stored = await producer.send(toProduce(record))
      this.#onAcked(record, Number(stored.offset))
      ghost.onStored(record.id, Number(stored.offset))
    })
    if (!isDone) ghost.onUnknown(record.id)
  }

  #onAcked({ topic }: SentRecord, offset: number): void {
    const replicas = this.#options.replicas.get(topic)!
    replicas.observeInClient()
    if (offset >= 0) replicas.onAcked(0, offset)
  }

  /** One producer after the other: the next one ends what the one before could not. */
  async #transact(number: number): Promise<void> {
    const { host, isOver } = this.#options
    for (let life = 0, sentCount = 0; !isOver(); life++) {
      const seat = host.seat(`keyed-transactions-${life}`)
      const producer = new Producer({
        ...this.#producerOptions(seat),
        transactionalId: 'keyed',
        transactionTimeoutMs: 8_000,
        maxBlockMs: 12_000,
      })
      for (let isWell = true; isWell && !isOver(); ) {
        await host.pass(seat.loop, this.#random.exponential(TRANSACTION_EVERY_MS), 'transaction')
        const topic = this.#random.pick(this.#options.topics)
        const records = Array.from({ length: this.#random.integer(1, RECORDS_MAX + 1) }, () =>
          this.#draw(topic.name, `${number}-${sentCount++}`),
        )
        isWell = await this.#transaction(producer, records)
      }
      await host.call(
        'close of a keyed producer',
        () => producer.close({ timeoutMs: CLOSE_LIMIT_MS }),
        TRANSACTION_CODES,
      )
    }
  }

  /** False: the producer is of no use any more. */
  async #transaction(producer: Producer, records: readonly SentRecord[]): Promise<boolean> {
    const { host, ghost } = this.#options
    const isCommitted = this.#random.chance(COMMIT_SHARE)
    const offsets: number[] = []
    for (const record of records) ghost.onSend(record)
    const isDone = await host.call(
      'keyed transaction',
      async () => {
        const transaction = await producer.begin()
        const stored = await Promise.all(records.map((record) => transaction.send(toProduce(record))))
        for (const [slot, { offset }] of stored.entries()) {
          this.#onAcked(records[slot]!, Number(offset))
          ghost.onPlaced(records[slot]!.id, Number(offset))
          offsets.push(Number(offset))
        }
        await (isCommitted ? transaction.commit() : transaction.abort())
      },
      TRANSACTION_CODES,
    )
    for (const [slot, { id }] of records.entries()) {
      if (!isDone) ghost.onUnknown(id)
      else if (isCommitted) ghost.onStored(id, offsets[slot]!)
      else ghost.onAborted(id)
    }
    return isDone
  }

  #producerOptions({ options }: ClientSeat) {
    const { deliveryTimeoutMs } = this.#options
    const requestTimeoutMs = Math.min(REQUEST_TIMEOUT_MS, deliveryTimeoutMs / 2)
    return { ...options, deliveryTimeoutMs, requestTimeoutMs, batchSize: BATCH_BYTES }
  }

  #draw(topic: string, id: string): SentRecord {
    const deletes = this.#random.chance(DELETE_SHARE)
    const key = this.#drawKey(topic, id, deletes)
    if (deletes) return { topic, id, key, value: null }
    const sizeBytes = this.#random.chance(LARGE_SHARE) ? LARGE_BYTES : this.#random.integer(20, 200)
    return { topic, id, key, value: `${id} at ${Math.floor(this.#world.nowMs)} `.padEnd(sizeBytes, '.') }
  }

  #drawKey(topic: string, id: string, deletes: boolean): string {
    if (!this.#random.chance(SINGLE_SHARE)) return `key ${this.#random.integer(0, KEY_COUNT)}`
    let singles = this.#singles.get(topic)
    if (singles === undefined) {
      singles = []
      this.#singles.set(topic, singles)
    }
    if (deletes && singles.length > 0) return singles.splice(this.#random.integer(0, singles.length), 1)[0]!
    const key = `single ${id}`
    singles.push(key)
    return key
  }
}

function toProduce({ topic, id, key, value }: SentRecord) {
  return { topic, partition: 0, key, value, headers: { id } }
}
