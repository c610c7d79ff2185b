import type { LogIndex, SnapshotPoint, Term, VoterSet } from '@millrace/consensus'
import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'
import type { DurableLog } from './durable-log.ts'
import type { ObservedReplica } from './observed-replica.ts'
import { decodeState } from './state-machine.ts'

/**
 * What is committed, as the first leader that said so had it: its hash by index, never changed. Judged by what directories really hold,
 * not by what a leader believes of them (C8).
 */
export class CommitGhost {
  readonly #world: World
  /** Hash of the log up to each committed index; position 0 stands for index 0. */
  readonly #hashes: number[] = [0]
  /** Greatest index that a leader of the term committed, in order of terms. */
  readonly #byTerm: { readonly term: Term; index: LogIndex }[] = []
  /** The log of every directory there ever was: what a wiped one held counts for what was committed with it. */
  readonly #logs = new Map<string, DurableLog>()
  /** Leaders whose commit has been judged, to skip those that did not move. */
  readonly #seen = new Map<ObservedReplica, LogIndex>()

  constructor(world: World) {
    this.#world = world
  }

  get lastIndex(): LogIndex {
    return this.#hashes.length - 1
  }

  /** Greatest index committed by leaders of terms before this one. */
  committedBefore(term: Term): LogIndex {
    let greatest = 0
    for (const committed of this.#byTerm) if (committed.term < term) greatest = Math.max(greatest, committed.index)
    return greatest
  }

  /** Greatest index that the leader of the term has committed; 0: none. */
  committedIn(term: Term): LogIndex {
    return this.#byTerm.find((committed) => committed.term === term)?.index ?? 0
  }

  hashAt(index: LogIndex): number | null {
    return this.#hashes[index] ?? null
  }

  /** Throws unless the hash is that of what was committed up to the index. */
  checkHash(invariant: string, index: LogIndex, hash: number, message: () => string): void {
    this.#world.judge(invariant)
    must(index <= this.lastIndex, invariant, () => `${message()} (${index} is not committed at all)`)
    must(this.#hashes[index] === hash, invariant, message)
  }

  onWritten(replica: ObservedReplica): void {
    this.#logs.set(replica.key.directoryId, replica.log)
  }

  /** C8: the commit index of a leader moved. */
  onLeaderCommit(replica: ObservedReplica, commitIndex: LogIndex, term: Term, voters: VoterSet): void {
    if (this.#seen.get(replica) === commitIndex && commitIndex <= this.lastIndex) return
    this.#seen.set(replica, commitIndex)
    if (commitIndex <= this.lastIndex) {
      const hash = replica.log.hashAt(commitIndex)
      if (hash !== null)
        this.checkHash('C6', commitIndex, hash, () => `leader ${replica.id} has another entry ${commitIndex}`)
      this.#note(term, commitIndex)
      return
    }
    this.#world.judge('C8')
    const holders = voters.filter(({ directoryId }) => {
      const log = this.#logs.get(directoryId)
      return log !== undefined && (log.pointAt(commitIndex)?.term === term || (log.snapshot?.index ?? 0) >= commitIndex)
    })
    const needed = (voters.length >> 1) + 1
    must(holders.length >= needed, 'C8', () => {
      return `leader ${replica.id} commits ${commitIndex} in term ${term}; durable at ${holders.length} of ${voters.length} voters`
    })
    const holder = this.#logs.get(holders[0]!.directoryId)!
    must(
      holder.pointAt(commitIndex)?.term === term,
      'C8',
      () => `leader ${replica.id} commits ${commitIndex} of another term by count`,
    )
    if (this.lastIndex > 0 && holder.pointAt(this.lastIndex + 1)?.term !== term)
      this.#world.mark('commit of an earlier term with an own entry')
    const before = this.#hashes[this.lastIndex]
    const kept = holder.hashAt(this.lastIndex)
    must(
      kept === null || kept === before,
      'C6',
      () => `what leader ${replica.id} commits does not follow what was committed`,
    )
    for (let index = this.lastIndex + 1; index <= commitIndex; index++) {
      const hash = holder.hashAt(index)
      must(hash !== null, 'C8', () => `nobody holds entry ${index} that leader ${replica.id} commits`)
      this.#hashes.push(hash)
    }
    for (const { directoryId, id } of holders) {
      const hash = this.#logs.get(directoryId)!.hashAt(commitIndex)
      must(
        hash === null || hash === this.#hashes[commitIndex],
        'C5',
        () => `node ${id} holds another log up to ${commitIndex}`,
      )
    }
    this.#note(term, commitIndex)
  }

  /** A follower removes entries: none that was committed (C6, C7). */
  onTruncated(replica: ObservedReplica, from: LogIndex): void {
    this.#world.judge('C6')
    if (from > this.lastIndex) return
    const held = replica.log.hashAt(from)
    must(held !== this.#hashes[from], 'C6', () => `node ${replica.id} removes the committed entry ${from}`)
  }

  onSnapshotInstalled(replica: ObservedReplica, point: SnapshotPoint, data: Buffer): void {
    this.#world.mark('snapshot installed')
    must(replica.core?.status.role !== 'leader', 'C16', () => `leader ${replica.id} loads a snapshot`)
    this.checkHash(
      'C16',
      point.index,
      decodeState(data),
      () => `node ${replica.id} installs a snapshot at ${point.index} that is not what was committed`,
    )
  }

  #note(term: Term, index: LogIndex): void {
    const known = this.#byTerm.find((committed) => committed.term === term)
    if (known === undefined) this.#byTerm.push({ term, index })
    else known.index = Math.max(known.index, index)
  }
}
