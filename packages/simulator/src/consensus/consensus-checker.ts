import type {
  Entry,
  LogIndex,
  Message,
  RaftStatus,
  Ready,
  Refusal,
  SnapshotPoint,
  Term,
  VoterSet,
} from '@millrace/consensus'
import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'
import { CommitGhost } from './commit-ghost.ts'
import type { ConsensusOptions } from './consensus-scenario.ts'
import { LeaderGhost } from './leader-ghost.ts'
import { MembershipGhost } from './membership-ghost.ts'
import type { ObservedReplica } from './observed-replica.ts'
import { stateSizeBytes } from './state-machine.ts'

/** What of a log is about to be removed. */
export interface Truncated {
  readonly terms: number
  readonly voters: boolean
}

/**
 * The invariants C1–C21 of the consensus core (`docs/simulator.md`), judged after each event against ghosts: what every directory has
 * held, whom it voted for, who led, what was committed. The system under test knows nothing of them.
 */
export class ConsensusChecker {
  readonly commits: CommitGhost
  readonly leaders: LeaderGhost
  readonly membership: MembershipGhost
  readonly #world: World
  readonly #options: ConsensusOptions
  /** Of each directory, its durable term. */
  readonly #durableTerms = new Map<string, Term>()
  /** Per directory and term, whom it voted for. */
  readonly #votes = new Map<string, string>()
  /** Hash of the log at each (term, index) that was ever durable anywhere. */
  readonly #hashes = new Map<number, number>()
  readonly #last = new Map<ObservedReplica, { life: number; commitIndex: LogIndex; term: Term; isLeader: boolean }>()
  readonly #reads = new Map<number, LogIndex>()
  readonly #uncommitted = new Map<
    ObservedReplica,
    { life: number; term: Term; items: { index: LogIndex; sizeBytes: number }[] }
  >()

  constructor(world: World, options: ConsensusOptions) {
    this.#world = world
    this.#options = options
    this.commits = new CommitGhost(world)
    this.leaders = new LeaderGhost(world, this.commits)
    this.membership = new MembershipGhost(world)
  }

