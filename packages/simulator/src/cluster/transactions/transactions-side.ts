import { Admin } from '@millrace/client'
import {
  type ControllerNode,
  type FeatureUpdate,
  SUPPORTED_FEATURES,
  TRANSACTION_VERSION,
  UpgradeType,
} from '@millrace/consensus'
import type { SideKind, SideStage, SideWorkload } from '../side-workload.ts'
import { ClientProcess } from './client-process.ts'
import { ExactlyOnceGhost } from './exactly-once-ghost.ts'
import { IdentityGhost } from './identity-ghost.ts'
import { checkAtRest } from './last-reading.ts'
import { changeLeaders } from './leader-changes.ts'
import { PARTITION_COUNT, SETTLEMENTS, TRANSFERS } from './places.ts'
import { settle } from './settlers.ts'
import { StableOffsetGhost } from './stable-offset-ghost.ts'
import type { TransactionCast } from './transaction-cast.ts'
import { TransactionGhost } from './transaction-ghost.ts'
import { lookAtIds, lookAtOffsets, readTransactions } from './transaction-readers.ts'
import { produceTransfers } from './transfer-producers.ts'

const PRODUCERS = 2
const SETTLERS_AT_ONCE = 2
/** Levels of `transaction.version` that a cluster begins with. Up to 1 clients enlist partitions themselves; from 2 on brokers do (KIP-890). */
const LEVELS = [0, 1, 1, 2, 2, 2]
/** Of those that begin lower, this share goes over to level 2 under load, at a moment within this time. */
const RAISES = 0.5
const RAISE_WITHIN_MS = 40_000
const REQUEST_TIMEOUT_MS = 4_000
const FEATURES = [...SUPPORTED_FEATURES]
/** Segments of its topics grow so long; 0: for the whole run. */
const SEGMENT_MS = [0, 5_000]

/** Producers of transactions, readers of both kinds, and those who read, process and write. */
export const transactionsSide: SideKind = {
  settings: {
    'transaction.state.log.num.partitions': '1',
    'transaction.state.log.replication.factor': '3',
    'transaction.state.log.min.isr': '2',
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': '500',
  },
  create: (stage) => new TransactionsSide(stage),
}

class TransactionsSide implements SideWorkload {
  readonly name = 'transactions'
  readonly #stage: SideStage
  readonly #cast: TransactionCast
  readonly #stableOffsets: StableOffsetGhost
  readonly #level: number
  #isOver = false
  #courseCount = 0

  constructor(stage: SideStage) {
    const { world, host, options, random, nodes, leaders } = stage
    this.#stage = stage
    this.#level = random.pick(LEVELS)
    const transactions = new TransactionGhost(world)
    this.#cast = {
      ...{ world, host, options, random, leaders, transactions },
      exactlyOnce: new ExactlyOnceGhost(world, transactions),
      identities: new IdentityGhost(world),
      isOver: () => this.#isOver,
    }
    this.#stableOffsets = new StableOffsetGhost(world, new Set([TRANSFERS, SETTLEMENTS]), nodes, transactions)
  }

  async prepare(): Promise<void> {
    const { host, random, world } = this.#stage
    const process = new ClientProcess(host, 'transactions-admin')
    if (this.#level < 2) await this.#setLevel(process, this.#level, UpgradeType.SAFE_DOWNGRADE)
    world.mark(`transactions begin with version ${this.#level}`)
    const admin = new Admin(process.options)
    const segmentMs = random.pick(SEGMENT_MS)
    const rolls: Record<string, string> = segmentMs === 0 ? {} : { 'segment.ms': String(segmentMs) }
    const configs = { 'min.insync.replicas': '2', ...rolls }
    const topics = [TRANSFERS, SETTLEMENTS].map((name) => {
      return { name, partitions: PARTITION_COUNT, replicationFactor: 3, configs }
    })
    for (;;) {
      const outcomes = await admin.createTopics(topics)
      if (outcomes.every(({ error }) => error === null || error.code === 'TOPIC_ALREADY_EXISTS')) return
    }
  }

  start(): void {
    const cast = this.#cast
    for (let number = 0; number < PRODUCERS; number++) this.#own(produceTransfers(cast, number))
    for (let number = 0; number < SETTLERS_AT_ONCE; number++) this.#own(settle(cast, number))
    this.#own(readTransactions(cast, 'read_committed'))
    this.#own(readTransactions(cast, 'read_uncommitted'))
    this.#own(lookAtOffsets(cast))
    this.#own(lookAtIds(cast))
    this.#own(changeLeaders(cast))
    if (this.#level < 2 && cast.random.chance(RAISES)) this.#own(this.#raise())
  }

  end(): void {
    this.#isOver = true
  }

  observe(): void {
    this.#stableOffsets.observe()
  }

  async checkAtRest(): Promise<void> {
    await checkAtRest({
      cast: this.#cast,
      stableOffsets: this.#stableOffsets,
      isQuiet: () => this.#courseCount === 0,
    })
  }

  #own(course: Promise<void>): void {
    this.#courseCount++
    const over = course.finally(() => {
      this.#courseCount--
    })
    this.#stage.host.own(over)
  }

  /** The cluster goes over to the newer rules while transactions are under way. */
  async #raise(): Promise<void> {
    const { host, random, world } = this.#cast
    const process = new ClientProcess(host, 'transactions-upgrader')
    await process.pass(random.real(0, RAISE_WITHIN_MS), 'raise')
    if (this.#isOver) return
    if (await this.#setLevel(process, 2, UpgradeType.UPGRADE)) world.mark('transaction version raised under load')
  }

  /** By a controller, again and again until it is so. False: the load is over. */
  async #setLevel(process: ClientProcess, level: number, upgradeType: number): Promise<boolean> {
    const update = { feature: TRANSACTION_VERSION, maxVersionLevel: level, upgradeType }
    while (!this.#isOver) {
      const nodes = this.#stage.nodes().flatMap(({ controller }) => controller ?? [])
      if (nodes.some(({ image }) => (image.features.get(TRANSACTION_VERSION) ?? 0) === level)) return true
      if (nodes.length > 0) this.#ask(this.#cast.random.pick(nodes), update)
      await process.pass(500, 'level')
    }
    return false
  }

  /** Not waited for: one whose process ends, or is stopped, never answers. Whether it is done the metadata tells. */
  #ask(controller: ControllerNode, update: FeatureUpdate): void {
    const { world } = this.#cast
    const asking = async (): Promise<void> => {
      // No level is set while a controller has not said what it knows, and here they do not say it by themselves.
      for (const { id, directoryId } of this.#stage.nodes()) {
        const registration = { controllerId: id, incarnationId: directoryId, endpoints: [], features: FEATURES }
        await controller.request('registerController', registration, REQUEST_TIMEOUT_MS)
      }
      await controller.request('updateFeatures', { updates: [update], validateOnly: false }, REQUEST_TIMEOUT_MS)
    }
    asking().catch((error: unknown) => {
      world.trace?.(world.nowMs, -1, `${update.feature} is not set: ${String(error)}`)
    })
  }
}
