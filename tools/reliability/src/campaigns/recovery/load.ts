import { SeededRandom } from '@millrace/base'
import {
  BatchBuilder,
  createCreatableTopic,
  createCreatePartitionsRequest,
  createCreatePartitionsTopic,
  createCreateTopicsRequest,
  createPartitionProduceData,
  createPartitionsApi,
  createProduceRequest,
  createTopicProduceData,
  createTopicsApi,
  produceApi,
  storedCrcOf,
} from '@millrace/protocol'
import { ConnectionLostError, WireClient } from '../../load/wire-client.ts'
import { type BatchKind, PartitionHistory } from './acknowledged.ts'

const CREATE_TOPICS_VERSION = 7
const CREATE_PARTITIONS_VERSION = 3
const PRODUCE_VERSION = 9
/** A request may write 10,000 metadata records. */
const PARTITIONS_PER_REQUEST = 5000
const RECORD_BYTES = 1000
/** Requests of one connection that wait for their answers. */
const PIPELINE_DEPTH = 4
const REQUEST_TIMEOUT_MS = 60_000

/** Batches with random contents, all different. They are sent again and again: random bytes for 10 GiB would take longer than the test. */
export function makeKinds(seed: number, count: number, recordCount: number): BatchKind[] {
  const random = new SeededRandom(seed)
  return Array.from({ length: count }, () => {
    const builder = new BatchBuilder({ initialSizeBytes: recordCount * (RECORD_BYTES + 32) })
    for (let slot = 0; slot < recordCount; slot++) builder.append(Date.now(), null, random.bytes(RECORD_BYTES))
    const bytes = Buffer.from(builder.build())
    return { bytes, recordCount, crc: storedCrcOf(bytes, 0) }
  })
}

/** Makes a topic, in several requests if it has more partitions than one may make. */
export async function createTopic(port: number, name: string, partitionCount: number): Promise<void> {
  const client = await WireClient.open(port)
  try {
    const numPartitions = Math.min(partitionCount, PARTITIONS_PER_REQUEST)
    const topics = [createCreatableTopic({ name, numPartitions, replicationFactor: 1 })]
    const request = createCreateTopicsRequest({ topics, timeoutMs: REQUEST_TIMEOUT_MS })
    const answer = await client.call(createTopicsApi, CREATE_TOPICS_VERSION, request)
    expectNoError(name, answer.topics[0]!)
    for (let count = numPartitions; count < partitionCount; ) {
      count = Math.min(partitionCount, count + PARTITIONS_PER_REQUEST)
      const grown = [createCreatePartitionsTopic({ name, count, assignments: null })]
      const growth = createCreatePartitionsRequest({ topics: grown, timeoutMs: REQUEST_TIMEOUT_MS })
      const { results } = await client.call(createPartitionsApi, CREATE_PARTITIONS_VERSION, growth)
      expectNoError(name, results[0]!)
    }
  } finally {
    client.close()
  }
}

function expectNoError(topic: string, result: { errorCode: number; errorMessage: string | null }): void {
  if (result.errorCode !== 0) throw new Error(`topic ${topic}: error ${result.errorCode} ${result.errorMessage}`)
}

/** One topic, what its partitions were sent, and how. */
export class Load {
  readonly topic: string
  readonly histories: readonly PartitionHistory[]
  readonly #random: SeededRandom
  acknowledgedBytes = 0

  constructor(topic: string, partitionCount: number, seed: number) {
    this.topic = topic
    this.histories = Array.from({ length: partitionCount }, (_, partition) => new PartitionHistory(partition))
    this.#random = new SeededRandom(seed)
  }

  /** Sends one batch to each of some partitions in one request; resolves when all are acknowledged. Rejects with what was refused. */
  async produce(client: WireClient, partitions: readonly number[], kind: BatchKind): Promise<void> {
    const partitionData = partitions.map((index) => createPartitionProduceData({ index, records: kind.bytes }))
    const topicData = [createTopicProduceData({ name: this.topic, partitionData })]
    const request = createProduceRequest({ acks: -1, timeoutMs: REQUEST_TIMEOUT_MS, topicData })
    for (const partition of partitions) this.histories[partition]!.sentCount++
    const answer = await client.call(produceApi, PRODUCE_VERSION, request)
    for (const { index, errorCode, baseOffset } of answer.responses[0]!.partitionResponses) {
      if (errorCode !== 0) throw new Error(`${this.topic}-${index}: produce was answered with error ${errorCode}`)
      this.histories[index]!.onAcknowledged(Number(baseOffset), kind)
      this.acknowledgedBytes += kind.bytes.length
    }
  }

  /**
   * Fills partitions chosen at random from several connections, until `isDone` says so, or until the broker is gone once `mayBeLost`
   * says that it may. Resolves when no answer is outstanding; rejects if anything was refused, or a connection lost before.
   */
  async run(
    port: number,
    connectionCount: number,
    kinds: readonly BatchKind[],
    isDone: () => boolean,
    mayBeLost: () => boolean = () => false,
  ): Promise<void> {
    const clients = await Promise.all(Array.from({ length: connectionCount }, () => WireClient.open(port)))
    try {
      const lanes = clients.flatMap((client) =>
        Array.from({ length: PIPELINE_DEPTH }, () => this.#runLane(client, kinds, isDone, mayBeLost)),
      )
      await Promise.all(lanes)
    } finally {
      for (const client of clients) client.close()
    }
  }

  async #runLane(
    client: WireClient,
    kinds: readonly BatchKind[],
    isDone: () => boolean,
    mayBeLost: () => boolean,
  ): Promise<void> {
    try {
      while (!isDone()) {
        const partition = this.#random.uint32() % this.histories.length
        await this.produce(client, [partition], kinds[this.#random.uint32() % kinds.length]!)
      }
    } catch (error) {
      // Killed: what was under way is neither acknowledged nor refused.
      if (!(error instanceof ConnectionLostError) || !mayBeLost()) throw error
    }
  }
}
