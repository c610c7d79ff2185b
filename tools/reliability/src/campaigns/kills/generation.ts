import {
  type Broker,
  checkHistory,
  checkOffsets,
  type GroupLoad,
  type Load,
  type LoadOptions,
  type ProducerHistory,
  type ProducerKind,
  type Promised,
  Promises,
  partitionCount,
  readTopic,
  startGroupLoad,
  startKafkaJsLoad,
  startKafkaPythonLoad,
  startLibrdkafkaLoad,
  type TopicChanges,
  until,
} from '@millrace/e2e'

/** Of each program. Together they keep the broker busy and leave time to the many restarts. */
const RATE_PER_SECOND = 150
/** A file of a partition of the topic that is rolled and removed, and what of the partition stays. */
const ROLLING_SEGMENT_BYTES = 60_000
const ROLLING_RETENTION_BYTES = 250_000
/** Of values: headers aside, and what a burst after a long start may have had unsynced when retention counted it and a cut took it. */
const ROLLING_RETAINED_BYTES = 120_000
/** How long a client may take to get anything acknowledged again. */
const STUCK_MS = 60_000

export interface GenerationOptions {
  readonly broker: Broker
  /** Of its topics and groups. */
  readonly name: string
  readonly changes: TopicChanges
  /** The disk forgets what was not synced: acks=1 promises nothing then. */
  readonly unsyncedLoss: boolean
}

/** What a generation's clients did, once all of it was read back. */
export interface GenerationResult {
  readonly problems: readonly string[]
  readonly acknowledgedCount: number
  readonly storedCount: number
  readonly commitCount: number
  /** Records that the groups were given. */
  readonly consumedCount: number
  /** Removed by retention. */
  readonly removedCount: number
}

/**
 * Clients of several vendors at work on topics of their own, over a number of kills; at its end all is read back and held against
 * every acknowledgement. Many short generations in place of one keep what has to be read and remembered small.
 */
export class Generation {
  readonly #options: GenerationOptions
  readonly #loads: readonly (readonly [topic: string, load: Load])[]
  readonly #groups: readonly GroupLoad[]
  readonly #kinds: ReadonlyMap<Load, ProducerKind>
  readonly #promises: Promises
  /** Acknowledgements, and commits, of each at the last look: all must go on. */
  #seen: number[]

  private constructor(
    options: GenerationOptions,
    loads: readonly (readonly [topic: string, load: Load])[],
    groups: readonly GroupLoad[],
    kinds: ReadonlyMap<Load, ProducerKind>,
  ) {
    this.#options = options
    this.#loads = loads
    this.#groups = groups
    this.#kinds = kinds
    const held = loads.filter(([, load]) => !options.unsyncedLoss || kinds.get(load) !== 'leader')
    this.#promises = new Promises(held, groups)
    this.#seen = []
  }

  /** Creates its topics and starts its clients. The broker must serve until then. */
  static async start(options: GenerationOptions): Promise<Generation> {
    const { broker, name, changes } = options
    const [mixed, rolling] = [`${name}-mixed`, rollingOf(name)]
    await changes.add(mixed, partitionCount, { 'internal.segment.bytes': '1000000' })
    // A quarter of a megabyte a partition is a few seconds of its load: files are rolled, and removed, while the broker is killed.
    await changes.add(rolling, partitionCount, {
      'internal.segment.bytes': String(ROLLING_SEGMENT_BYTES),
      'retention.bytes': String(ROLLING_RETENTION_BYTES),
    })
    const { bootstrap } = broker
    const start = (topic: string, kind: ProducerKind, codec: LoadOptions['codec'], client: Client) => {
      const load = clients[client]({
        bootstrap,
        topic,
        name: `${client}-${kind}-${codec}`,
        kind,
        codec,
        ratePerSecond: RATE_PER_SECOND,
      })
      kinds.set(load, kind)
      loads.push([topic, load])
    }
    const kinds = new Map<Load, ProducerKind>()
    const loads: [string, Load][] = []
    const groups: GroupLoad[] = []
    start(mixed, 'idempotent', 'lz4', 'librdkafka')
    start(mixed, 'plain', 'zstd', 'librdkafka')
    start(mixed, 'idempotent', 'gzip', 'kafkajs')
    start(mixed, 'plain', 'none', 'kafkajs')
    start(mixed, 'leader', 'snappy', 'python')
    // Idempotent ones only: once retention has removed the first copy of a repeated record, order cannot be told.
    start(rolling, 'idempotent', 'none', 'librdkafka')
    groups.push(startGroupLoad({ bootstrap, topic: mixed, group: `${name}-member`, isMember: true }))
    groups.push(startGroupLoad({ bootstrap, topic: rolling, group: `${name}-assigned`, isMember: false }))
    return new Generation(options, loads, groups, kinds)
  }

