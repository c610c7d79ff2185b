import { randomUuid } from '@millrace/base'
import { loadTopicRegex } from '@millrace/broker'
import type { ControllerEvents, MetadataRecord, VoterSet } from '@millrace/consensus'
import { StreamNetwork } from '../network/stream-network.ts'
import { failureOf, type RunFailure, type RunResult, resultWith } from '../run-result.ts'
import { driveEvents } from '../world/event-driver.ts'
import { must, ViolationError } from '../world/violation.ts'
import { type Trace, World } from '../world/world.ts'
import { CLIENTS_MAX, ClientHost, FIRST_CLIENT } from './client-host.ts'
import { type ClusterFault, type ClusterOptions, type ClusterScenario, LEAST } from './cluster-scenario.ts'
import { LeaderView } from './leader-view.ts'
import { MetadataGhost } from './metadata-ghost.ts'
import { MoveGhost } from './move-ghost.ts'
import { ReplicaGhost } from './replica-ghost.ts'
import { ReplicaGhosts } from './replica-ghosts.ts'
import type { SideWorkload } from './side-workload.ts'
import { sides } from './sides.ts'
import { describe, SimulatedNode } from './simulated-node.ts'
import { strikeCluster } from './strike-cluster.ts'
import { TOPIC, Workload } from './workload.ts'

/** Virtual time within which all nodes serve after a start, or after the faults are over. */
const START_MS = 60_000
const CALM_MS = 120_000
/** A process that ended by itself is started again after this, as a supervisor does. */
const RESTART_MS = 500
/** A fault that cannot happen is tried again after this: its node may be down. */
const FAULT_RETRY_MS = 300
/** The load goes on no longer than this beyond its end for want of operations or faults. */
const OVERTIME_MS = 120_000
/** Nodes are looked at so often, beside the moments at which it matters. */
const LOOK_MS = 100

/** Nodes of controllers and brokers, and their clients, in one world, after one scenario. */
export class ClusterRun {
  readonly world: World
  readonly scenario: ClusterScenario
  readonly network: StreamNetwork
  readonly nodes: readonly SimulatedNode[]
  readonly workload: Workload
  readonly #sides: readonly SideWorkload[]
  readonly #hosts: ClientHost[] = []
  /** Of the main workload's topic. */
  readonly replicas: ReplicaGhost
  /** Of that one and of those of other workloads. */
  readonly #allReplicas = new ReplicaGhosts()
  readonly #moves: MoveGhost
  readonly #metadata: MetadataGhost
  /** Nodes some of whose records rotted. */
  readonly #rotten = new Set<number>()
  #isPeaceful = false
  #broken: unknown = null

