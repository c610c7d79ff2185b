import type { SeededRandom } from '@millrace/base'
import {
  BatchBuilder,
  batchCrcOk,
  CodecId,
  createFetchRequest,
  createFetchRequestFetchPartition,
  createFetchRequestFetchTopic,
  createInitProducerIdRequest,
  createListOffsetsPartition,
  createListOffsetsRequest,
  createListOffsetsTopic,
  ErrorCode,
  fetchApi,
  initProducerIdApi,
  listOffsetsApi,
  RecordReader,
} from '@millrace/protocol'
import { produce } from '../../load/topics.ts'
import type { WireClient } from '../../load/wire-client.ts'

/** The last version in which topics have names. */
const FETCH_VERSION = 12
const EARLIEST = -2
export const RECORDS_PER_BATCH = 20
const VALUE_BYTES = 500
const FETCH_WAIT_MS = 500
const FETCH_BYTES = 1 << 20
/** A producer takes a new id after so many batches, as one that was restarted would. */
const BATCHES_PER_PRODUCER_ID = 200

export const CODECS = [CodecId.NONE, CodecId.GZIP, CodecId.SNAPPY, CodecId.LZ4, CodecId.ZSTD] as const

/** Produces without end, with one codec: batches of one producer id after the other, in sequence. */
export class IdempotentProducer {
  readonly #client: WireClient
  readonly #topic: string
  readonly #partition: number
  readonly #codec: CodecId
  readonly #values: readonly Buffer[]
  #producerId = -1
  #producerEpoch = -1
  #batchCount = 0

  constructor(client: WireClient, topic: string, partition: number, codec: CodecId, random: SeededRandom) {
    this.#client = client
    this.#topic = topic
    this.#partition = partition
    this.#codec = codec
    // Half of a value can be compressed.
    this.#values = Array.from({ length: 64 }, () =>
      Buffer.concat([random.bytes(VALUE_BYTES / 2), Buffer.alloc(VALUE_BYTES / 2, 'v')]),
    )
  }

  async produceOne(): Promise<void> {
    const inSequence = this.#batchCount % BATCHES_PER_PRODUCER_ID
    if (inSequence === 0) await this.#takeProducerId()
    const builder = new BatchBuilder({
      codec: this.#codec,
      producerId: this.#producerId,
      producerEpoch: this.#producerEpoch,
      baseSequence: inSequence * RECORDS_PER_BATCH,
    })
    for (let n = 0; n < RECORDS_PER_BATCH; n++) {
      builder.append(Date.now(), null, this.#values[(this.#batchCount + n) % this.#values.length]!)
    }
    this.#batchCount++
    const errorCode = await produce(this.#client, this.#topic, this.#partition, Buffer.from(builder.build()))
    if (errorCode !== ErrorCode.NONE) throw new Error(`produce to ${this.#topic}: error ${errorCode}`)
  }

  async #takeProducerId(): Promise<void> {
    const request = createInitProducerIdRequest({ transactionalId: null, transactionTimeoutMs: 60_000 })
    const answer = await this.#client.call(initProducerIdApi, 4, request)
    if (answer.errorCode !== ErrorCode.NONE) throw new Error(`no producer id: error ${answer.errorCode}`)
    this.#producerId = Number(answer.producerId)
    this.#producerEpoch = answer.producerEpoch
  }
}

/** Follows a partition, and checks that offsets come without a gap, with sound checksums, except where retention was faster. */
export class FollowingConsumer {
  readonly #client: WireClient
  readonly #topic: string
  readonly #partition: number
  #offset = -1
  recordCount = 0
  resetCount = 0

  constructor(client: WireClient, topic: string, partition: number) {
    this.#client = client
    this.#topic = topic
    this.#partition = partition
  }

  async fetchOne(): Promise<void> {
    if (this.#offset < 0) this.#offset = await this.#earliest()
    const offset = this.#offset
    const wanted = createFetchRequestFetchPartition({
      partition: this.#partition,
      fetchOffset: this.#offset,
      partitionMaxBytes: FETCH_BYTES,
    })
    const topics = [createFetchRequestFetchTopic({ topic: this.#topic, partitions: [wanted] })]
    const request = createFetchRequest({
      maxWaitMs: FETCH_WAIT_MS,
      minBytes: 1,
      maxBytes: FETCH_BYTES,
      sessionEpoch: -1,
      topics,
    })
    const answer = await this.#client.call(fetchApi, FETCH_VERSION, request)
    const { errorCode, records } = answer.responses[0]!.partitions[0]!
    if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) await this.#reset(offset)
    else if (errorCode !== ErrorCode.NONE) throw new Error(`fetch of ${this.#topic}: error ${errorCode}`)
    else this.#take(records)
  }

  /** Only retention may take an offset away from who follows: the log must begin behind it by now. */
  async #reset(offset: number): Promise<void> {
    this.resetCount++
    this.#offset = await this.#earliest()
    if (this.#offset <= offset)
      throw new Error(
        `${this.#topic}: offset ${offset} is said to be out of range, but the log begins at ${this.#offset}`,
      )
  }

  #take(records: Buffer | readonly Buffer[] | null): void {
    const bytes = records === null ? Buffer.alloc(0) : Buffer.isBuffer(records) ? records : Buffer.concat(records)
    const reader = new RecordReader()
    for (let position = 0; position + 12 <= bytes.length; ) {
      const sizeBytes = 12 + bytes.readInt32BE(position + 8)
      if (position + sizeBytes > bytes.length) return
      if (!batchCrcOk(bytes, position)) throw new Error(`${this.#topic}: a damaged batch came at ${this.#offset}`)
      reader.open(bytes, position)
      while (reader.next()) {
        const offset = Number(reader.offset)
        // The first batch may begin before the offset that was asked for.
        if (offset > this.#offset)
          throw new Error(`${this.#topic}: offset ${offset} came where ${this.#offset} was due`)
        if (offset < this.#offset) continue
        this.#offset++
        this.recordCount++
      }
      position += sizeBytes
    }
  }

  async #earliest(): Promise<number> {
    const partitions = [createListOffsetsPartition({ partitionIndex: this.#partition, timestamp: EARLIEST })]
    const topics = [createListOffsetsTopic({ name: this.#topic, partitions })]
    const answer = await this.#client.call(listOffsetsApi, 6, createListOffsetsRequest({ replicaId: -1, topics }))
    const { errorCode, offset } = answer.topics[0]!.partitions[0]!
    if (errorCode !== ErrorCode.NONE) throw new Error(`no offset of ${this.#topic}: error ${errorCode}`)
    return Number(offset)
  }
}
