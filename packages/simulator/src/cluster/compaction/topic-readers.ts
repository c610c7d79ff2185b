import { Consumer, type ConsumerBatch, type ConsumerRecord } from '@millrace/client'
import type { RandomStream } from '../../world/random-stream.ts'
import type { World } from '../../world/world.ts'
import type { ClientHost, ClientSeat } from '../client-host.ts'
import type { ReplicaGhost } from '../replica-ghost.ts'
import type { CompactedTopic } from './compacted-topics.ts'
import type { CompactionGhost, Pass } from './compaction-ghost.ts'

export interface TopicReadersOptions {
  readonly host: ClientHost
  readonly random: RandomStream
  readonly topics: readonly CompactedTopic[]
  readonly ghost: CompactionGhost
  readonly replicas: ReadonlyMap<string, ReplicaGhost>
  isOver(): boolean
}

/** Between readings from the beginning, on average. */
const AGAIN_MS = 400
/** A reading that takes longer, since nobody answers, comes to nothing. */
const READ_LIMIT_MS = 15_000
/** At the tail: pauses between polls, mostly none, so that it keeps up. */
const TAIL_PAUSES_MS = [0, 0, 0, 100, 4_000]
/** A little at a time: segments are exchanged between two fetches of one reading. */
const FETCH_BYTES = [1_500, 20_000]

/** Readers of compacted topics: one reads them from the beginning again and again, one stays at their tails. */
export class TopicReaders {
  readonly #options: TopicReadersOptions
  readonly #world: World
  readonly #random: RandomStream

  constructor(options: TopicReadersOptions) {
    this.#options = options
    this.#world = options.host.world
    this.#random = options.random
  }

  start(): void {
    this.#options.host.own(this.#readAgainAndAgain())
    this.#options.host.own(this.#readTails())
  }

  /** All that is committed, from the beginning; when no transaction is open any more. */
  async readWhole({ name }: CompactedTopic): Promise<Pass> {
    const { host } = this.#options
    const consumer = this.#consumer(host.seat(`keyed-reader of ${name}`), 20_000)
    const others = this.#consumer(host.seat(`keyed-looker at ${name}`), 20_000, 'read_uncommitted')
    const place = { topic: name, partition: 0 }
    for (;;) {
      const [stable] = await consumer.findOffsets([place], 'latest')
      const [committed] = await others.findOffsets([place], 'latest')
      if (stable !== undefined && stable.offset === committed?.offset) break
      await others.poll({ timeoutMs: 200 })
    }
    const pass = await this.#readThrough(consumer, name, Number.POSITIVE_INFINITY)
    return pass!
  }

  async #readAgainAndAgain(): Promise<void> {
    const { host, topics, isOver } = this.#options
    const seat = host.seat('keyed-beginner')
    const consumer = this.#consumer(seat, this.#random.pick(FETCH_BYTES))
    while (!isOver()) {
      const { name } = this.#random.pick(topics)
      const limitMs = this.#world.nowMs + READ_LIMIT_MS
      await host.call('read from the beginning', async () => {
        if ((await this.#readThrough(consumer, name, limitMs)) !== null) this.#world.mark('compacted topic read')
      })
      await host.pass(seat.loop, this.#random.exponential(AGAIN_MS), 'read again')
    }
  }

  /** Null: it took too long. */
  async #readThrough(consumer: Consumer, topic: string, limitMs: number): Promise<Pass | null> {
    const { ghost } = this.#options
    const place = { topic, partition: 0 }
    const [end] = await consumer.findOffsets([place], 'latest')
    const endOffset = Number(end?.offset ?? 0)
    consumer.assign([{ ...place, start: 0 }])
    const pass = ghost.beginPass(topic, 0)
    for (;;) {
      for (const batch of await consumer.poll({ timeoutMs: 300 })) this.#take(pass, batch)
      const position = Number(await consumer.position(place))
      if (position >= endOffset) {
        const [start] = await consumer.findOffsets([place], 'earliest')
        ghost.onLogStart(pass, Number(start?.offset ?? 0))
        ghost.checkPass(pass, position)
        return pass
      }
      if (this.#world.nowMs > limitMs) return null
    }
  }

  async #readTails(): Promise<void> {
    const { host, topics, ghost, isOver } = this.#options
    const seat = host.seat('keyed-tail')
    const consumer = this.#consumer(seat, this.#random.pick(FETCH_BYTES))
    const passes = new Map(topics.map(({ name }) => [name, ghost.beginPass(name, 0)]))
    consumer.assign(topics.map(({ name }) => ({ topic: name, partition: 0, start: 0 })))
    while (!isOver()) {
      await host.call('read of tails', async () => {
        for (const batch of await consumer.poll({ timeoutMs: 400 })) {
          const pass = passes.get(batch.topic)!
          this.#take(pass, batch)
          ghost.checkPass(pass, Number(batch.nextOffset))
          // The next stretch begins there.
          const next = ghost.beginPass(batch.topic, Number(batch.nextOffset))
          passes.set(batch.topic, next)
        }
      })
      await host.pass(seat.loop, this.#random.pick(TAIL_PAUSES_MS), 'read on')
    }
  }

  #take(pass: Pass, { records, logStartOffset }: ConsumerBatch): void {
    const replicas = this.#options.replicas.get(pass.topic)!
    replicas.observeInClient()
    for (const record of records) {
      const offset = Number(record.offset)
      const key = record.key?.toString() ?? ''
      const value = record.value?.toString() ?? null
      this.#options.ghost.onRead(pass, { offset, id: idOf(record), key, value }, Number(logStartOffset))
      replicas.onConsumed(0, offset)
    }
  }

  #consumer(
    { options }: ClientSeat,
    maxPartitionFetchBytes: number,
    isolationLevel: 'read_committed' | 'read_uncommitted' = 'read_committed',
  ): Consumer {
    return new Consumer({
      ...options,
      defaultApiTimeoutMs: 12_000,
      autoOffsetReset: 'earliest',
      enableAutoCommit: false,
      isolationLevel,
      maxPartitionFetchBytes,
    })
  }
}

function idOf({ headers }: ConsumerRecord): string {
  return headers.find(({ key }) => key === 'id')?.value?.toString() ?? ''
}
