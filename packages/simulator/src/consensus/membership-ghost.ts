import { decodeVoters, type Entry, type LogIndex, type RaftStatus, type VoterSet } from '@millrace/consensus'
import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'
import type { ObservedReplica } from './observed-replica.ts'

/** Who ever was a voter, and how one set of voters follows another (C13, C14, C15). */
export class MembershipGhost {
  readonly #world: World
  readonly #identities = new Set<string>()
  isChanging = false

  constructor(world: World) {
    this.#world = world
  }

  allow(voters: VoterSet): void {
    for (const { id, directoryId } of voters) this.#identities.add(`${id} ${directoryId}`)
  }

  /** C15: whoever grants a vote is, or was meant to be, a voter under this identity. */
  onVoteGranted({ key }: ObservedReplica): void {
    this.#world.judge('C15')
    must(
      this.#identities.has(`${key.id} ${key.directoryId}`),
      'C15',
      () => `node ${key.id} votes and never was a voter with this disk`,
    )
  }

  onWritten(_replica: ObservedReplica, entries: readonly Entry[]): void {
    for (const entry of entries) if (entry.kind === 'voters') this.allow(decodeVoters(entry.data) ?? [])
  }

  /** C13: a leader has taken a change. `committedInTerm`: what it has committed of its own term. */
  onProposed(replica: ObservedReplica, next: VoterSet, before: RaftStatus, committedInTerm: LogIndex): void {
    this.#world.judge('C13')
    this.#world.mark('change of voters proposed')
    this.allow(next)
    const now = new Set(next.map(identity))
    const past = new Set(before.voters.map(identity))
    const changes = [...now].filter((one) => !past.has(one)).length + [...past].filter((one) => !now.has(one)).length
    must(changes <= 1, 'C13', () => `node ${replica.id} changes ${changes} voters at once`)
    must(
      before.votersCommitted,
      'C13',
      () => `node ${replica.id} changes voters while the last change is not committed`,
    )
    must(
      committedInTerm > 0,
      'C13',
      () => `node ${replica.id} changes voters before it has committed in term ${before.term}`,
    )
  }

  onLeader(replica: ObservedReplica, status: RaftStatus): void {
    this.isChanging = !status.votersCommitted
    if (!status.voters.some(({ id }) => id === replica.id)) this.#world.mark('leader outside of the voters')
  }
}

function identity({ id, directoryId }: { readonly id: number; readonly directoryId: string }): string {
  return `${id} ${directoryId}`
}
