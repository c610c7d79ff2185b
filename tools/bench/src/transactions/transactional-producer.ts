import { setTimeout as delay } from 'node:timers/promises'
import {
  addPartitionsToTxnApi,
  BatchBuilder,
  createAddPartitionsToTxnRequest,
  createAddPartitionsToTxnTopic,
  createEndTxnRequest,
  createInitProducerIdRequest,
  createPartitionProduceData,
  createProduceRequest,
  createTopicProduceData,
  ErrorCode,
  endTxnApi,
  errorInfo,
  initProducerIdApi,
  produceApi,
  setProducer,
} from '@millrace/protocol'
import { ProtocolWire, requestFrame } from '../protocol-wire.ts'

/**
 * How clients speak of transactions. `newer`, by KIP-890: the leader of a partition adds it to the transaction. `older`: the client asks the
 * coordinator to, before it sends its first records.
 */
export type Generation = 'newer' | 'older'

const VERSIONS = {
  newer: { initProducerId: 5, produce: 12, endTxn: 5 },
  older: { initProducerId: 4, produce: 11, endTxn: 4 },
} as const
const ADD_PARTITIONS_VERSION = 3

/** As Kafka's client waits before it asks again: `retry.backoff.ms`, but less where the transaction before is just being ended. */
const RETRY_MS = 100
const ADD_PARTITIONS_RETRY_MS = 20

/** What one producer sends, over and over. */
export interface TransactionShape {
  readonly topic: string
  readonly partition: number
  readonly recordCount: number
  readonly valueBytes: number
  readonly generation: Generation
}

/** One transaction, once it was acknowledged. On the clock of `performance.now()`. */
export interface Committed {
  /** When the first request was sent, and the one with the records. */
  readonly beginMs: number
  readonly produceMs: number
  readonly endMs: number
}

/** A producer whose transactions have a batch each, which is encoded once. One request at a time, as far as transactions allow no other. */
export class TransactionalProducer {
  readonly #wire: ProtocolWire
  readonly #transactionalId: string
  readonly #shape: TransactionShape
  readonly #onStored: (lastOffset: number, produceMs: number) => void
  readonly #produceFrame: Buffer
  readonly #batchPosition: number
  #producerId: number | bigint = -1
  #producerEpoch = -1
  #sequence = 0
  /** How often it was told to come back, since the transaction before was not over. */
  busyCount = 0

  /** `onStored`: records are acknowledged, up to this offset, and not committed. */
  constructor(
    port: number,
    transactionalId: string,
    shape: TransactionShape,
    onStored: (lastOffset: number, produceMs: number) => void,
  ) {
    this.#wire = new ProtocolWire(port)
    this.#transactionalId = transactionalId
    this.#shape = shape
    this.#onStored = onStored
    const batch = batchOf(shape)
    this.#produceFrame = produceFrameOf(transactionalId, shape, batch)
    this.#batchPosition = this.#produceFrame.indexOf(batch)
  }

  async init(): Promise<void> {
    const request = createInitProducerIdRequest({
      transactionalId: this.#transactionalId,
      transactionTimeoutMs: 60_000,
    })
    for (;;) {
      const version = VERSIONS[this.#shape.generation].initProducerId
      const response = await this.#wire.call(initProducerIdApi, version, request)
      const { name, retriable } = errorInfo(response.errorCode)
      if (retriable) {
        // Of a new broker, which has no ids to give away yet.
        await delay(RETRY_MS)
        continue
      }
      if (response.errorCode !== ErrorCode.NONE) throw new Error(`InitProducerId: ${name}`)
      this.#producerId = response.producerId
      this.#producerEpoch = response.producerEpoch
      return
    }
  }

  async transact(): Promise<Committed> {
    const beginMs = performance.now()
    if (this.#shape.generation === 'older') await this.#addPartition()
    const produceMs = performance.now()
    await this.#produce(produceMs)
    await this.#commit()
    return { beginMs, produceMs, endMs: performance.now() }
  }

  close(): void {
    this.#wire.close()
  }

  async #addPartition(): Promise<void> {
    const { topic, partition } = this.#shape
    const request = createAddPartitionsToTxnRequest({
      v3AndBelowTransactionalId: this.#transactionalId,
      v3AndBelowProducerId: this.#producerId,
      v3AndBelowProducerEpoch: this.#producerEpoch,
      v3AndBelowTopics: [createAddPartitionsToTxnTopic({ name: topic, partitions: [partition] })],
    })
    for (;;) {
      const response = await this.#wire.call(addPartitionsToTxnApi, ADD_PARTITIONS_VERSION, request)
      const { partitionErrorCode } = response.resultsByTopicV3AndBelow[0]!.resultsByPartition[0]!
      if (!(await this.#isBusy('AddPartitionsToTxn', partitionErrorCode, ADD_PARTITIONS_RETRY_MS))) return
    }
  }

  async #produce(produceMs: number): Promise<void> {
    const { generation, recordCount } = this.#shape
    setProducer(this.#produceFrame, this.#batchPosition, this.#producerId, this.#producerEpoch, this.#sequence)
    for (;;) {
      const response = await this.#wire.ask(produceApi, VERSIONS[generation].produce, this.#produceFrame)
      const { errorCode, baseOffset } = response.responses[0]!.partitionResponses[0]!
      if (await this.#isBusy('Produce', errorCode, RETRY_MS)) continue
      this.#sequence += recordCount
      this.#onStored(Number(baseOffset) + recordCount - 1, produceMs)
      return
    }
  }

  async #commit(): Promise<void> {
    const request = createEndTxnRequest({
      ...{ transactionalId: this.#transactionalId, producerId: this.#producerId, producerEpoch: this.#producerEpoch },
      committed: true,
    })
    for (;;) {
      const response = await this.#wire.call(endTxnApi, VERSIONS[this.#shape.generation].endTxn, request)
      if (await this.#isBusy('EndTxn', response.errorCode, RETRY_MS)) continue
      if (this.#shape.generation === 'older') return
      // Each transaction has an epoch of its own, and sequences begin anew with it.
      this.#producerId = response.producerId
      this.#producerEpoch = response.producerEpoch
      this.#sequence = 0
      return
    }
  }

  /** True, a while later: the same is to be asked again. Throws for what must not come. */
  async #isBusy(api: string, errorCode: number, retryMs: number): Promise<boolean> {
    if (errorCode === ErrorCode.NONE) return false
    if (errorCode !== ErrorCode.CONCURRENT_TRANSACTIONS && errorCode !== ErrorCode.NOT_ENOUGH_REPLICAS) {
      throw new Error(`${api}: ${errorInfo(errorCode).name}`)
    }
    this.busyCount++
    await delay(retryMs)
    return true
  }
}

function batchOf({ recordCount, valueBytes }: TransactionShape): Buffer {
  const builder = new BatchBuilder({ producerId: 0, producerEpoch: 0, baseSequence: 0, transactional: true })
  const value = Buffer.alloc(valueBytes, 'x')
  const nowMs = Date.now()
  for (let count = 0; count < recordCount; count++) builder.append(nowMs, null, value)
  return builder.build()
}

function produceFrameOf(transactionalId: string, shape: TransactionShape, records: Buffer): Buffer {
  const { topic, partition, generation } = shape
  const partitionData = [createPartitionProduceData({ index: partition, records })]
  const topicData = [createTopicProduceData({ name: topic, partitionData })]
  const request = createProduceRequest({ transactionalId, acks: -1, timeoutMs: 30_000, topicData })
  return requestFrame(produceApi, VERSIONS[generation].produce, request)
}