  constructor(scenario: ClusterScenario, trace: Trace | null = null) {
    const { seed, options } = scenario
    this.scenario = scenario
    this.world = new World(seed, trace)
    this.network = new StreamNetwork(this.world, { meanDelayMs: options.meanDelayMs, cutLoss: 0.5, silenceMs: 3_000 })
    this.#metadata = new MetadataGhost(this.world, (node, topic, partition) => {
      this.#allReplicas.forgetReplica(node, topic, partition)
      if (topic === TOPIC) this.#moves.forget(node, partition)
    })
    const ids = this.world.stream('ids')
    const voters: VoterSet = Array.from({ length: options.nodeCount }, (_, id) => ({
      id,
      directoryId: randomUuid(ids),
      host: `node-${id}`,
      port: 9093,
    }))
    const clusterId = randomUuid(ids)
    this.nodes = voters.map(({ id, directoryId }) => {
      const node = new SimulatedNode(id, directoryId, {
        world: this.world,
        network: this.network,
        voters,
        clusterId,
        settings: settingsOf(options),
        watch: (watched, events) => {
          return this.#metadata.watch(watched.id, this.#observing(events), () => watched.controller?.image ?? null)
        },
        onEnding: (ending) => {
          const wasServing = ending.broker !== null
          this.#allReplicas.observe()
          this.#moves.observe()
          this.#allReplicas.onEnded(ending.id, wasServing)
          if (ending.movesOnDisk().length > 0) this.world.mark('end of a process amid a move')
        },
        beforeCut: (cut, path) => this.#allReplicas.beforeCut(cut.id, path),
        beforeRename: (renaming, path) => {
          if (LOG_DIRECTORY.test(path)) this.#moves.onRenamed(renaming.id)
        },
        onServing: (serving) => this.#moves.onRenamed(serving.id),
        onExit: (exited, error) => this.#onExit(exited, error),
      })
      node.diskMs = options.diskMs
      node.directory.writeMs = options.writeMs
      return node
    })
    this.replicas = this.#watchReplicas(TOPIC, options.partitionCount)
    this.#moves = new MoveGhost(this.world, TOPIC, () => this.nodes, this.replicas)
    const leaders = new LeaderView(() => this.nodes, this.#metadata)
    this.workload = new Workload(this.#addHost(), options, this.replicas, leaders)
    this.#sides = options.sides.map((name) => {
      const random = this.world.stream(name)
      const watchReplicas = (topic: string, partitionCount: number) => this.#watchReplicas(topic, partitionCount)
      const { world } = this
      return sides[name].create({
        world,
        host: this.#addHost(),
        options,
        random,
        nodes: () => this.nodes,
        leaders,
        watchReplicas,
      })
    })
  }

  get callCount(): number {
    return this.#hosts.reduce((sum, { callCount }) => sum + callCount, 0)
  }

  get #openCalls(): number {
    return this.#hosts.reduce((sum, { openCalls }) => sum + openCalls, 0)
  }

  #watchReplicas(name: string, partitionCount: number): ReplicaGhost {
    const ghost = new ReplicaGhost(
      this.world,
      { name, partitionCount, minIsr: 2 },
      () => this.nodes,
      (node, partition) => this.#metadata.isCounted(node, name, partition),
    )
    this.#allReplicas.add(name, ghost)
    return ghost
  }

  #addHost(): ClientHost {
    const firstId = FIRST_CLIENT + CLIENTS_MAX * this.#hosts.length
    const host = new ClientHost(this.world, this.network, this.scenario.options.nodeCount, firstId)
    this.#hosts.push(host)
    return host
  }

  get isPeaceful(): boolean {
    return this.#isPeaceful
  }

  /** The node that leads the first partition, as far as some node knows; null: none. */
  get dataLeader(): SimulatedNode | null {
    for (const { controller } of this.nodes) {
      const leader = controller?.image.topics.get(TOPIC)?.partitions[0]?.leader ?? -1
      if (leader >= 0) return this.nodes[leader]!
    }
    return null
  }

  /** A leader whose replica is to go may have committed what nobody has looked at: it is looked at before the node is told. */
  #observing(events: ControllerEvents): ControllerEvents {
    return {
      onRecords: (startOffset, records) => {
        if (records.some(changesReplicas)) this.#allReplicas.observe()
        events.onRecords(startOffset, records)
      },
      onImage: (image) => {
        this.#allReplicas.observe()
        events.onImage(image)
      },
      onActiveController: (id) => events.onActiveController(id),
      onHeartbeatAnswer: (answer) => events.onHeartbeatAnswer(answer),
      onFatal: (error) => events.onFatal(error),
    }
  }

  get activeController(): SimulatedNode | null {
    return this.nodes.find(({ controller }) => controller?.isActive === true) ?? null
  }

  async run(): Promise<void> {
    const { world, scenario, workload } = this
    // To read code takes time of the real world, and differs from run to run; a broker does it when it is first needed.
    await loadTopicRegex()
    for (const node of this.nodes) world.schedule(node.id * 7, 'start', node.id, () => node.start())
    await this.#until('L1', START_MS, () => this.nodes.every(({ broker }) => broker !== null), 'all brokers serve')
    await this.#finish('L3', START_MS, workload.prepare(), 'the topic is created')
    for (const side of this.#sides) await this.#finish('L3', START_MS, side.prepare(), `${side.name} are prepared`)
    workload.start()
    for (const side of this.#sides) side.start()
    this.#look()
    for (const fault of scenario.faults) this.#strikeAt(fault, fault.atMs)
    await this.#pass(Math.max(scenario.untilMs, LEAST.virtualMs * scenario.share) - world.nowMs)
    // Some faults wait until all replicas are in sync, which they hardly are while there is always one that is new.
    workload.endMoves()
    if (scenario.faults.length > 0)
      await this.#until('size', OVERTIME_MS, () => this.#isLongEnough(), 'enough happened')
    workload.end()
    for (const side of this.#sides) side.end()
    this.#calmDown()
    await this.#until('L3', CALM_MS, () => this.#openCalls === 0, 'all calls have ended')
    await this.#until('L6', CALM_MS, () => this.#isAtRest(), 'all replicas are in sync, and none is being moved')
    await this.#finish('L4', CALM_MS, workload.readAll(), 'everything is read')
    for (const side of this.#sides) await this.#finish('L4', CALM_MS, side.checkAtRest(), `${side.name} are at rest`)
    this.#throwIfBroken()
  }

  /** Whether all partitions are in sync at other nodes, wherever those have them, and these serve. */
  isSafeWithout(node: SimulatedNode): boolean {
    const image = this.activeController?.controller?.image
    const others = this.nodes.filter((other) => other !== node)
    if (image === undefined || !others.every(({ broker, loop }) => broker !== null && loop?.isPaused === false))
      return false
    for (const topic of image.topics.values()) {
      for (const { isr, replicas } of topic.partitions) {
        const rest = replicas.filter((id) => id !== node.id)
        if (!rest.every((id) => isr.includes(id))) return false
        // Where a record rots and nobody has read it, the replica counts as in sync and may not have it.
        if (rest.every((id) => this.#rotten.has(id))) return false
      }
    }
    // One disk at a time: the last one that was lost must be whole again.
    return this.#isWhole()
  }

  onDiskLost(node: SimulatedNode, directory: string | null = null): void {
    this.#allReplicas.forget(node.id)
    this.#moves.forget(node.id)
    this.#metadata.onDiskLost(node.id, directory)
  }

  onDiskDamaged(node: SimulatedNode): void {
    this.#allReplicas.forget(node.id)
    this.#moves.forget(node.id)
  }

  onRecordsRotten(node: SimulatedNode): void {
    this.#rotten.add(node.id)
    this.#allReplicas.onRecordsRotten(node.id)
    this.#moves.onRotten(node.id)
  }

  restartLater(node: SimulatedNode, afterMs: number): void {
    const { lifeCount } = node
    this.world.schedule(afterMs, 'restart', node.id, () => {
      if (!node.isUp && node.lifeCount === lifeCount) node.start()
    })
  }

  #strikeAt(fault: ClusterFault, atMs: number): void {
    this.world.schedule(atMs - this.world.nowMs, fault.kind, -1, () => {
      if (this.#isPeaceful || strikeCluster(this, fault)) return
      this.#strikeAt(fault, this.world.nowMs + FAULT_RETRY_MS)
    })
  }

  #look(): void {
    this.world.schedule(LOOK_MS, 'look', -1, () => {
      this.#allReplicas.observe()
      this.#moves.observe()
      for (const side of this.#sides) side.observe()
      this.#look()
    })
  }

  /** A seed that came to less would prove less than its number seems to. */
  #isLongEnough(): boolean {
    const { world, scenario } = this
    let faultCount = 0
    for (const count of world.faults.values()) faultCount += count
    const needed = Math.min(LEAST.faults, scenario.faults.length)
    return faultCount >= needed && this.#hosts[0]!.callCount >= LEAST.operations * scenario.share
  }

  /** Faults are over. */
  #calmDown(): void {
    this.#isPeaceful = true
    const { options } = this.scenario
    this.network.rates = { ...this.network.rates, meanDelayMs: options.meanDelayMs }
    this.network.healAll()
    for (const node of this.nodes) {
      node.diskMs = options.diskMs
      node.setDiskFull(false)
      node.mendDirectory(false)
      if (node.loop?.isPaused === true) node.loop.resume()
      if (!node.isUp) node.start()
    }
  }

  #isWhole(): boolean {
    const image = this.activeController?.controller?.image
    if (image === undefined || !image.topics.has(TOPIC)) return false
    for (const { partitions } of image.topics.values()) {
      if (!partitions.every(({ isr, replicas, leader }) => leader >= 0 && isr.length === replicas.length)) return false
    }
    return true
  }

  #isAtRest(): boolean {
    if (!this.#isWhole()) return false
    const image = this.activeController!.controller!.image
    for (const { partitions } of image.topics.values()) {
      if (partitions.some((one) => one.addingReplicas.length > 0 || one.removingReplicas.length > 0)) return false
    }
    return this.nodes.every((node) => node.broker !== null && node.movesOnDisk().length === 0)
  }

  #onExit(node: SimulatedNode, error: unknown): void {
    this.world.trace?.(this.world.nowMs, node.id, `process ends by itself: ${describe(error)}`)
    this.world.mark('process ended by itself')
    if (isBug(error)) this.#broken ??= error
    this.world.schedule(0, 'exit', node.id, () => {
      node.crash(false)
      this.restartLater(node, RESTART_MS)
    })
  }

  #pass(durationMs: number): Promise<void> {
    const endMs = this.world.nowMs + durationMs
    return driveEvents(() => this.world.nextMs <= endMs && this.#step())
  }

  #until(invariant: string, limitMs: number, isDone: () => boolean, what: string): Promise<void> {
    const endMs = this.world.nowMs + limitMs
    this.world.judge(invariant)
    return driveEvents(() => {
      if (isDone()) return false
      must(this.world.nextMs <= endMs, invariant, () => `not within ${limitMs} ms: ${what}`)
      return this.#step()
    })
  }

  async #finish(invariant: string, limitMs: number, course: Promise<void>, what: string): Promise<void> {
    const state: { isDone: boolean; error: unknown } = { isDone: false, error: null }
    course.then(
      () => {
        state.isDone = true
      },
      (error: unknown) => {
        state.isDone = true
        state.error = error
      },
    )
    await this.#until(invariant, limitMs, () => state.isDone, what)
    if (state.error !== null) throw state.error
  }

  #step(): boolean {
    this.#throwIfBroken()
    this.#allReplicas.afterEvent()
    this.#moves.afterEvent()
    return this.world.step()
  }

  /** After what the last event, and the promises after it, came to. */
  #throwIfBroken(): void {
    if (this.#broken !== null) throw this.#broken
    for (const { failure } of this.#hosts) if (failure !== null) throw failure
  }
}

