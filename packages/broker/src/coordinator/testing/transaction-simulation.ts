import { type Random, SeededRandom, SimulatedClock, SimulatedTimers } from '@millrace/base'
import { applyRecords, type MetadataImage } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import { TRANSACTION_STATE_TOPIC } from '../../metadata/internal-topics.ts'
import type { Marker } from '../transaction/marker.ts'
import type { TransactionCoordinatorConfig } from '../transaction/transaction-config.ts'
import { TransactionCoordinator } from '../transaction/transaction-coordinator.ts'
import { BROKER_ID, imageOf } from './coordinator-fixture.ts'
import { FakeCoordinatorLog } from './fake-coordinator-log.ts'
import { ManualTurn } from './manual-turn.ts'
import { RecordingLogger } from './recording-logger.ts'
import { SimulatedDataPartition } from './simulated-data-partition.ts'
import {
  SIMULATED_TOPIC,
  SimulatedTransactionalProducer,
  type TransactionWorld,
} from './simulated-transactional-producer.ts'
import { TransactionChecker } from './transaction-checker.ts'

const PARTITION_COUNT = 3
const TRANSACTIONAL_IDS = ['a', 'b', 'c']

export const TRANSACTION_CONFIG: TransactionCoordinatorConfig = {
  transactionStateLogNumPartitions: 1,
  transactionMaxTimeoutMs: 900_000,
  transactionalIdExpirationMs: 604_800_000,
  transactionAbortTimedOutTransactionCleanupIntervalMs: 1_000,
  transactionRemoveExpiredTransactionCleanupIntervalMs: 1e9,
  transactionTwoPhaseCommitEnable: false,
  transactionCoordinatorMaxIds: 1_000,
  transactionCoordinatorMaxBytes: 1e9,
  addPartitionsToTxnRetryBackoffMs: 20,
  requestTimeoutMs: 2_000,
  messageMaxBytes: 1_000_000,
}

const APPEND_ERRORS = [
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.KAFKA_STORAGE_ERROR,
  ErrorCode.MESSAGE_TOO_LARGE,
]
const MARKER_ERRORS = [
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.REQUEST_TIMED_OUT,
]

interface MarkerInFlight {
  readonly marker: Marker
  readonly partition: number
  resolve(errorCode: number): void
}

/** An image with the topic of states, of one partition, and records for `transaction.version`. */
export function transactionImage(version: number): MetadataImage {
  const image = imageOf([TRANSACTION_STATE_TOPIC], 1)
  const data = imageOf([SIMULATED_TOPIC], PARTITION_COUNT)
  const topics = new Map([...image.topics, ...data.topics])
  const level = { type: 'FeatureLevelRecord', name: 'transaction.version', featureLevel: version } as const
  return { ...applyRecords(image, [level]).image, topics: topics as unknown as MetadataImage['topics'] }
}

/**
 * Producers, their coordinator with its log, and the partitions that they write to, in one seeded world. Faults: appends to the log that
 * fail, a high watermark that lags, markers that are late, refused, or written and not answered; a coordinator that dies and comes back on
 * what was committed, or is replaced by one that has all of its log and does not hear of it; producers that are replaced and do not hear
 * of it either; answers that are lost, requests that come again, time that runs out.
 */
export class TransactionSimulation implements TransactionWorld {
  readonly checker = new TransactionChecker()
  readonly partitions = Array.from({ length: PARTITION_COUNT }, () => new SimulatedDataPartition())
  readonly faults: unknown[] = []
  readonly #clock = new SimulatedClock(1_700_000_000_000)
  readonly #timers = new SimulatedTimers(this.#clock)
  readonly #random: Random
  readonly #image: MetadataImage
  readonly #hasNewClients: boolean
  #turn = new ManualTurn()
  #log = new FakeCoordinatorLog()
  #coordinatorEpoch = 0
  #current: TransactionCoordinator
  /** Coordinators that do not know that they are none any more. */
  #zombies: { coordinator: TransactionCoordinator; turn: ManualTurn }[] = []
  #producers: SimulatedTransactionalProducer[] = []
  #markers: MarkerInFlight[] = []
  #paused: (() => void)[] = []
  #nextProducerId = 1_000

  constructor(seed: number, version: number) {
    this.#random = new SeededRandom(seed)
    this.#image = transactionImage(version)
    // Clients go by KIP-890 only where the cluster says that it does.
    this.#hasNewClients = version >= 2
    this.#current = this.#createCoordinator(this.#turn)
  }

  chance(percent: number): boolean {
    return this.pick(100) < percent
  }

  pick(count: number): number {
    return this.#random.uint32() % count
  }

  coordinator(): TransactionCoordinator {
    const zombie = this.#zombies.at(-1)
    return zombie !== undefined && this.chance(10) ? zombie.coordinator : this.#current
  }

  pause(): Promise<void> {
    return new Promise((resolve) => this.#paused.push(resolve))
  }

  async run(stepCount: number): Promise<void> {
    await this.#elect()
    for (const transactionalId of TRANSACTIONAL_IDS) this.#addProducer(transactionalId)
    for (let step = 0; step < stepCount; step++) {
      await this.#step()
      await settleMicrotasks()
      if (this.faults.length > 0) throw this.faults[0]
    }
    await this.#converge()
  }

  async #step(): Promise<void> {
    const die = this.pick(200)
    if (die < 90) this.#producers[this.pick(this.#producers.length)]?.act()
    else if (die < 120) this.#endTurns()
    else if (die < 140) this.#log.commit()
    else if (die < 146) this.#log.commit(this.#log.highWatermark + this.pick(4))
    else if (die < 170) this.#deliverMarker()
    else if (die < 182) this.#paused.splice(this.pick(this.#paused.length || 1), 1)[0]?.()
    else if (die < 187) this.#timers.advance(this.pick(die < 186 ? 500 : 4_000))
    else if (die < 189) this.#log.appendError = APPEND_ERRORS[this.pick(APPEND_ERRORS.length)]!
    else if (die < 196) this.#log.appendError = 0
    else if (die < 198) this.#addProducer(TRANSACTIONAL_IDS[this.pick(TRANSACTIONAL_IDS.length)]!)
    else await this.#failOver(this.chance(50))
  }

