import { Admin, Consumer } from '@millrace/client'
import type { World } from '../../world/world.ts'
import type { ReplicaGhost } from '../replica-ghost.ts'
import type { SideKind, SideStage, SideWorkload } from '../side-workload.ts'
import type { SimulatedNode } from '../simulated-node.ts'
import { COMPACTION_SETTINGS, type CompactedTopic, drawTopics, SMALL_SEGMENTS } from './compacted-topics.ts'
import { CompactionGhost } from './compaction-ghost.ts'
import { DeletionWatch } from './deletion-watch.ts'
import { ExchangeGhost } from './exchange-ghost.ts'
import { KeyedProducers } from './keyed-producers.ts'
import { TopicReaders } from './topic-readers.ts'

const OFFSETS_TOPIC = '__consumer_offsets'
/** Replicas are held against each other after so many looks. */
const AGREEMENT_LOOKS = 20

/** Compacted topics: who writes and reads them, and who judges what compaction does to them, and to committed offsets. */
class CompactionWorkload implements SideWorkload {
  readonly name = 'compaction'
  readonly #stage: SideStage
  readonly #world: World
  readonly #topics: readonly CompactedTopic[]
  readonly #exchanges: ExchangeGhost
  readonly #deletions: DeletionWatch
  readonly #producers: KeyedProducers
  readonly #readers: TopicReaders
  readonly #ghost: CompactionGhost
  #isOver = false
  #lookCount = 0
  /** Of who leads the committed offsets, the newest epoch. */
  #coordinatorEpoch = -1

  constructor(stage: SideStage) {
    const { world, host, random, nodes } = stage
    this.#stage = stage
    this.#world = world
    this.#topics = drawTopics(random)
    this.#ghost = new CompactionGhost(world, this.#topics)
    this.#exchanges = new ExchangeGhost(world, nodes, new Map(this.#topics.map((topic) => [topic.name, topic])))
    this.#deletions = new DeletionWatch(world, this.#ghost, this.#topics, nodes)
    const replicas = new Map<string, ReplicaGhost>(this.#topics.map(({ name }) => [name, stage.watchReplicas(name, 1)]))
    const shared = { host, random, topics: this.#topics, ghost: this.#ghost, replicas, isOver: () => this.#isOver }
    this.#producers = new KeyedProducers({ ...shared, deliveryTimeoutMs: stage.options.deliveryTimeoutMs })
    this.#readers = new TopicReaders(shared)
    for (const node of nodes()) this.#watch(node)
  }

  async prepare(): Promise<void> {
    const { options } = this.#stage.host.seat('keyed-admin')
    const admin = new Admin(options)
    for (const { name, configs } of this.#topics) {
      const replicationFactor = Math.min(3, this.#stage.options.nodeCount)
      const create = () => admin.createTopics([{ name, partitions: 1, replicationFactor, configs }])
      await this.#untilDone(create, `topic ${name}`, 'TOPIC_ALREADY_EXISTS')
    }
    await this.#shrinkOffsets(admin)
  }

  start(): void {
    this.#producers.start()
    this.#readers.start()
  }

  end(): void {
    this.#isOver = true
  }

  observe(): void {
    this.#noteStarts()
    this.#exchanges.checkSound()
    this.#deletions.observe()
    this.#markCoordinators()
    if (++this.#lookCount % AGREEMENT_LOOKS === 0) this.#checkAgreement()
  }

  async checkAtRest(): Promise<void> {
    for (const topic of this.#topics) this.#deletions.checkAtRest(await this.#readers.readWhole(topic))
    this.#exchanges.checkSound()
    this.#checkAgreement()
  }

  #noteStarts(): void {
    for (const { broker } of this.#stage.nodes()) {
      for (const { topic, log } of broker?.partitions() ?? []) {
        if (this.#topics.some(({ name }) => name === topic)) this.#ghost.onReplicaStart(topic, log.logStartOffset)
      }
    }
  }

  #checkAgreement(): void {
    for (const { name } of this.#topics) this.#exchanges.checkAgreement(name, 0)
  }

  #watch(node: SimulatedNode): void {
    const { host } = this.#stage
    node.diskWatchers.add((operation, path) => {
      if (operation !== 'rename') return
      try {
        this.#exchanges.beforeRename(node, path)
      } catch (error) {
        // It would be thrown into the midst of a broker, which must not make anything of it.
        host.failure ??= error
      }
    })
  }

  /** The topic is made by the first who asks for a coordinator. */
  async #shrinkOffsets(admin: Admin): Promise<void> {
    const { options } = this.#stage.host.seat('keyed-group')
    const member = new Consumer({ ...options, groupId: 'nobody', enableAutoCommit: false })
    await member.committed([{ topic: this.#topics[0]!.name, partition: 0 }])
    const operations = Object.entries(SMALL_SEGMENTS).map(([name, value]) => ({ op: 'set' as const, name, value }))
    const alter = () => admin.alterConfigs([{ type: 'topic' as const, name: OFFSETS_TOPIC, operations }])
    await this.#untilDone(alter, 'settings of the offsets')
  }

  async #untilDone(attempt: () => Promise<readonly { error: unknown }[]>, what: string, doneCode = ''): Promise<void> {
    const { host } = this.#stage
    for (;;) {
      const [outcome] = await attempt()
      host.callCount++
      const error = outcome?.error
      if (error == null || (error as { code?: string }).code === doneCode) return
      this.#world.trace?.(this.#world.nowMs, -1, `${what}: ${String(error)}`)
    }
  }

  /** Who takes over the groups loads what compaction has left of their offsets. */
  #markCoordinators(): void {
    for (const { broker } of this.#stage.nodes()) {
      for (const { topic, leading, leaderEpoch, log } of broker?.partitions() ?? []) {
        if (topic !== OFFSETS_TOPIC || leading === null || leaderEpoch <= this.#coordinatorEpoch) continue
        this.#coordinatorEpoch = leaderEpoch
        if (log.cleanedOffset > 0) this.#world.mark('compacted offsets loaded')
      }
    }
  }
}

export const compactionKind: SideKind = {
  settings: COMPACTION_SETTINGS,
  create: (stage) => new CompactionWorkload(stage),
}
