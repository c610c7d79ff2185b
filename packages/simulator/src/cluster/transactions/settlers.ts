import { Consumer, type ConsumerBatch, type TopicPartition } from '@millrace/client'
import { CLOSE_LIMIT_MS } from '../client-host.ts'
import { ClientProcess } from './client-process.ts'
import { ExactlyOnceGhost } from './exactly-once-ghost.ts'
import { PARTITION_COUNT, SETTLEMENTS, SETTLERS, TRANSFERS, textOf } from './places.ts'
import type { TransactionCast } from './transaction-cast.ts'
import { TransactionDriver } from './transaction-driver.ts'
import type { Reading } from './transaction-ghost.ts'
import { type Shift, workByTurns } from './turns.ts'

const SHIFT_MS = 8_000
/** At most so many records are settled in one transaction. */
const RECORDS_MAX = 12
/** Work takes time, in which the group may go on without the one who does it. */
const WORK_MS = 40
const LONG_WORKS = 0.05
const LONG_WORK_MS = 3_000
const ABORTS = 0.1
const TIMEOUT_MS = 6_000
const SESSION_MS = 6_000

/** Reads transfers that are committed, and writes for each one settlement, with the place up to which it has read as part of the same transaction. */
export function settle(cast: TransactionCast, number: number): Promise<void> {
  const { host, random, isOver } = cast
  return workByTurns({
    ...{ host, random, isOver },
    name: `settler-${number}-watcher`,
    shiftMs: SHIFT_MS,
    start: (turn) => startSettler(cast, `settler-${number}`, `settler-${number}-${turn}`),
  })
}

/** One of them, until it is asked to leave. */
export function startSettler(cast: TransactionCast, transactionalId: string, name: string): Shift {
  const process = new ClientProcess(cast.host, name)
  return { process, over: process.own(new Settler(cast, transactionalId, process).work()) }
}

class Settler {
  readonly #cast: TransactionCast
  readonly #process: ClientProcess
  readonly #driver: TransactionDriver
  readonly #consumer: Consumer
  /** What it reads of each partition, since it got it or went back. */
  readonly #readings = new Map<number, Reading>()

  constructor(cast: TransactionCast, transactionalId: string, process: ClientProcess) {
    this.#cast = cast
    this.#process = process
    this.#driver = new TransactionDriver({
      ...{ process, transactionalId },
      world: cast.world,
      ghost: cast.transactions,
      transactionTimeoutMs: TIMEOUT_MS,
      deliveryTimeoutMs: cast.options.deliveryTimeoutMs,
      leaders: cast.leaders,
    })
    this.#consumer = new Consumer({
      ...process.options,
      groupId: SETTLERS,
      enableAutoCommit: false,
      isolationLevel: 'read_committed',
      autoOffsetReset: 'earliest',
      sessionTimeoutMs: SESSION_MS,
      heartbeatIntervalMs: 1_000,
      maxPollRecords: RECORDS_MAX,
    })
  }

  async work(): Promise<void> {
    const process = this.#process
    // Offsets that its forerunner left open hold up whoever gets their partitions.
    if (await this.#driver.init()) await this.#settleAgainAndAgain()
    else process.end()
  }

  async #settleAgainAndAgain(): Promise<void> {
    const process = this.#process
    // Where others had a partition for a while, what lies between is not this one's.
    const forget = (places: readonly TopicPartition[]): void => {
      for (const { partition } of places) this.#readings.delete(partition)
    }
    this.#consumer.subscribe(TRANSFERS, {
      onPartitionsAssigned: forget,
      onPartitionsRevoked: forget,
      onPartitionsLost: forget,
    })
    while (!process.isLeaving) {
      const batches = await this.#poll()
      if (batches.length === 0) continue
      const outcome = await this.#settle(batches)
      this.#cast.world.mark(`settlement ${outcome}`)
      // What was read and not settled is read again, by this one or, if it cannot find where, by the next.
      const goesOn = !this.#driver.isOver && (outcome === 'committed' || (await this.#goBack()))
      if (goesOn) continue
      process.end()
      return
    }
    await process.call('close', () => this.#consumer.close({ timeoutMs: CLOSE_LIMIT_MS }))
    await this.#driver.close()
  }

  async #poll(): Promise<ConsumerBatch[]> {
    let batches: ConsumerBatch[] = []
    await this.#process.call('poll of a settler', async () => {
      batches = await this.#consumer.poll({ timeoutMs: 500 })
    })
    const { transactions } = this.#cast
    for (const { partition, records, nextOffset } of batches) {
      const reading =
        this.#readings.get(partition) ??
        transactions.openReading(TRANSFERS, partition, Number(records[0]!.offset), true)
      this.#readings.set(partition, reading)
      for (const record of records) transactions.onRead(reading, Number(record.offset), textOf(record))
      reading.nextOffset = Number(nextOffset)
    }
    return batches
  }

  #settle(batches: readonly ConsumerBatch[]): Promise<'committed' | 'aborted' | 'unknown'> {
    const { random, exactlyOnce, isOver } = this.#cast
    return this.#driver.transact(async (open) => {
      for (const { partition, records } of batches) {
        for (const { offset } of records) {
          open.send(SETTLEMENTS, random.integer(0, PARTITION_COUNT), ExactlyOnceGhost.noteOf(partition, Number(offset)))
        }
      }
      // In the end what is left is to be done soon.
      const workMs = !isOver() && random.chance(LONG_WORKS) ? LONG_WORK_MS : WORK_MS
      await this.#process.pass(random.exponential(workMs), 'work')
      const ends = new Map(batches.map(({ partition, nextOffset }) => [partition, Number(nextOffset)]))
      exactlyOnce.onSendOffsets(open.ghost, ends)
      const offsets = Array.from(ends, ([partition, offset]) => ({ topic: TRANSFERS, partition, offset }))
      const isSent = await open.sendOffsets(offsets, this.#consumer.groupMetadata())
      return isSent && !random.chance(ABORTS) ? 'commit' : 'abort'
    })
  }

  /**
   * To what is committed. False: nobody says where that is, or it may be a coordinator that was replaced and does not know it who does. What
   * that one says is old, and what is settled from there on would count twice: Kafka's clients have no means against that either.
   */
  async #goBack(): Promise<boolean> {
    this.#readings.clear()
    const consumer = this.#consumer
    const { leaders, world } = this.#cast
    let isOld = leaders.hasReplaced('__consumer_offsets')
    const isDone = await this.#process.call('way back of a settler', async () => {
      const places = consumer.assignment()
      const committed = await consumer.committed(places)
      for (const place of places) {
        const known = committed.find(({ partition }) => partition === place.partition)
        consumer.seek(place, known?.offset ?? 0)
      }
    })
    isOld ||= leaders.hasReplaced('__consumer_offsets')
    if (isOld) world.mark('way back by a coordinator that may be replaced')
    return isDone && !isOld
  }
}
