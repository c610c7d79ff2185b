import type { Message, VoterSet } from '@millrace/consensus'
import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'
import { configurationsOf, hasQuorum } from './configurations.ts'
import type { ConsensusOptions } from './consensus-scenario.ts'
import type { MessageNetwork } from './message-network.ts'
import type { Replica } from './replica.ts'

export interface LivelyRun {
  readonly world: World
  readonly scenario: { readonly options: ConsensusOptions }
  readonly replicas: readonly Replica[]
  readonly network: MessageNetwork<Message>
  readonly leader: Replica | null
  readonly bootstrapVoters: VoterSet
}

/** Election timeouts within which there must be a leader, and after which all must have what it has. */
const LEADER_TIMEOUTS = 10
const CONVERGENCE_TIMEOUTS = 60

/**
 * Faults are over: a core of nodes that has a quorum is healed, the others stay down for ever. There must be one leader soon, what it
 * takes must be committed, and all of the core must come to the same log and the same voters (L1, L2, L5, L7).
 */
export class Liveness {
  readonly #run: LivelyRun

  constructor(run: LivelyRun) {
    this.#run = run
  }

  check(): void {
    const { world, replicas, network } = this.#run
    const down = this.#chooseDown()
    network.healAll()
    for (const replica of replicas) {
      replica.crashPoint = null
      replica.isWriteDoomed = false
      replica.diskFactor = 1
      replica.setClockRate(1)
      if (replica.loop.isPaused) replica.loop.resume()
      if (down.has(replica)) replica.crash()
      else if (!replica.isUp) replica.start()
    }
    const core = replicas.filter((replica) => !down.has(replica))
    const directories = new Set<string>(core.map(({ key }) => key.directoryId))
    if (!configurationsOf(this.#run).every((voters) => hasQuorum(voters, directories))) {
      world.mark('liveness not owed')
      return
    }
    world.mark('liveness')
    this.#await(
      'L1',
      LEADER_TIMEOUTS,
      () => this.#run.leader !== null,
      () => `no leader: ${describe(core)}`,
    )
    let proposed = this.#propose()
    const isDone = (): boolean => {
      proposed ||= this.#propose()
      return proposed && isConverged(core, this.#run.leader)
    }
    this.#await('L2', CONVERGENCE_TIMEOUTS, isDone, () => `no convergence: ${describe(core)}`)
  }

  /** Some of the nodes, if what is left has a quorum of every set of voters that may be in force. */
  #chooseDown(): Set<Replica> {
    const { world, replicas } = this.#run
    const random = world.stream('liveness')
    const down = new Set<Replica>()
    if (random.chance(0.5)) return down
    for (const replica of random.shuffled(replicas)) {
      const left = replicas.filter((other) => other !== replica && !down.has(other))
      const directories = new Set<string>(left.map(({ key }) => key.directoryId))
      if (configurationsOf(this.#run).every((voters) => hasQuorum(voters, directories))) down.add(replica)
    }
    if (down.size > 0) world.mark('liveness without some')
    return down
  }

  #propose(): boolean {
    return typeof this.#run.leader?.propose(Buffer.from('peace')) === 'number'
  }

  #await(invariant: string, timeouts: number, isDone: () => boolean, message: () => string): void {
    const { world, scenario } = this.#run
    const { electionTicks, tickMs, drift } = scenario.options
    const timeoutMs = (2 * electionTicks * tickMs) / (1 - drift)
    const endMs = world.nowMs + timeouts * timeoutMs
    world.judge(invariant)
    for (let lookMs = world.nowMs; !isDone(); ) {
      must(world.nowMs <= endMs, invariant, message)
      // Looking costs more than an event: not after each.
      lookMs += tickMs
      while (world.nextMs <= lookMs) world.step()
      if (world.nextMs > endMs) break
    }
    must(isDone(), invariant, message)
  }
}

function isConverged(core: readonly Replica[], leader: Replica | null): boolean {
  const status = leader?.core?.status
  if (leader === null || status === undefined || !status.votersCommitted) return false
  if (status.commitIndex !== status.lastIndex) return false
  return core.every((replica) => {
    const own = replica.core?.status
    if (own === undefined || own.role === 'candidate' || own.role === 'preCandidate') return false
    const { log } = replica
    const hasVoters = own.voters.length === status.voters.length && own.votersCommitted
    return hasVoters && log.lastIndex === status.lastIndex && replica.appliedHash === leader.appliedHash
  })
}

function describe(core: readonly Replica[]): string {
  return core
    .map(({ id, core: raft, log, appliedIndex }) => {
      const status = raft?.status
      if (status === undefined) return `${id} down`
      const { role, term, commitIndex, voters, leaderId } = status
      const ids = voters.map((voter) => voter.id).join(' ')
      return `${id} ${role} of term ${term}, leader ${leaderId}, last ${log.lastIndex}, commit ${commitIndex}, applied ${appliedIndex}, voters ${ids}`
    })
    .join('; ')
}