  /** One more with the same id: whoever had it is a zombie from now on, and may go on for a while. */
  #addProducer(transactionalId: string): void {
    const isOld = !this.#hasNewClients || this.chance(50)
    const producer = new SimulatedTransactionalProducer(transactionalId, isOld, this)
    const others = this.#producers.filter((other) => !other.isFenced)
    this.#producers = [...others.slice(-5), producer]
  }

  #deliverMarker(): void {
    const [inFlight] = this.#markers.splice(this.pick(this.#markers.length || 1), 1)
    if (inFlight === undefined) return
    const { marker, partition, resolve } = inFlight
    const error = MARKER_ERRORS[this.pick(MARKER_ERRORS.length)]!
    const die = this.pick(10)
    // Lost, or taken and not answered for, or both well.
    if (die < 2) resolve(error)
    else if (die < 4) resolve(this.partitions[partition]!.writeMarker(marker) || ErrorCode.REQUEST_TIMED_OUT)
    else resolve(this.partitions[partition]!.writeMarker(marker))
  }

  #endTurns(): void {
    this.#turn.end()
    for (const { turn } of this.#zombies) turn.end()
  }

  /** Dies with what is not committed lost, or is replaced by a node that has all of it, and does not hear of that. */
  async #failOver(isCrash: boolean): Promise<void> {
    const old = this.#log
    if (isCrash) {
      this.#current.shutdown()
      this.#log = old.crash()
    } else {
      this.#zombies.push({ coordinator: this.#current, turn: this.#turn })
      if (this.#zombies.length > 2) this.#zombies.shift()!.coordinator.shutdown()
      this.#log = new FakeCoordinatorLog()
      this.#log.batches = [...old.batches]
      this.#log.highWatermark = old.highWatermark
      old.appendError = ErrorCode.NOT_LEADER_OR_FOLLOWER
    }
    this.#coordinatorEpoch++
    this.#turn = new ManualTurn()
    this.#current = this.#createCoordinator(this.#turn)
    await this.#elect()
  }

  async #elect(): Promise<void> {
    this.#log.appendError = 0
    this.#current.startup()
    await this.#current.onElection(0, this.#log, this.#coordinatorEpoch)
  }

  #createCoordinator(turn: ManualTurn): TransactionCoordinator {
    return new TransactionCoordinator({
      nodeId: BROKER_ID,
      config: TRANSACTION_CONFIG,
      clock: this.#clock,
      timers: this.#timers,
      logger: new RecordingLogger(),
      metadata: () => this.#image,
      enqueueEndOfTurn: turn.enqueue,
      nextTurn: () => Promise.resolve(),
      producerIds: { next: () => Promise.resolve({ producerId: this.#nextProducerId++ }) },
      groupPartitionFor: () => 0,
      writeMarker: (marker, _topic, partition) =>
        new Promise((resolve) => this.#markers.push({ marker, partition, resolve })),
      sendMarkers: () => Promise.reject(new Error('there is no other broker')),
      onFault: (error) => this.faults.push(error),
    })
  }

  /** Faults stop. Then every transaction must end, in time and everywhere, and each id be usable (T6, L3). */
  async #converge(): Promise<void> {
    this.#log.appendError = 0
    for (const { coordinator } of this.#zombies) coordinator.shutdown()
    this.#zombies = []
    for (let elapsedMs = 0; elapsedMs < 60_000; elapsedMs += 500) {
      for (const producer of this.#producers) producer.act(true)
      for (let round = 0; round < 3; round++) {
        this.#turn.end()
        this.#log.commit()
        for (const { marker, partition, resolve } of this.#markers.splice(0)) {
          resolve(this.partitions[partition]!.writeMarker(marker))
        }
        for (const resume of this.#paused.splice(0)) resume()
        await settleMicrotasks()
      }
      this.#timers.advance(500)
    }
    if (this.faults.length > 0) throw this.faults[0]
    for (const producer of this.#producers) if (producer.isBusy) throw new Error('a request was never answered')
    for (const [number, partition] of this.partitions.entries()) {
      if (partition.hasOpenTransaction) throw new Error(`a transaction hangs in partition ${number}`)
    }
    this.checker.checkAtEnd(this.partitions)
    const { prepared, ongoing } = this.#pending()
    if (prepared + ongoing > 0) throw new Error(`${ongoing} transactions are open, ${prepared} not completed`)
    this.#current.shutdown()
    await settleMicrotasks()
    if (this.#timers.pendingCount > 0) throw new Error('a coordinator that was shut down left timers behind')
  }

  #pending(): { ongoing: number; prepared: number } {
    const [, ongoing, preparedToCommit, preparedToAbort] = this.#current.countByStatus
    return { ongoing: ongoing!, prepared: preparedToCommit! + preparedToAbort! }
  }
}

/** Lets every promise that can settle do so. */
function settleMicrotasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
