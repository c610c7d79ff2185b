import type { Clock } from '@millrace/base'
import { type ApiError, apiError, MetadataErrorCode } from '../metadata/controller/api-error.ts'
import { isReservedDirectory } from '../metadata/image.ts'
import type { Quorum } from '../quorum/quorum.ts'
import type { Refusal } from '../raft/raft-options.ts'
import type { LogIndex, ReplicaKey, Voter } from '../raft/types.ts'
import type { QuorumDescription } from './controller-requests.ts'
import { NotControllerError } from './write-queue.ts'

/** When peers were last seen to have all that the leader had: sampled, since the core tells only how far they are now. */
export class CaughtUpTimes {
  readonly #caughtUpMs = new Map<string, number>()
  #sampleMs = 0
  /** Last index at the last sample; a peer that has it by now was caught up then. */
  #sampleIndex: LogIndex = 0

  /** To be called again and again while this node leads. Wall milliseconds. */
  sample({ status }: Quorum, nowMs: number): void {
    const known = new Set<string>()
    for (const peer of status.peers) {
      const key = keyOf(peer)
      known.add(key)
      if (peer.matchIndex >= status.lastIndex) this.#caughtUpMs.set(key, nowMs)
      else if (this.#sampleIndex > 0 && peer.matchIndex >= this.#sampleIndex) this.#caughtUpMs.set(key, this.#sampleMs)
    }
    for (const key of this.#caughtUpMs.keys()) if (!known.has(key)) this.#caughtUpMs.delete(key)
    this.#sampleMs = nowMs
    this.#sampleIndex = status.lastIndex
  }

  of(peer: ReplicaKey): number {
    return this.#caughtUpMs.get(keyOf(peer)) ?? -1
  }

  clear(): void {
    this.#caughtUpMs.clear()
    this.#sampleIndex = 0
  }
}

/**
 * The quorum as DescribeQuorum shows it (`controller.md`, 9). Offsets are those of the quorum's log: the end is the index after the last
 * entry. Times are wall milliseconds, -1 where nothing is known.
 */
export function describeQuorum(
  quorum: Quorum,
  caughtUp: CaughtUpTimes,
  clock: Clock,
  tickMs: number,
): QuorumDescription {
  const { self, term, commitIndex, lastIndex, voters, peers } = quorum.status
  const nowMs = clock.wallMs()
  // Kafka's leader stands among them, as one that fetches from itself all the time.
  const leader = {
    ...self,
    isVoter: voters.some(({ id }) => id === self.id),
    matchIndex: lastIndex,
    state: 'replicate',
    inFlightBytes: 0,
    silentTicks: 0,
    lastFetchMs: nowMs,
    lastCaughtUpMs: nowMs,
    logEndOffset: lastIndex + 1,
  } as const
  return {
    leaderId: self.id,
    leaderEpoch: term,
    highWatermark: commitIndex + 1,
    voters,
    peers: [
      leader,
      ...peers.map((peer) => ({
        ...peer,
        lastFetchMs: Math.round(nowMs - peer.silentTicks * tickMs),
        lastCaughtUpMs: caughtUp.of(peer),
        logEndOffset: peer.matchIndex + 1,
      })),
    ],
  }
}

/** Adds a voter: checks in Kafka's order, then the quorum's own. Throws `NotControllerError`. */
export async function addVoter(quorum: Quorum, voter: Voter): Promise<ApiError | null> {
  const invalid = voterError(voter) ?? endpointError(voter)
  if (invalid !== null) return invalid
  if (quorum.status.voters.some(({ id }) => id === voter.id)) {
    const message = `The voter id ${voter.id} is already part of the set of voters`
    return apiError(MetadataErrorCode.DUPLICATE_VOTER, message)
  }
  return refusalError(await quorum.addVoter(voter))
}

export async function removeVoter(quorum: Quorum, { id, directoryId }: ReplicaKey): Promise<ApiError | null> {
  const invalid = voterError({ id, directoryId })
  if (invalid !== null) return invalid
  if (!isVoter(quorum, { id, directoryId })) return notFound({ id, directoryId })
  return refusalError(await quorum.removeVoter(id, directoryId))
}

/** Another endpoint of a voter that has moved. */
export async function updateVoter(quorum: Quorum, voter: Voter): Promise<ApiError | null> {
  const invalid = voterError(voter) ?? endpointError(voter)
  if (invalid !== null) return invalid
  if (!isVoter(quorum, voter)) return notFound(voter)
  return refusalError(await quorum.updateVoter(voter))
}

function voterError({ id, directoryId }: ReplicaKey): ApiError | null {
  if (id >= 0 && !isReservedDirectory(directoryId)) return null
  return apiError(MetadataErrorCode.INVALID_REQUEST, `${id} with the directory id ${directoryId} cannot be a voter`)
}

function endpointError({ host, port }: Voter): ApiError | null {
  if (host !== '' && port > 0 && port <= 65_535) return null
  return apiError(MetadataErrorCode.INVALID_REQUEST, `A voter cannot be reached at "${host}:${port}"`)
}

function isVoter(quorum: Quorum, { id, directoryId }: ReplicaKey): boolean {
  return quorum.status.voters.some((voter) => voter.id === id && voter.directoryId === directoryId)
}

function notFound({ id, directoryId }: ReplicaKey): ApiError {
  return apiError(MetadataErrorCode.VOTER_NOT_FOUND, `There is no voter ${id} with the directory id ${directoryId}`)
}

function refusalError(refusal: Refusal | null): ApiError | null {
  switch (refusal) {
    case null:
      return null
    case 'NOT_LEADER':
      throw new NotControllerError(true)
    case 'INVALID_CHANGE':
      return apiError(MetadataErrorCode.INVALID_REQUEST, 'The voters would not be a valid set')
    case 'NOT_CAUGHT_UP':
      return apiError(MetadataErrorCode.REQUEST_TIMED_OUT, 'The new voter has not caught up with the leader')
    default:
      return apiError(MetadataErrorCode.REQUEST_TIMED_OUT, `Another change has to end first (${refusal})`)
  }
}

function keyOf({ id, directoryId }: ReplicaKey): string {
  return `${id}:${directoryId}`
}
