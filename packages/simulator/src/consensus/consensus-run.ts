import { randomUuid, type Uuid } from '@millrace/base'
import { decodeMessage, encodeMessage, type Message, type ReplicaKey, type VoterSet } from '@millrace/consensus'
import { type RunResult, resultOf } from '../run-result.ts'
import type { RandomStream } from '../world/random-stream.ts'
import { must } from '../world/violation.ts'
import { type Trace, World } from '../world/world.ts'
import { ConsensusChecker } from './consensus-checker.ts'
import type { ConsensusFault, ConsensusOperation, ConsensusScenario } from './consensus-scenario.ts'
import { Liveness } from './liveness.ts'
import { MessageNetwork } from './message-network.ts'
import { Replica } from './replica.ts'
import { strike } from './strike.ts'

/** Events that a run comes to at least: if faults and operations are over, time goes on in peace. */
const LEAST_EVENTS = 5_000
/** Some twenty times what a scenario comes to. */
const MOST_EVENTS = 200_000

/** A quorum of {@link Replica}s in one world, after one scenario. */
export class ConsensusRun {
  readonly world: World
  readonly scenario: ConsensusScenario
  readonly replicas: readonly Replica[]
  readonly network: MessageNetwork<Message>
  readonly checker: ConsensusChecker
  readonly bootstrapVoters: VoterSet
  readonly #ids: RandomStream
  readonly #payloads: RandomStream
  readonly #signs: RandomStream
  #nextToken = 1
  #isPeaceful = false

  constructor(scenario: ConsensusScenario, trace: Trace | null = null) {
    const { seed, options } = scenario
    this.scenario = scenario
    this.world = new World(seed, trace)
    this.checker = new ConsensusChecker(this.world, options)
    this.#ids = this.world.stream('ids')
    this.#payloads = this.world.stream('payloads')
    this.#signs = this.world.stream('signs')
    this.network = new MessageNetwork(
      this.world,
      options,
      (_from, to, message) => this.#deliver(to, message),
      (from, to) => this.#onLost(from, to),
    )
    const keys = Array.from(
      { length: options.nodeCount },
      (_, id): ReplicaKey => ({ id, directoryId: this.newDirectory() }),
    )
    this.bootstrapVoters = keys.slice(0, options.voterCount).map((key) => this.voterOf(key))
    this.checker.membership.allow(this.bootstrapVoters)
    this.replicas = keys.map(
      ({ id, directoryId }) =>
        new Replica(id, directoryId, {
          world: this.world,
          options,
          checker: this.checker,
          bootstrapVoters: this.bootstrapVoters,
          send: (from, message) => this.network.send(from, message.to.id, message),
          onCrashed: (replica) => this.#onCrashed(replica),
        }),
    )
  }

  get isPeaceful(): boolean {
    return this.#isPeaceful
  }

  /** The node that leads the greatest term, of those that are up. */
  get leader(): Replica | null {
    let leader: Replica | null = null
    for (const replica of this.replicas) {
      const status = replica.core?.status
      if (status?.role === 'leader' && status.term > (leader?.core?.status.term ?? -1)) leader = replica
    }
    return leader
  }

