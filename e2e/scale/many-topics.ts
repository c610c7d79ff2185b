import type { Admin, PartitionDescription, Producer } from '@millrace/client'
import { until } from '../harness/until.ts'

/** Far above what is aimed at, so that what is slow is measured too. */
const LIMIT_MS = 300_000
const REPLICAS = 3

/** Topics of the same form, by the clients of a user. */
export class ManyTopics {
  readonly names: readonly string[]
  readonly partitions: number

  constructor(count: number, partitions: number) {
    this.names = Array.from({ length: count }, (_, slot) => `scale-${String(slot).padStart(5, '0')}`)
    this.partitions = partitions
  }

  get partitionCount(): number {
    return this.names.length * this.partitions
  }

  /** In one request. */
  async create(admin: Admin): Promise<void> {
    const wanted = this.names.map((name) => ({ name, partitions: this.partitions, replicationFactor: REPLICAS }))
    for (const { error } of await admin.createTopics(wanted, { timeoutMs: LIMIT_MS })) if (error !== null) throw error
  }

  /** Resolves when every leader answers for its partitions. */
  async untilServed(admin: Admin): Promise<void> {
    const questions = this.#each((topic, partition) => ({ topic, partition, spec: 'latest' as const }))
    await admin.listOffsets(questions, { timeoutMs: LIMIT_MS })
  }

  /** A record to each partition; resolves when all are acknowledged. */
  async write(producer: Producer): Promise<void> {
    await Promise.all(this.#each((topic, partition) => producer.send({ topic, partition, value: 'one' })))
  }

  /** Has the first replica of each partition lead it again, as it was after the creation. */
  async balance(admin: Admin): Promise<void> {
    await admin.electLeaders('preferred', null, { timeoutMs: LIMIT_MS })
    await this.#until(admin, 'the preferred replicas lead', ({ leader, replicas }) => leader === replicas[0])
  }

  /** Resolves when every partition has a leader, none of them the node named. */
  untilLedWithout(admin: Admin, nodeId: number): Promise<true> {
    return this.#until(admin, 'others lead all partitions', ({ leader }) => leader >= 0 && leader !== nodeId)
  }

  /** Resolves when all replicas of all partitions are in sync. */
  untilInSync(admin: Admin): Promise<true> {
    return this.#until(admin, 'all replicas are in sync', ({ leader, isr }) => leader >= 0 && isr.length === REPLICAS)
  }

  #until(admin: Admin, what: string, isDone: (partition: PartitionDescription) => boolean) {
    const names = [...this.names]
    const probe = async () => {
      // A topic at a time: asking for all of them again and again would be most of what the brokers do.
      for (;;) {
        const name = names.at(-1)
        if (name === undefined) return true as const
        const [first] = await admin.describeTopics([name], { timeoutMs: 5000 }).catch(() => [])
        if (first?.error !== null || !first.partitions.every(isDone)) return false
        const described = await admin.describeTopics(names, { timeoutMs: 5000 }).catch(() => [])
        for (const { name: seen, error, partitions } of described) {
          if (error === null && partitions.every(isDone)) names.splice(names.indexOf(seen), 1)
        }
      }
    }
    return until(what, probe, LIMIT_MS) as Promise<true>
  }

  #each<T>(make: (topic: string, partition: number) => T): T[] {
    return this.names.flatMap((name) => Array.from({ length: this.partitions }, (_, slot) => make(name, slot)))
  }
}