/** A process may end because of its disk; not because something of ours, or an onlooker within it, found something wrong. */
function isBug(error: unknown): boolean {
  if (error instanceof ViolationError) return true
  return !(error instanceof Error) || !('code' in error) || error.name === 'AssertionError'
}

function changesReplicas(record: MetadataRecord): boolean {
  return record.type === 'PartitionChangeRecord' && record.replicas !== undefined
}

/** The directory of a log, current or future. */
const LOG_DIRECTORY = /^\/[^/]+\/[^/]+-([0-9]+|future)$/

const SETTINGS: Readonly<Record<string, string>> = {
  'offsets.topic.num.partitions': '1',
  'offsets.topic.replication.factor': '3',
  'default.replication.factor': '3',
  'min.insync.replicas': '2',
  'group.initial.rebalance.delay.ms': '0',
  'auto.create.topics.enable': 'false',
  'replica.lag.time.max.ms': '4000',
}

function settingsOf(options: ClusterOptions): Readonly<Record<string, string>> {
  const settings: Record<string, string> = { ...SETTINGS }
  const { moveBytesPerSecond } = options
  if (moveBytesPerSecond > 0) settings['replica.alter.log.dirs.io.max.bytes.per.second'] = String(moveBytesPerSecond)
  for (const name of options.sides) Object.assign(settings, sides[name].settings)
  return settings
}

/** Runs a scenario; what broke, if something did, is part of the result. */
export async function runCluster(scenario: ClusterScenario, trace: Trace | null = null): Promise<RunResult> {
  const run = new ClusterRun(scenario, trace)
  let failure: RunFailure | null = null
  try {
    await run.run()
  } catch (error) {
    failure = failureOf(error, run.world.nowMs)
  }
  return resultWith('cluster', scenario.seed, run.world, run.callCount, failure)
}
