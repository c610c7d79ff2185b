import type { Uuid } from '@millrace/base'
import type { ReplicaKey, Voter, VoterSet } from './types.ts'

/** Most voters of a quorum. Far above what is of use; it bounds what is decoded and scanned. */
export const MAX_VOTERS = 63

export function sameReplica(left: ReplicaKey, right: ReplicaKey): boolean {
  return left.id === right.id && left.directoryId === right.directoryId
}

/** Whether this very replica, id and directory, votes (C15: a wiped one does not). */
export function isVoterOf(voters: VoterSet, replica: ReplicaKey): boolean {
  return voters.some((voter) => sameReplica(voter, replica))
}

/** How many of `voterCount` make a majority; 1 for none, so that an empty set decides nothing. */
export function majorityOf(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1
}

/**
 * The highest value that a majority has reached: of `[9, 4, 7]` it is 7. 0 for no values. With match indexes it is what may commit
 * (Raft 5.3), with read rounds what is confirmed (thesis 6.4).
 */
export function majorityValue(values: readonly number[]): number {
  if (values.length === 0) return 0
  const descending = [...values].sort((left, right) => right - left)
  return descending[majorityOf(values.length) - 1]!
}

export type Tally = 'won' | 'lost' | 'open'

/** State of an election among `voterCount` voters. An empty set never elects anybody. */
export function tallyOf(voterCount: number, granted: number, refused: number): Tally {
  if (granted >= majorityOf(voterCount)) return 'won'
  return voterCount - refused < majorityOf(voterCount) ? 'lost' : 'open'
}

/** What a change of voters does, if it is one that a single step may do (Raft thesis 4.1: consecutive majorities overlap). */
export type VoterChange =
  | { readonly type: 'added'; readonly voter: Voter }
  | { readonly type: 'removed'; readonly voter: Voter }
  | { readonly type: 'moved'; readonly voter: Voter }

/** The one voter that is added, removed or has another endpoint; null for no change, for several, and for a voter whose directory differs. */
export function singleChange(before: VoterSet, after: VoterSet): VoterChange | null {
  const added = after.filter((voter) => !before.some((other) => other.id === voter.id))
  const removed = before.filter((voter) => !after.some((other) => other.id === voter.id))
  const changed = after.filter((voter) => {
    const other = before.find((candidate) => candidate.id === voter.id)
    return other !== undefined && !equalVoters(other, voter)
  })
  if (added.length + removed.length + changed.length !== 1) return null
  if (added.length === 1) return { type: 'added', voter: added[0]! }
  if (removed.length === 1) return { type: 'removed', voter: removed[0]! }
  const voter = changed[0]!
  return isVoterOf(before, voter) ? { type: 'moved', voter } : null
}

function equalVoters(left: Voter, right: Voter): boolean {
  return sameReplica(left, right) && left.host === right.host && left.port === right.port
}

/** Sorted by id, each id once, ids and ports in range, none too long: what {@link VoterSet} promises and its codec can hold. */
export function isValidVoterSet(voters: VoterSet): boolean {
  if (voters.length > MAX_VOTERS) return false
  return voters.every((voter, slot) => {
    const { id, directoryId, host, port } = voter
    if (!Number.isInteger(id) || id < 0 || id > 0x7fffffff) return false
    if (!Number.isInteger(port) || port < 0 || port > 0xffff) return false
    if (!isUuid(directoryId) || Buffer.byteLength(host) > MAX_HOST_BYTES || !host.isWellFormed()) return false
    return slot === 0 || voters[slot - 1]!.id < id
  })
}

const MAX_HOST_BYTES = 255
const VERSION = 1

/** Whether it is 16 bytes in canonical URL-safe base64. */
export function isUuid(text: string): boolean {
  return /^[A-Za-z0-9_-]{21}[AQgw]$/.test(text)
}

/**
 * Bytes of a set of voters, as entries and messages hold it: version (1), count (1), then of each voter id (int32), directory (16 bytes),
 * port (uint16), host (length byte, UTF-8). The set must be valid.
 */
export function encodeVoters(voters: VoterSet): Buffer {
  const parts: Buffer[] = [Buffer.from([VERSION, voters.length])]
  for (const voter of voters) {
    const host = Buffer.from(voter.host, 'utf8')
    const fixed = Buffer.alloc(23)
    fixed.writeInt32BE(voter.id, 0)
    fixed.write(voter.directoryId, 4, 'base64url')
    fixed.writeUInt16BE(voter.port, 20)
    fixed[22] = host.length
    parts.push(fixed, host)
  }
  return Buffer.concat(parts)
}

/** The set in exactly these bytes; null if they are not one that {@link encodeVoters} makes. */
export function decodeVoters(bytes: Buffer): VoterSet | null {
  if (bytes.length < 2 || bytes[0] !== VERSION) return null
  const count = bytes[1]!
  if (count > MAX_VOTERS) return null
  const voters: Voter[] = []
  let position = 2
  for (let slot = 0; slot < count; slot++) {
    if (bytes.length - position < 23) return null
    const hostBytes = bytes[position + 22]!
    if (bytes.length - position - 23 < hostBytes) return null
    const host = bytes.subarray(position + 23, position + 23 + hostBytes)
    voters.push({
      id: bytes.readInt32BE(position),
      directoryId: bytes.subarray(position + 4, position + 20).toString('base64url') as Uuid,
      host: host.toString('utf8'),
      port: bytes.readUInt16BE(position + 20),
    })
    if (!Buffer.from(voters[slot]!.host, 'utf8').equals(host)) return null
    position += 23 + hostBytes
  }
  return position === bytes.length && isValidVoterSet(voters) ? voters : null
}
