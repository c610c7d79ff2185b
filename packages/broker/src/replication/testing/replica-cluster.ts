import { SeededRandom, SimulatedClock, SimulatedDisk, SimulatedTimers, type Uuid } from '@millrace/base'
import { ControllerUnavailableError, type MetadataRecord } from '@millrace/consensus'
import { ReadResult } from '@millrace/storage'
import { rotRecords } from '@millrace/storage/testing'
import { batchOf, START_MS } from '../../testing/batches.ts'
import type { ReplicationSettings } from '../replication-settings.ts'
import { ReplicaNetwork } from './replica-network.ts'
import { ReplicaNode, type ReplicaWorld } from './replica-node.ts'
import { TestController } from './test-controller.ts'

export const TOPIC = 't'
export const TOPIC_ID = 'MAAAAAAAAAAAAAAAAAAAAA' as Uuid

/** Turns of the event loop after which all that needs no time has happened. */
const IDLE_TURNS = 2

const SETTINGS: ReplicationSettings = {
  replicaLagTimeMaxMs: 400,
  numReplicaFetchers: 1,
  replicaFetchMinBytes: 1,
  replicaFetchWaitMaxMs: 100,
  replicaFetchMaxBytes: 4_000,
  replicaFetchResponseMaxBytes: 8_000,
  replicaFetchBackoffMs: 50,
  replicaSocketTimeoutMs: 150,
  leaderReplicationThrottledRate: Number.MAX_SAFE_INTEGER,
  followerReplicationThrottledRate: Number.MAX_SAFE_INTEGER,
  isRackAware: false,
  interBrokerListener: 'PLAINTEXT',
}

export interface ReplicaClusterOptions {
  seed?: number
  nodeIds?: readonly number[]
  partitionCount?: number
  /** Longest that a sync, a frame and a piece of metadata take. */
  maxSyncMs?: number
  maxDelayMs?: number
  maxMetadataDelayMs?: number
  settings?: Partial<ReplicationSettings>
  maxFetchSessions?: number
  topicSettings?: Readonly<Record<string, string>>
}

/**
 * Brokers as far as replicas go, with a controller, in simulated time: syncs, frames and metadata each take a while by chance, nodes lose
 * power and come back, links are cut. One seed gives one run.
 */
export class ReplicaCluster {
  readonly clock = new SimulatedClock(START_MS)
  readonly timers = new SimulatedTimers(this.clock)
  readonly random: SeededRandom
  readonly controller = new TestController()
  readonly network: ReplicaNetwork
  readonly nodes = new Map<number, ReplicaNode>()
  /** The newest life of each node, also of one that is down. */
  readonly lives = new Map<number, ReplicaNode>()
  readonly faults: unknown[] = []
  readonly #world: ReplicaWorld
  readonly #options: Required<ReplicaClusterOptions>
  readonly #disks = new Map<number, SimulatedDisk>()
  /** Metadata on its way to each life. */
  readonly #feeds = new Map<ReplicaNode, (readonly MetadataRecord[])[]>()
  #seed: number
  #producedCount = 0