  /** After each event of a node that is up. */
  afterEvent(replica: ObservedReplica, status: RaftStatus): void {
    const last = this.#last.get(replica)
    // One that has removed itself leads no more once that is committed.
    if (last?.life === replica.life && last.isLeader && status.role !== 'leader') {
      this.commits.onLeaderCommit(replica, status.commitIndex, last.term, status.voters)
    }
    this.#checkBounds(replica, status)
    this.leaders.observe(replica, status, (directoryId) => this.#votes.get(`${directoryId} ${status.term}`) ?? null)
    if (status.role === 'leader') {
      this.commits.onLeaderCommit(replica, status.commitIndex, status.term, status.voters)
      this.membership.onLeader(replica, status)
      this.#checkMemory(replica, status)
    }
  }

  /** A message is about to leave. */
  onSend(replica: ObservedReplica, message: Message): void {
    const { log, key } = replica
    this.#checkNumbers(message)
    must(
      message.from.id === key.id && message.from.directoryId === key.directoryId,
      'C15',
      () => `node ${key.id} sends as another`,
    )
    this.#world.judge('C3')
    const isPreVote = (message.type === 'voteRequest' || message.type === 'voteReply') && message.preVote
    if (!isPreVote) {
      must(message.term <= log.hardState.term, 'C3', () => {
        return `node ${key.id} sends ${message.type} of term ${message.term}, durable is ${log.hardState.term}`
      })
    }
    if (message.type === 'voteReply' && message.granted && !message.preVote) {
      const { vote, term } = log.hardState
      // In a later term it cannot vote in this one again, whatever of it is durable.
      if (term > message.term) this.#noteVote(key.directoryId, message.term, message.to.directoryId ?? '')
      else {
        must(term === message.term && vote?.id === message.to.id, 'C2', () => {
          return `node ${key.id} grants its vote of term ${message.term} to ${message.to.id}; durable: ${vote?.id} in ${term}`
        })
      }
      this.membership.onVoteGranted(replica)
    }
    if (message.type === 'appendReply' && message.success) {
      this.#world.judge('C10')
      must(message.index <= log.lastIndex, 'C10', () => {
        return `node ${key.id} acknowledges ${message.index}, durable is ${log.lastIndex}`
      })
    }
    if (message.type === 'snapshotReply' && message.nextOffset >= stateSizeBytes(this.#options.snapshotPadBytes)) {
      this.#world.judge('C10')
      must(
        log.lastIndex >= message.snapshotIndex,
        'C10',
        () => `node ${key.id} says it has the snapshot at ${message.snapshotIndex}`,
      )
    }
  }

  /** A message has been stepped; `before` is the state before. */
  onStepped(replica: ObservedReplica, message: Message, before: RaftStatus): void {
    if (message.type !== 'voteRequest' || !message.preVote) return
    const { term, vote } = replica.core!.status
    this.#world.judge('C18')
    must(term === before.term && vote?.directoryId === before.vote?.directoryId, 'C18', () => {
      return `a pre-vote request changed term or vote of node ${replica.id}: ${before.term} to ${term}`
    })
    if (message.lastTerm < before.term && before.leaderId !== null) this.#world.mark('pre-vote while a leader is heard')
  }

  onProposed(replica: ObservedReplica, outcome: LogIndex | Refusal, sizeBytes: number): void {
    if (typeof outcome === 'string') {
      if (outcome === 'TOO_MUCH_UNCOMMITTED') this.#world.mark('too much uncommitted')
      return
    }
    const { term } = replica.core!.status
    let own = this.#uncommitted.get(replica)
    if (own === undefined || own.life !== replica.life || own.term !== term) {
      own = { life: replica.life, term, items: [] }
      this.#uncommitted.set(replica, own)
    }
    own.items.push({ index: outcome, sizeBytes })
  }

  /** `before`: the state in which the change was asked for. */
  onVotersProposed(replica: ObservedReplica, next: VoterSet, outcome: LogIndex | Refusal, before: RaftStatus): void {
    if (typeof outcome === 'string') {
      this.#world.mark(`change of voters: ${outcome}`)
      return
    }
    this.membership.onProposed(replica, next, before, this.commits.committedIn(before.term))
  }

  /** Just before a batch becomes durable: what it will remove. */
  onWriting(replica: ObservedReplica, { truncateFrom, snapshot }: Ready): Truncated {
    const { log } = replica
    if (snapshot !== null) this.commits.onSnapshotInstalled(replica, snapshot.point, snapshot.data)
    if (truncateFrom === null || truncateFrom > log.lastIndex) return { terms: 0, voters: false }
    const removed = log.entries(truncateFrom, log.lastIndex + 1, Number.POSITIVE_INFINITY)
    this.leaders.onTruncated(replica, removed)
    this.commits.onTruncated(replica, truncateFrom)
    return {
      terms: new Set(removed.map(({ term }) => term)).size,
      voters: removed.some(({ kind }) => kind === 'voters'),
    }
  }

  /** A batch is durable. */
  onWritten(replica: ObservedReplica, { hardState, entries }: Ready, truncated: Truncated): void {
    const { key, log } = replica
    if (truncated.terms > 0) this.#world.mark('truncation')
    if (truncated.terms > 1) this.#world.mark('truncation of several terms')
    if (truncated.voters) this.#world.mark('truncation of a change of voters')
    if (hardState !== null) this.#checkHardState(key.directoryId, hardState.term, hardState.vote)
    for (const { index, term } of entries) {
      const hash = log.hashAt(index)
      if (hash === null) continue
      const slot = term * 2 ** 32 + index
      const known = this.#hashes.get(slot)
      this.#world.judge('C5')
      must(known === undefined || known === hash, 'C5', () => {
        return `the log of node ${key.id} up to (term ${term}, index ${index}) differs from another's`
      })
      this.#hashes.set(slot, hash)
    }
    this.membership.onWritten(replica, entries)
    this.commits.onWritten(replica)
    this.leaders.onWritten(replica)
  }

  onApply(replica: ObservedReplica, entry: Entry): void {
    this.#world.judge('C7')
    must(entry.index === replica.appliedIndex + 1, 'C7', () => {
      return `node ${replica.id} applies entry ${entry.index} after ${replica.appliedIndex}`
    })
  }

  onApplied(replica: ObservedReplica, entry: Entry): void {
    this.commits.checkHash(
      'C7',
      entry.index,
      replica.appliedHash,
      () => `node ${replica.id} applied another entry ${entry.index}`,
    )
  }

  onSnapshotLoaded(replica: ObservedReplica, point: SnapshotPoint): void {
    this.#world.mark('snapshot loaded')
    this.commits.checkHash('C16', point.index, replica.appliedHash, () => {
      return `the snapshot at ${point.index} that node ${replica.id} loads is not of what was committed`
    })
  }

  onSnapshotSaved({ id, log }: ObservedReplica): void {
    this.#world.judge('C16')
    const index = log.snapshot?.index ?? 0
    must(
      log.firstIndex <= index + 1,
      'C16',
      () => `a gap between snapshot and log of node ${id}: ${index}, ${log.firstIndex}`,
    )
  }

  onReadAsked(token: number): void {
    this.#reads.set(token, this.commits.lastIndex)
  }

  onReadAnswered(replica: ObservedReplica, token: number, index: LogIndex): void {
    const least = this.#reads.get(token)
    must(least !== undefined, 'C17', () => `read ${token} was answered twice, or never asked`)
    this.#reads.delete(token)
    this.#world.judge('C17')
    this.#world.mark('read answered')
    must(
      index >= least,
      'C17',
      () => `a read at node ${replica.id} is answered as of ${index}; ${least} was committed when it began`,
    )
  }

  onReadRefused(token: number): void {
    must(this.#reads.delete(token), 'C17', () => `read ${token} was refused after it had been answered`)
    this.#world.mark('read refused')
  }

  onCrashed(replica: ObservedReplica): void {
    this.#last.delete(replica)
    if (this.membership.isChanging) this.#world.mark('crash during a change of voters')
  }

  #checkHardState(directoryId: string, term: Term, vote: { readonly directoryId: string } | null): void {
    const durable = this.#durableTerms.get(directoryId) ?? 0
    this.#world.judge('C3')
    must(term >= durable, 'C3', () => `the durable term goes back from ${durable} to ${term}`)
    this.#durableTerms.set(directoryId, term)
    if (vote === null) {
      this.#world.judge('C2')
      must(!this.#votes.has(`${directoryId} ${term}`), 'C2', () => `the vote of term ${term} is forgotten`)
      return
    }
    this.#noteVote(directoryId, term, vote.directoryId)
  }

  #noteVote(directoryId: string, term: Term, candidate: string): void {
    const slot = `${directoryId} ${term}`
    const known = this.#votes.get(slot)
    this.#world.judge('C2')
    must(known === undefined || known === candidate, 'C2', () => `two votes in term ${term}`)
    this.#votes.set(slot, candidate)
  }

  #checkBounds(replica: ObservedReplica, status: RaftStatus): void {
    const { commitIndex, lastIndex, term } = status
    this.#world.judge('C9')
    const snapshotIndex = replica.log.snapshot?.index ?? 0
    must(replica.appliedIndex <= commitIndex && commitIndex <= lastIndex, 'C9', () => {
      return `node ${replica.id}: applied ${replica.appliedIndex}, commit ${commitIndex}, last ${lastIndex}`
    })
    must(
      snapshotIndex <= commitIndex,
      'C9',
      () => `node ${replica.id}: snapshot ${snapshotIndex}, commit ${commitIndex}`,
    )
    const last = this.#last.get(replica)
    if (last !== undefined && last.life === replica.life) {
      must(
        commitIndex >= last.commitIndex,
        'C9',
        () => `commit of node ${replica.id} goes back: ${last.commitIndex} to ${commitIndex}`,
      )
      must(term >= last.term, 'C3', () => `term of node ${replica.id} goes back: ${last.term} to ${term}`)
      last.commitIndex = commitIndex
      last.term = term
      last.isLeader = status.role === 'leader'
    } else {
      this.#last.set(replica, { life: replica.life, commitIndex, term, isLeader: status.role === 'leader' })
    }
    if (status.role !== 'leader') {
      must(commitIndex <= this.commits.lastIndex, 'C9', () => {
        return `node ${replica.id} takes ${commitIndex} for committed; no leader has committed more than ${this.commits.lastIndex}`
      })
    }
  }

  #checkMemory(replica: ObservedReplica, status: RaftStatus): void {
    const { maxInFlightBytes, maxAppendBytes, maxUncommittedBytes } = this.#options
    this.#world.judge('C19')
    for (const peer of status.peers) {
      must(peer.inFlightBytes <= maxInFlightBytes + maxAppendBytes + LARGEST_ENTRY, 'C19', () => {
        return `${peer.inFlightBytes} bytes are under way from node ${replica.id} to ${peer.id}`
      })
    }
    const own = this.#uncommitted.get(replica)
    if (own === undefined || own.life !== replica.life || own.term !== status.term) return
    const { items } = own
    while (items.length > 0 && items[0]!.index <= status.commitIndex) items.shift()
    let sizeBytes = 0
    for (const item of items) sizeBytes += item.sizeBytes
    // One entry is taken whatever its size, or it could never be proposed.
    must(sizeBytes - (items.at(-1)?.sizeBytes ?? 0) <= maxUncommittedBytes, 'C19', () => {
      return `${sizeBytes} bytes are proposed at node ${replica.id} and not committed`
    })
  }

  #checkNumbers(message: Message): void {
    // Not `Object.entries`: this is done for every message.
    for (const name in message) {
      const value: unknown = message[name as keyof Message]
      if (typeof value !== 'number') continue
      must(
        Number.isSafeInteger(value) && value >= (name === 'nextOffset' ? -1 : 0),
        'C21',
        () => `${message.type}: ${name} is ${value}`,
      )
    }
  }
}

/** More than any entry of a scenario. */
const LARGEST_ENTRY = 4_000