  promised(): Promised {
    return this.#promises.now()
  }

  /** Holds what the broker tells against what was promised before the kill. */
  check(promised: Promised): Promise<string[]> {
    return checkOffsets(this.#options.broker.bootstrap, promised)
  }

  /** Waits until every client got on since the last time; lists those that did not. */
  async progress(): Promise<string[]> {
    const counts = () => [
      ...this.#loads.map(([, load]) => load.acknowledged().length),
      ...this.#groups.map((group) => group.commitCount()),
    ]
    const names = [...this.#loads.map(([, { name }]) => name), ...this.#groups.map(({ group }) => `group ${group}`)]
    const stuck = () => names.filter((_, slot) => (counts()[slot] ?? 0) <= (this.#seen[slot] ?? 0))
    try {
      await until('every client goes on', () => stuck().length === 0, STUCK_MS)
    } catch {
      return stuck().map((name) => `${name} got nothing acknowledged in ${STUCK_MS} ms`)
    }
    this.#seen = counts()
    return []
  }

  /** Ends the clients, reads all back and deletes the topics. The broker must serve. */
  async finish(): Promise<GenerationResult> {
    const { changes } = this.#options
    for (const group of this.#groups) await group.finish()
    const topics = [...new Set(this.#loads.map(([topic]) => topic))]
    const finished = await Promise.all(
      this.#loads.map(async ([topic, load]) => ({ topic, producer: await load.finish() })),
    )
    const problems = await this.check(this.promised())
    let storedCount = 0
    let removedCount = 0
    for (const topic of topics) {
      const producers = finished.filter((entry) => entry.topic === topic).map(({ producer }) => producer)
      const found = await this.#readTopic(topic, producers)
      problems.push(...found.problems)
      storedCount += found.storedCount
      for (const offset of found.startOffsets) removedCount += offset
    }
    for (const topic of topics) await changes.remove(topic)
    return {
      problems,
      acknowledgedCount: finished.reduce((sum, { producer }) => sum + producer.acknowledged.length, 0),
      storedCount,
      removedCount,
      commitCount: this.#groups.reduce((sum, group) => sum + group.commitCount(), 0),
      consumedCount: this.#groups.reduce((sum, { consumed }) => sum + consumed.count, 0),
    }
  }

  /** Ends the clients at once and reads all back: for a broker that lost so much that they may never come to an end. It must serve. */
  async readBack(): Promise<string[]> {
    this.abandon()
    const problems: string[] = []
    for (const topic of new Set(this.#loads.map(([topic]) => topic))) {
      const producers = this.#loads
        .filter((entry) => entry[0] === topic)
        .map(([, load]) => ({
          name: load.name,
          kind: this.#kinds.get(load)!,
          // Nobody knows what was still on its way.
          sentCount: Number.MAX_SAFE_INTEGER,
          acknowledged: load.acknowledged(),
        }))
      problems.push(...(await this.#readTopic(topic, producers)).problems)
    }
    return problems
  }

  /** Holds what a topic has now against what producers and groups were told. */
  async #readTopic(
    topic: string,
    producers: readonly ProducerHistory[],
  ): Promise<{ problems: string[]; storedCount: number; startOffsets: readonly number[] }> {
    const { broker, name, unsyncedLoss } = this.#options
    const { stored, startOffsets } = await readTopic(broker.bootstrap, topic)
    const retained = topic === rollingOf(name) ? { retainedBytes: ROLLING_RETAINED_BYTES } : {}
    const found = checkHistory({ producers, stored, startOffsets }, { unsyncedLoss, ...retained })
    for (const group of this.#groups) {
      if (group.topic === topic) found.push(...group.consumed.check(stored, startOffsets))
    }
    return { problems: found.map((text) => `${topic}: ${text}`), storedCount: stored.length, startOffsets }
  }

  /** Ends the clients at once. */
  abandon(): void {
    for (const [, load] of this.#loads) load.abandon()
    for (const group of this.#groups) group.abandon()
  }
}

const rollingOf = (name: string): string => `${name}-rolling`

const clients = {
  librdkafka: startLibrdkafkaLoad,
  kafkajs: startKafkaJsLoad,
  python: startKafkaPythonLoad,
} as const

type Client = keyof typeof clients