  newDirectory(): Uuid {
    return randomUuid(this.#ids)
  }

  voterOf({ id, directoryId }: ReplicaKey, port = 9_000): VoterSet[number] {
    return { id, directoryId, host: `node-${id}`, port }
  }

  /** Runs it to its end. Throws what a checker or the system threw. */
  run(): void {
    const { faults, operations, untilMs } = this.scenario
    for (const replica of this.replicas) {
      this.world.schedule(replica.id, 'start', replica.id, () => replica.start())
    }
    for (const fault of faults) this.world.schedule(fault.atMs, fault.kind, -1, () => this.#strike(fault))
    for (const operation of operations) {
      this.world.schedule(operation.atMs, operation.kind, operation.node, () => this.operate(operation))
    }
    while (this.world.nowMs < untilMs && this.world.step()) {
      must(this.world.eventCount < MOST_EVENTS, 'C19', () => 'messages breed messages')
    }
    this.#isPeaceful = true
    new Liveness(this).check()
    while (this.world.eventCount < LEAST_EVENTS && this.world.step());
  }

  /** A process comes back after a while, unless somebody started it before. */
  restartLater(replica: Replica, afterMs: number): void {
    const { life } = replica
    this.world.schedule(afterMs, 'restart', replica.id, () => {
      if (!replica.isUp && replica.life === life) replica.start()
    })
  }

  operate(operation: ConsensusOperation): void {
    const replica = operation.node < 0 ? this.leader : this.replicas[operation.node]!
    if (replica?.core == null || replica.loop.isPaused) return
    switch (operation.kind) {
      case 'propose':
        for (let number = 0; number < operation.count; number++) {
          replica.propose(this.#payloads.bytes(operation.sizeBytes))
        }
        return
      case 'read':
        this.read(replica)
        return
      case 'transfer':
        this.world.mark('transfer asked')
        replica.ask((core) => core.transferLeadership(operation.to))
        return
      case 'resign':
        replica.ask((core) => core.resign())
        return
      default:
        this.#changeVoters(replica, operation.kind, operation.voter)
    }
  }

  read(replica: Replica): void {
    if (!replica.isUp || replica.loop.isPaused) return
    const token = this.#nextToken++
    this.checker.onReadAsked(token)
    replica.ask((core) => core.readIndex(token))
  }

  #strike(fault: ConsensusFault): void {
    if (!this.#isPeaceful) strike(this, fault)
  }

  #changeVoters(replica: Replica, kind: 'add voter' | 'remove voter' | 'move voter', id: number): void {
    const { voters } = replica.core!.status
    const key = this.replicas[id]!.key
    const others = voters.filter((voter) => voter.id !== id)
    const listed = voters.length > others.length
    if (kind === 'remove voter') {
      if (listed && others.length > 0) replica.proposeVoters(others)
      return
    }
    if (kind === 'move voter') {
      const moved = voters.map((voter) => (voter.id === id ? { ...voter, port: voter.port + 1 } : voter))
      if (listed) replica.proposeVoters(moved)
      return
    }
    if (!listed) replica.proposeVoters([...others, this.voterOf(key)].sort((one, other) => one.id - other.id))
  }

  #deliver(to: number, message: Message): void {
    const replica = this.replicas[to]
    if (replica === undefined) return
    if (replica.loop.isPaused) {
      // The bytes wait in the socket of the stopped process.
      replica.loop.after(0, 'late message', () => this.#receive(replica, message))
      return
    }
    this.#receive(replica, message)
  }

  #receive(replica: Replica, message: Message): void {
    if (!this.scenario.options.isEncoded) {
      replica.receive(message)
      return
    }
    const decoded = decodeMessage(encodeMessage(message))
    must(decoded !== null && typeof decoded !== 'string', 'C21', () => `a ${message.type} cannot be decoded`)
    replica.receive(decoded)
  }

  #onLost(from: number, to: number): void {
    if (!this.#signs.chance(this.scenario.options.toldLosses)) return
    this.world.schedule(1, 'unreachable', from, () => this.replicas[from]!.ask((core) => core.reportUnreachable(to)))
  }

  #onCrashed(replica: Replica): void {
    this.checker.onCrashed(replica)
    if (!this.scenario.options.earlySigns) return
    for (const other of this.replicas) {
      if (other === replica || this.network.isCut(replica.id, other.id)) continue
      this.world.schedule(this.#signs.real(0.5, 5), 'peer lost', other.id, () => {
        if (!other.loop.isPaused) other.ask((core) => core.onPeerLost(replica.id))
      })
    }
  }
}

/** Runs a scenario; what broke, if something did, is part of the result. */
export function runConsensus(scenario: ConsensusScenario, trace: Trace | null = null): RunResult {
  const run = new ConsensusRun(scenario, trace)
  return resultOf('consensus', scenario.seed, run.world, scenario.operations.length, () => run.run())
}
