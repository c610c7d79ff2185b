import type { SeededRandom } from '@millrace/base'
import {
  CodecId,
  createFetchRequest,
  createFetchRequestFetchPartition,
  createFetchRequestFetchTopic,
  createMetadataRequest,
  createMetadataRequestTopic,
  ErrorCode,
  fetchApi,
  metadataApi,
} from '@millrace/protocol'
import { batchOf, produce } from '../../load/topics.ts'
import { WireClient } from '../../load/wire-client.ts'

/** The last version in which topics have names. */
const FETCH_VERSION = 12
const PRODUCE_SHARE = 0.7
const FETCH_SHARE = 0.9
const MAX_ERRORS = 10

export interface BusyOptions {
  readonly port: number
  readonly topic: string
  readonly partitionCount: number
  readonly clientCount: number
  readonly requestsPerSecond: number
}

/** Ordinary clients, each with one request at a time and a pause between them, so that they keep a rate as long as they are answered. */
export class BusyCrowd {
  readonly #options: BusyOptions
  readonly #random: SeededRandom
  readonly #records: readonly Buffer[]
  requestCount = 0
  readonly errors: string[] = []

  constructor(options: BusyOptions, random: SeededRandom) {
    this.#options = options
    this.#random = random
    this.#records = [CodecId.NONE, CodecId.LZ4, CodecId.ZSTD].map((codec) =>
      batchOf(codec, 4, Buffer.from(random.bytes(256))),
    )
  }

  async start(): Promise<void> {
    const { clientCount, port } = this.#options
    for (let n = 0; n < clientCount; n++) {
      const client = await WireClient.open(port)
      this.#run(client).catch((error: unknown) => this.#note(String(error)))
    }
  }

  #note(what: string): void {
    if (this.errors.length < MAX_ERRORS) this.errors.push(what)
  }

  async #run(client: WireClient): Promise<void> {
    const { clientCount, requestsPerSecond } = this.#options
    const meanPauseMs = (clientCount / requestsPerSecond) * 1000
    for (;;) {
      // Between nothing and twice the mean, so that they do not march in step.
      await new Promise((resolve) => setTimeout(resolve, 2 * meanPauseMs * this.#fraction()))
      const errorCode = await this.#request(client)
      this.requestCount++
      if (errorCode !== ErrorCode.NONE) this.#note(`error ${errorCode}`)
    }
  }

  #fraction(): number {
    return this.#random.uint32() / 2 ** 32
  }

  async #request(client: WireClient): Promise<number> {
    const { topic, partitionCount } = this.#options
    const partition = this.#random.uint32() % partitionCount
    const choice = this.#fraction()
    if (choice < PRODUCE_SHARE) {
      const records = this.#records[this.#random.uint32() % this.#records.length]!
      return produce(client, topic, partition, records, this.#random.uint32() % 4 === 0 ? 1 : -1)
    }
    if (choice < FETCH_SHARE) return this.#fetch(client, partition)
    const request = createMetadataRequest({ topics: [createMetadataRequestTopic({ name: topic })] })
    return (await client.call(metadataApi, 12, request)).topics[0]!.errorCode
  }

  async #fetch(client: WireClient, partition: number): Promise<number> {
    const wanted = createFetchRequestFetchPartition({ partition, fetchOffset: 0, partitionMaxBytes: 16 * 1024 })
    const topics = [createFetchRequestFetchTopic({ topic: this.#options.topic, partitions: [wanted] })]
    const request = createFetchRequest({ maxWaitMs: 50, minBytes: 1, maxBytes: 1 << 20, sessionEpoch: -1, topics })
    const answer = await client.call(fetchApi, FETCH_VERSION, request)
    return answer.errorCode || answer.responses[0]!.partitions[0]!.errorCode
  }
}
