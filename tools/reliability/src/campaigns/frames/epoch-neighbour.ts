import type { Uuid } from '@millrace/base'
import { batchOf, type DataClient, type TestBroker, valuesIn } from '@millrace/broker/testing'
import {
  createDeleteTopicState,
  createDeleteTopicsRequest,
  createMetadataRequest,
  deleteTopicsApi,
  ErrorCode,
  metadataApi,
} from '@millrace/protocol'
import { TARGET_TOPICS } from './frame-source.ts'
import { StoredBatches } from './stored-batches.ts'

/** An answer that does not come in so many turns is not waited for any longer. */
const PATIENCE_TURNS = 2_000
/** Reading a whole topic takes many requests. */
const READ_PATIENCE_TURNS = 200_000
const EARLIEST = -2
const OWN_TOPIC = 'neighbour'

export interface NeighbourOptions {
  readonly broker: TestBroker
  /** One turn of the loop, with the watch over stalls: what the attackers left to be done goes on meanwhile. */
  turn(): Promise<void>
  onFailure(what: string): void
}

/** A decent client beside the attackers, who sees whether it is served and what they have left behind. */
export class EpochNeighbour {
  readonly #options: NeighbourOptions
  readonly #client: DataClient

  static async arrive(options: NeighbourOptions): Promise<EpochNeighbour> {
    const neighbour = new EpochNeighbour(options)
    await neighbour.#client.createTopic(OWN_TOPIC)
    return neighbour
  }

  private constructor(options: NeighbourOptions) {
    this.#options = options
    this.#client = options.broker.connect('10.255.255.254')
  }

  /** Its own records come back, in order: the `round`-th is at that offset. */
  async checkOwn(round: number): Promise<void> {
    const client = this.#client
    const outcome = await this.#ask(async () => {
      const { baseOffset, errorCode } = await client.produce(OWN_TOPIC, batchOf([`${round}`]))
      if (errorCode !== 0 || baseOffset !== round) return `produce: error ${errorCode}, offset ${baseOffset}`
      const values = valuesIn((await client.fetchFrom(OWN_TOPIC, round)).records)
      return values.length === 1 && values[0] === `${round}` ? null : `fetch: ${values.join(', ')}`
    })
    if (outcome !== null) this.#options.onFailure(`the neighbour was not served: ${outcome}`)
  }

  /** Topics that were deleted come back, those that floods made go. Returns the ids that topics have now. */
  async restoreTopics(): Promise<Map<string, Uuid>> {
    const client = this.#options.broker.connect('10.255.255.253')
    let topicIds = new Map<string, Uuid>()
    const outcome = await this.#ask(async () => {
      const { topics } = await client.call(metadataApi, 12, createMetadataRequest({ topics: null }))
      const found = new Map(topics.map(({ name, topicId }) => [name ?? '', topicId]))
      const flooded = [...found.keys()].filter((name) => /^n\d+$/.test(name))
      if (flooded.length > 0) {
        const names = flooded.map((name) => createDeleteTopicState({ name }))
        await client.call(deleteTopicsApi, 6, createDeleteTopicsRequest({ topics: names, timeoutMs: 1000 }))
      }
      for (const [name, { partitions, configs }] of Object.entries(TARGET_TOPICS)) {
        if (!found.has(name)) found.set(name, await client.createTopic(name, partitions, configs))
      }
      found.delete(OWN_TOPIC)
      topicIds = found
      return null
    })
    client.close()
    if (outcome !== null) this.#options.onFailure(`topics could not be made: ${outcome}`)
    return topicIds
  }

  /** Reads all that the attackers' topics hold. Returns how many batches that were. */
  async checkStored(topicIds: ReadonlyMap<string, Uuid>): Promise<number> {
    let batchCount = 0
    for (const [topic, { partitions }] of Object.entries(TARGET_TOPICS)) {
      for (let partition = 0; partition < partitions; partition++) {
        const stored = new StoredBatches(`${topic} ${partition}`)
        const id = topicIds.get(topic)
        const outcome = await this.#ask(() => this.#read(stored, topic, id, partition), READ_PATIENCE_TURNS)
        if (outcome !== null) this.#options.onFailure(`${topic} ${partition} could not be read: ${outcome}`)
        for (const complaint of stored.complaints) this.#options.onFailure(complaint)
        batchCount += stored.batchCount
      }
    }
    return batchCount
  }

  async #read(stored: StoredBatches, topic: string, id: Uuid | undefined, partition: number): Promise<string | null> {
    if (id === undefined) return 'it is not there'
    const earliest = await this.#client.listOffset(topic, EARLIEST, { partition })
    // Attackers delete topics and make them again, with fewer partitions too.
    if (earliest.errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION && partition > 0) return null
    if (earliest.errorCode !== 0) return `list offsets: error ${earliest.errorCode}`
    let offset = Number(earliest.offset)
    for (;;) {
      const answer = await this.#client.fetch([{ topic, id, partition, fetchOffset: offset }])
      // What was answered is not needed again.
      this.#client.frames.length = 0
      const { errorCode, highWatermark, records } = answer.responses[0]!.partitions[0]!
      if (errorCode !== 0) return `fetch at ${offset}: error ${errorCode}`
      if (offset >= Number(highWatermark)) return null
      const bytes = Buffer.isBuffer(records) ? records : Buffer.concat(records ?? [])
      const next = stored.take(bytes)
      if (next <= offset) return `nothing to read at ${offset}, below ${highWatermark}`
      offset = next
    }
  }

  /** Gives null, or what went wrong; an answer that does not come in many turns is a failure too. */
  async #ask(ask: () => Promise<string | null>, patience = PATIENCE_TURNS): Promise<string | null> {
    let outcome: string | null | undefined
    ask().then(
      (result) => {
        outcome = result
      },
      (error: unknown) => {
        outcome = String(error)
      },
    )
    for (let turn = 0; turn < patience && outcome === undefined; turn++) await this.#options.turn()
    this.#client.frames.length = 0
    return outcome === undefined ? 'no answer' : outcome
  }
}
