import { setTimeout as delay } from 'node:timers/promises'
import { SeededRandom } from '@millrace/base'
import { CodecId } from '@millrace/protocol'
import { runLoad } from '../../load/load-process.ts'
import { batchOf, createTopic, deleteTopic, produce } from '../../load/topics.ts'
import { WireClient } from '../../load/wire-client.ts'
import { CODECS, FollowingConsumer, IdempotentProducer } from './data-load.ts'
import { awaitCoordinator, liveAsGroup } from './group-load.ts'
import type { LoadPlan, LoadReport } from './load-plan.ts'

const MAX_ERRORS = 10
const PRODUCE_PAUSE_MS = 25
const GROUP_COUNT = 4
const GROUP_PAUSE_MS = 50
const TOPIC_PAUSE_MS = 400
const VISIT_PAUSE_MS = 100
const SHORT_LIVED_PARTITIONS = 3

/** Everything that clients do, a little of each, for as long as it is let. */
class MixedLoad {
  readonly #plan: LoadPlan
  readonly #random: SeededRandom
  readonly #errors: string[] = []
  readonly #topics = new Set<string>()
  readonly #consumers: FollowingConsumer[] = []
  readonly #counts = { batches: 0, fetches: 0, groupCycles: 0, topicCycles: 0, visits: 0 }

  constructor(plan: LoadPlan) {
    this.#plan = plan
    this.#random = new SeededRandom(plan.seed)
  }

  report(): LoadReport {
    const sum = (pick: (consumer: FollowingConsumer) => number) =>
      this.#consumers.reduce((total, consumer) => total + pick(consumer), 0)
    return {
      ...this.#counts,
      records: sum(({ recordCount }) => recordCount),
      resets: sum(({ resetCount }) => resetCount),
      errors: this.#errors,
      topics: [...this.#topics],
    }
  }

  async start(): Promise<void> {
    const { port, topic, partitionCount } = this.#plan
    for (const [at, codec] of CODECS.entries()) {
      const partition = at % partitionCount
      const producer = new IdempotentProducer(await WireClient.open(port), topic, partition, codec, this.#random)
      this.#repeat(PRODUCE_PAUSE_MS, async () => {
        await producer.produceOne()
        this.#counts.batches++
      })
    }
    for (let partition = 0; partition < partitionCount; partition++) {
      const consumer = new FollowingConsumer(await WireClient.open(port), topic, partition)
      this.#consumers.push(consumer)
      this.#repeat(0, async () => {
        await consumer.fetchOne()
        this.#counts.fetches++
      })
    }
    for (let n = 0; n < GROUP_COUNT; n++) await this.#startGroups(n)
    await this.#startTopics()
    this.#repeat(VISIT_PAUSE_MS, async () => {
      const client = await WireClient.open(port)
      client.close()
      this.#counts.visits++
    })
  }

  async #startGroups(number: number): Promise<void> {
    const client = await WireClient.open(this.#plan.port)
    await awaitCoordinator(client, `group-${number}`, () => delay(GROUP_PAUSE_MS))
    let cycle = 0
    this.#repeat(GROUP_PAUSE_MS, async () => {
      cycle++
      await liveAsGroup(client, `group-${number}-${cycle}`, this.#plan.topic, () => delay(GROUP_PAUSE_MS))
      this.#counts.groupCycles++
    })
  }

  async #startTopics(): Promise<void> {
    const client = await WireClient.open(this.#plan.port)
    const batch = batchOf(CodecId.NONE, 10, Buffer.alloc(50_000, 't'))
    let cycle = 0
    this.#repeat(TOPIC_PAUSE_MS, async () => {
      cycle++
      const name = `short-lived-${cycle}`
      await createTopic(client, name, SHORT_LIVED_PARTITIONS, {
        'segment.bytes': '1048576',
        'file.delete.delay.ms': '1000',
      })
      this.#topics.add(name)
      for (let partition = 0; partition < SHORT_LIVED_PARTITIONS; partition++) {
        // Enough for a second segment.
        for (let n = 0; n < 3; n++) await produce(client, name, partition, batch)
      }
      const reader = new FollowingConsumer(client, name, 0)
      await reader.fetchOne()
      await deleteTopic(client, name)
      this.#topics.delete(name)
      this.#counts.topicCycles++
    })
  }

  /** One after the other without end; an error ends it, since what follows would be errors too. */
  #repeat(pauseMs: number, body: () => Promise<void>): void {
    const run = async (): Promise<void> => {
      for (;;) {
        await body()
        if (pauseMs > 0) await delay(pauseMs)
      }
    }
    run().catch((error: unknown) => {
      if (this.#errors.length < MAX_ERRORS) this.#errors.push(String(error))
    })
  }
}

runLoad(async (plan: LoadPlan) => {
  const load = new MixedLoad(plan)
  await load.start()
  return () => load.report()
})
