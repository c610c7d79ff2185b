import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import {
  createAddOffsetsToTxnRequest,
  createAddPartitionsToTxnRequest,
  createAddPartitionsToTxnTopic,
  createAddPartitionsToTxnTransaction,
  createEndTxnRequest,
  createInitProducerIdRequest,
  type InitProducerIdRequest,
} from '@millrace/protocol'
import type { Marker } from '../transaction/marker.ts'
import type { TransactionCoordinatorConfig } from '../transaction/transaction-config.ts'
import { TransactionCoordinator } from '../transaction/transaction-coordinator.ts'
import type { ProducerIdentity } from '../transaction/transaction-protocol.ts'
import type { TransactionState } from '../transaction/transaction-state.ts'
import { BROKER_ID, contextOf } from './coordinator-fixture.ts'
import { FakeCoordinatorLog } from './fake-coordinator-log.ts'
import { ManualTurn } from './manual-turn.ts'
import { RecordingLogger } from './recording-logger.ts'
import { SIMULATED_TOPIC } from './simulated-transactional-producer.ts'
import { TRANSACTION_CONFIG, transactionImage } from './transaction-simulation.ts'

/** What a client is told that it is to be called. */
export interface TestIdentity extends ProducerIdentity {
  readonly errorCode: number
}

export interface TestMarker extends Marker {
  readonly partition: number
  resolve(errorCode: number): void
}

/** A transaction coordinator on simulated ports, with the log of its one partition, whose high watermark follows unless `holdsCommits`. */
export class TransactionFixture {
  readonly clock = new SimulatedClock(1_700_000_000_000)
  readonly timers = new SimulatedTimers(this.clock)
  readonly logger = new RecordingLogger()
  readonly faults: unknown[] = []
  readonly turn = new ManualTurn()
  log = new FakeCoordinatorLog()
  holdsCommits = false
  /** Markers on their way. */
  markers: TestMarker[] = []
  nextProducerId = 1_000
  coordinatorEpoch = 0
  coordinator: TransactionCoordinator
  readonly #config: TransactionCoordinatorConfig
  readonly #version: number

  constructor(config: Partial<TransactionCoordinatorConfig> = {}, version = 2) {
    this.#config = { ...TRANSACTION_CONFIG, ...config }
    this.#version = version
    this.coordinator = this.#create()
  }

  static async start(config: Partial<TransactionCoordinatorConfig> = {}, version = 2): Promise<TransactionFixture> {
    const fixture = new TransactionFixture(config, version)
    await fixture.elect()
    return fixture
  }

  #create(): TransactionCoordinator {
    const image = transactionImage(this.#version)
    return new TransactionCoordinator({
      nodeId: BROKER_ID,
      config: this.#config,
      clock: this.clock,
      timers: this.timers,
      logger: this.logger,
      metadata: () => image,
      enqueueEndOfTurn: this.turn.enqueue,
      nextTurn: () => Promise.resolve(),
      producerIds: { next: () => Promise.resolve({ producerId: this.nextProducerId++ }) },
      groupPartitionFor: () => 3,
      writeMarker: (marker, _topic, partition) =>
        new Promise((resolve) => this.markers.push({ ...marker, partition, resolve })),
      sendMarkers: () => Promise.reject(new Error('there is no other broker')),
      onFault: (error) => this.faults.push(error),
    })
  }

  elect(): Promise<void> {
    this.coordinator.startup()
    return this.coordinator.onElection(0, this.log, this.coordinatorEpoch)
  }

  /** Another process on what was committed. */
  async restart(): Promise<void> {
    this.coordinator.shutdown()
    this.log = this.log.crash()
    this.coordinatorEpoch++
    this.markers = []
    this.coordinator = this.#create()
    await this.elect()
    await this.settle()
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    for (let round = 0; round < 4; round++) {
      await new Promise((resolve) => setImmediate(resolve))
      this.turn.end()
      if (!this.holdsCommits) this.log.commit()
    }
    if (this.faults.length > 0) throw this.faults[0]
  }

  async advance(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 500) {
      this.timers.advance(Math.min(left, 500))
      await this.settle()
    }
  }

  async #answered<Response>(response: Promise<Response>): Promise<Response> {
    await this.settle()
    return response
  }

  async init(transactionalId: string, request: Partial<InitProducerIdRequest> = {}): Promise<TestIdentity> {
    const whole = createInitProducerIdRequest({ transactionalId, transactionTimeoutMs: 60_000, ...request })
    const answer = await this.#answered(this.coordinator.initProducerId(whole, contextOf(22, 5)))
    return { errorCode: answer.errorCode, producerId: Number(answer.producerId), producerEpoch: answer.producerEpoch }
  }

  /** AddPartitionsToTxn of an old client. */
  async enlist(transactionalId: string, { producerId, producerEpoch }: ProducerIdentity, number = 0): Promise<number> {
    const request = createAddPartitionsToTxnRequest({
      v3AndBelowTransactionalId: transactionalId,
      v3AndBelowProducerId: producerId,
      v3AndBelowProducerEpoch: producerEpoch,
      v3AndBelowTopics: [createAddPartitionsToTxnTopic({ name: SIMULATED_TOPIC, partitions: [number] })],
    })
    const answer = await this.#answered(this.coordinator.addPartitions(request, contextOf(24, 3)))
    return answer.resultsByTopicV3AndBelow[0]!.resultsByPartition[0]!.partitionErrorCode
  }

  /** What the leader of a partition asks. */
  async ask(
    transactionalId: string,
    { producerId, producerEpoch }: ProducerIdentity,
    verifyOnly: boolean,
    topic = SIMULATED_TOPIC,
    number = 0,
  ): Promise<number> {
    const transaction = createAddPartitionsToTxnTransaction({
      ...{ transactionalId, producerId, producerEpoch, verifyOnly },
      topics: [createAddPartitionsToTxnTopic({ name: topic, partitions: [number] })],
    })
    const [answer] = await this.#answered(this.coordinator.answerBrokers([transaction]))
    return answer!.topicResults[0]!.resultsByPartition[0]!.partitionErrorCode
  }

  async addOffsets(transactionalId: string, { producerId, producerEpoch }: ProducerIdentity): Promise<number> {
    const request = createAddOffsetsToTxnRequest({ transactionalId, producerId, producerEpoch, groupId: 'group' })
    return (await this.#answered(this.coordinator.addOffsets(request, contextOf(25, 4)))).errorCode
  }

  /** EndTxn of a client by KIP-890, or of an old one. */
  async end(
    transactionalId: string,
    { producerId, producerEpoch }: ProducerIdentity,
    committed: boolean,
    isOld = false,
  ): Promise<TestIdentity> {
    const request = createEndTxnRequest({ transactionalId, producerId, producerEpoch, committed })
    const answer = await this.#answered(this.coordinator.endTxn(request, contextOf(26, isOld ? 4 : 5)))
    return { errorCode: answer.errorCode, producerId: Number(answer.producerId), producerEpoch: answer.producerEpoch }
  }

  /** Answers all markers that are on their way. */
  async answerMarkers(errorCode = 0): Promise<void> {
    for (const { resolve } of this.markers.splice(0)) resolve(errorCode)
    await this.settle()
  }

  /** As it is committed. */
  state(transactionalId: string): TransactionState | null {
    const outcome = this.coordinator.committed(transactionalId)
    if (outcome.response === null) throw new Error(`error ${outcome.errorCode}`)
    return outcome.response.state ?? null
  }
}