  private constructor(options: ReplicaClusterOptions) {
    this.#options = {
      seed: 1,
      nodeIds: [1, 2, 3],
      partitionCount: 1,
      maxSyncMs: 0,
      maxDelayMs: 0,
      maxMetadataDelayMs: 0,
      settings: {},
      maxFetchSessions: 100,
      topicSettings: { 'min.insync.replicas': '2' },
      ...options,
    }
    this.#seed = this.#options.seed
    this.random = new SeededRandom(this.#seed)
    this.network = new ReplicaNetwork(this.timers, () => this.upTo(this.#options.maxDelayMs))
    this.controller.onCommitted = (records) => this.#publish(records)
    this.#world = {
      clock: this.clock,
      timers: this.timers,
      network: this.network,
      settings: { ...SETTINGS, ...this.#options.settings },
      topicSettings: new Map(Object.entries(this.#options.topicSettings)),
      maxFetchSessions: this.#options.maxFetchSessions,
      portOf: (nodeId) => ({
        request: (name, request) => this.#request(nodeId, () => this.controller.request(name, request)),
      }),
      onFault: (error) => this.faults.push(error),
    }
  }

  static async start(options: ReplicaClusterOptions = {}): Promise<ReplicaCluster> {
    const cluster = new ReplicaCluster(options)
    const { nodeIds, partitionCount } = cluster.#options
    for (const nodeId of nodeIds) {
      cluster.#disks.set(nodeId, cluster.#prepare(new SimulatedDisk({ random: new SeededRandom(++cluster.#seed) })))
      await cluster.restart(nodeId)
    }
    cluster.controller.createTopic(TOPIC, TOPIC_ID, nodeIds, partitionCount)
    await cluster.advance(50)
    return cluster
  }

  get liveNodes(): ReplicaNode[] {
    return [...this.nodes.values()]
  }

  upTo(maxMs: number): number {
    return maxMs === 0 ? 0 : this.random.uint32() % (maxMs + 1)
  }

  /** A new life on the disk that the last one left; it is unfenced once it has caught up with the metadata. */
  async restart(nodeId: number): Promise<void> {
    const brokerEpoch = this.controller.register(nodeId)
    const started = ReplicaNode.start(
      this.#world,
      nodeId,
      this.#disks.get(nodeId)!,
      this.controller.image,
      brokerEpoch,
      ++this.#seed,
    )
    let node: ReplicaNode | null = null
    started.then(
      (value) => {
        node = value
        // What was committed while the logs were loaded.
        this.nodes.set(nodeId, value)
        this.lives.set(nodeId, value)
        this.#feeds.set(value, [])
      },
      (error: unknown) => this.faults.push(error),
    )
    const missed: (readonly MetadataRecord[])[] = []
    this.#starting.set(nodeId, missed)
    for (let turn = 0; node === null && this.faults.length === 0 && turn < 10_000; turn++) await this.advance(1)
    this.#starting.delete(nodeId)
    for (const records of missed) this.#feed(node!, records)
    this.timers.setTimer(this.upTo(this.#options.maxMetadataDelayMs) + 1, () => {
      if (this.controller.image.brokers.get(nodeId)?.epoch === brokerEpoch && this.nodes.has(nodeId)) {
        this.controller.unfence(nodeId)
      }
    })
  }

  readonly #starting = new Map<number, (readonly MetadataRecord[])[]>()

  /** Power is gone; the controller notices after a while. */
  crash(nodeId: number): void {
    const node = this.nodes.get(nodeId)
    if (node === undefined) return
    const disk = node.crash((count) => this.random.uint32() % count)
    this.nodes.delete(nodeId)
    this.#feeds.delete(node)
    this.#disks.set(nodeId, this.#prepare(disk))
    const epoch = this.controller.image.brokers.get(nodeId)?.epoch
    this.timers.setTimer(this.upTo(30), () => {
      if (this.controller.image.brokers.get(nodeId)?.epoch === epoch) this.controller.fence(nodeId)
    })
  }

  /**
   * A bit of the partition's records turns over that the node knows to have synced; one that is up looks at all of them anew when they are
   * read. False: there was none.
   */
  rot(nodeId: number, partition: number): boolean {
    const node = this.nodes.get(nodeId)
    const disk = node?.disk ?? this.#disks.get(nodeId)!
    if (rotRecords(disk, '/data', `${TOPIC}-${partition}`, this.random) === null) return false
    const log = node?.partition(TOPIC, partition)?.log
    for (const { baseOffset } of log?.segments.all ?? []) log!.distrust(baseOffset)
    return true
  }

  /** Who leads by the node's own word; the controller's may be newer. */
  leaderOf(partition: number): ReplicaNode | null {
    const leader = this.controller.image.topics.get(TOPIC)!.partitions[partition]!.leader
    const node = this.nodes.get(leader)
    return node?.partition(TOPIC, partition)?.isLeader === true ? node : null
  }

  /** Produces a record with a value of its own through whoever believes to lead. Null: nobody does. */
  produce(partition: number, padding = 0): { value: string; node: ReplicaNode; result: Promise<number> } | null {
    const believers = this.liveNodes.filter((node) => node.partition(TOPIC, partition)?.isLeader === true)
    if (believers.length === 0) return null
    const node = believers[this.random.uint32() % believers.length]!
    const value = `${this.#producedCount++}:${'x'.repeat(padding)}`
    return { value, node, result: node.produce(TOPIC, partition, batchOf([value])) }
  }

  async idle(): Promise<void> {
    for (let turn = 0; turn < IDLE_TURNS; turn++) await new Promise((resolve) => setImmediate(resolve))
    const [fault] = this.faults
    if (fault !== undefined) throw fault
  }

  async advance(durationMs: number): Promise<void> {
    for (let passed = 0; passed < durationMs; passed++) {
      this.timers.advance(1)
      await this.idle()
    }
  }

  /** Bytes of a partition's log from an offset up to another. */
  async read(node: ReplicaNode, partition: number, fromOffset: number, toOffset: number): Promise<Buffer> {
    const { log } = node.partition(TOPIC, partition)!
    const parts: Buffer[] = []
    const result = new ReadResult()
    for (let offset = fromOffset; offset < toOffset; offset = result.lastOffset + 1) {
      const ok = await log.read(offset, 100_000, toOffset, true, result)
      if (!ok || result.sizeBytes === 0) throw new Error(`nothing at ${offset} of ${node.nodeId}: ${result.errorCode}`)
      parts.push(...result.buffers.map((buffer) => Buffer.from(buffer)))
    }
    return Buffer.concat(parts)
  }

  async stop(): Promise<void> {
    for (const node of this.liveNodes) {
      let stopped = false
      node.stop().then(
        () => {
          stopped = true
        },
        (error: unknown) => this.faults.push(error),
      )
      for (let turn = 0; !stopped && turn < 10_000; turn++) await this.advance(1)
    }
  }

  #prepare(disk: SimulatedDisk): SimulatedDisk {
    const { maxSyncMs } = this.#options
    if (maxSyncMs > 0) {
      // Reads take none of it: a checker that waits for one must not have to let time pass.
      disk.settle = (operation) =>
        operation === 'read'
          ? Promise.resolve()
          : new Promise((resolve) => this.timers.setTimer(this.upTo(maxSyncMs), resolve))
    }
    return disk
  }

  #publish(records: readonly MetadataRecord[]): void {
    for (const node of this.liveNodes) this.#feed(node, records)
    for (const missed of this.#starting.values()) missed.push(records)
  }

  /** In order, each a little later. */
  #feed(node: ReplicaNode, records: readonly MetadataRecord[]): void {
    const feed = this.#feeds.get(node)
    if (feed === undefined) return
    feed.push(records)
    if (feed.length === 1) this.#deliverNext(node, feed)
  }

  #deliverNext(node: ReplicaNode, feed: (readonly MetadataRecord[])[]): void {
    this.timers.setTimer(this.upTo(this.#options.maxMetadataDelayMs), () => {
      if (!node.isAlive) return
      node.apply(feed.shift()!)
      if (feed.length > 0) this.#deliverNext(node, feed)
    })
  }

  /** Both ways take a while, and either may be lost with a link to the controller, node 0. */
  #request<Answer>(nodeId: number, ask: () => Answer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(new ControllerUnavailableError('no controller in time', true))
      this.network.after(() => {
        if (this.network.isCut(nodeId, 0)) {
          this.timers.setTimer(20, fail)
          return
        }
        const answer = ask()
        this.network.after(() => {
          if (this.network.isCut(nodeId, 0)) fail()
          else resolve(answer)
        })
      })
    })
  }
}
