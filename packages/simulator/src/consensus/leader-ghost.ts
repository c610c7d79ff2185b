import type { Entry, LogIndex, RaftStatus, Term } from '@millrace/consensus'
import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'
import type { CommitGhost } from './commit-ghost.ts'
import type { ObservedReplica } from './observed-replica.ts'

interface Leadership {
  readonly directoryId: string
  readonly node: number
  readonly life: number
  /** What it must hold (C6). */
  readonly mustHold: LogIndex
  isChecked: boolean
}

/** Who led in each term, how it came to that, and whether it held what it had to (C1, C4, C6, C12). */
export class LeaderGhost {
  readonly #world: World
  readonly #commits: CommitGhost
  readonly #byTerm = new Map<Term, Leadership>()
  readonly #candidates = new Map<Term, Set<number>>()

  constructor(world: World, commits: CommitGhost) {
    this.#world = world
    this.#commits = commits
  }

  get electionCount(): number {
    return this.#byTerm.size
  }

  /** `voteOf` gives the directory that another directory has durably voted for in the term. */
  observe(replica: ObservedReplica, status: RaftStatus, voteOf: (directoryId: string) => string | null): void {
    const { term, role } = status
    if (role === 'candidate') this.#onCandidate(replica, term)
    // A lone voter may take itself for the leader before its vote is durable; until then it has led nothing.
    if (role !== 'leader' || replica.log.hardState.term < term) return
    const { directoryId } = replica.key
    const known = this.#byTerm.get(term)
    this.#world.judge('C1')
    if (known === undefined) {
      this.#onElected(replica, status, voteOf)
      return
    }
    must(known.directoryId === directoryId, 'C1', () => `nodes ${known.node} and ${replica.id} both lead term ${term}`)
    must(known.life === replica.life, 'C12', () => `node ${replica.id} leads term ${term} again after a restart`)
  }

  /** C4: nothing that a leader wrote in its term goes while it leads. */
  onTruncated(replica: ObservedReplica, removed: readonly Entry[]): void {
    this.#world.judge('C4')
    const status = replica.core?.status
    if (status?.role !== 'leader') return
    must(!removed.some(({ term }) => term === status.term), 'C4', () => `leader ${replica.id} removes its own entries`)
  }

  onWritten(replica: ObservedReplica): void {
    const { term } = replica.log.hardState
    const known = this.#byTerm.get(term)
    if (known === undefined || known.isChecked || known.directoryId !== replica.key.directoryId) return
    this.#checkCompleteness(replica, term, known)
  }

  #onCandidate(replica: ObservedReplica, term: Term): void {
    let candidates = this.#candidates.get(term)
    if (candidates === undefined) {
      candidates = new Set()
      this.#candidates.set(term, candidates)
    }
    candidates.add(replica.id)
    if (candidates.size === 2) this.#world.mark('two candidates in one term')
  }

  #onElected(replica: ObservedReplica, status: RaftStatus, voteOf: (directoryId: string) => string | null): void {
    const { term, voters } = status
    const { directoryId } = replica.key
    this.#world.mark('election')
    this.#world.trace?.(this.#world.nowMs, replica.id, `leads term ${term}`)
    const granted = voters.filter((voter) => voteOf(voter.directoryId) === directoryId).length
    must(granted > voters.length >> 1, 'C14', () => {
      return `node ${replica.id} leads term ${term} with ${granted} durable votes of ${voters.length} voters`
    })
    const leadership: Leadership = {
      directoryId,
      node: replica.id,
      life: replica.life,
      mustHold: this.#commits.committedBefore(term),
      isChecked: false,
    }
    this.#byTerm.set(term, leadership)
    if (replica.log.lastIndex >= leadership.mustHold) this.#checkCompleteness(replica, term, leadership)
  }

  #checkCompleteness(replica: ObservedReplica, term: Term, leadership: Leadership): void {
    const { mustHold } = leadership
    this.#world.judge('C6')
    leadership.isChecked = true
    const { log } = replica
    must(
      log.lastIndex >= mustHold,
      'C6',
      () => `leader ${replica.id} of term ${term} has no entry ${mustHold}, which is committed`,
    )
    const hash = log.hashAt(mustHold)
    must(hash === null || hash === this.#commits.hashAt(mustHold), 'C6', () => {
      return `leader ${replica.id} of term ${term} has another entry ${mustHold} than the committed one`
    })
  }
}
