import type { Uuid } from '@millrace/base'
import type { VoterSet } from '../raft/types.ts'
import { decodeVoters, encodeVoters, isUuid, MAX_VOTERS } from '../raft/voter-set.ts'

/** What a node says of the first voters. */
export interface FirstVotersFrame {
  /** Whether it wants to be told the same in return. */
  readonly isQuestion: boolean
  /** Of the sender's log. */
  readonly directoryId: Uuid
  /** Whom the sender's settings name, ascending. */
  readonly named: readonly number[]
  /** Null: it does not know them. */
  readonly voters: VoterSet | null
}

const VERSION = 1
const FIXED_BYTES = 3 + 16 + 1
const FLAG_QUESTION = 1
const FLAG_KNOWS = 2

/** Layout: version u8, flags u8 (1 question, 2 voters known), reserved 0, directory 16, count u8, ids int32 each, the voters if known. */
export function encodeFirstVoters({ isQuestion, directoryId, named, voters }: FirstVotersFrame): Buffer {
  const fixed = Buffer.alloc(FIXED_BYTES + 4 * named.length)
  fixed[0] = VERSION
  fixed[1] = (isQuestion ? FLAG_QUESTION : 0) + (voters === null ? 0 : FLAG_KNOWS)
  fixed.write(directoryId, 3, 'base64url')
  fixed[FIXED_BYTES - 1] = named.length
  for (const [slot, id] of named.entries()) fixed.writeInt32BE(id, FIXED_BYTES + 4 * slot)
  return voters === null ? fixed : Buffer.concat([fixed, encodeVoters(voters)])
}

/** Null: not what {@link encodeFirstVoters} makes. */
export function decodeFirstVoters(bytes: Buffer): FirstVotersFrame | null {
  if (bytes.length < FIXED_BYTES || bytes[0] !== VERSION || bytes[2] !== 0) return null
  const flags = bytes[1]!
  const count = bytes[FIXED_BYTES - 1]!
  const end = FIXED_BYTES + 4 * count
  if (flags > (FLAG_QUESTION | FLAG_KNOWS) || count > MAX_VOTERS || bytes.length < end) return null
  const named = Array.from({ length: count }, (_, slot) => bytes.readInt32BE(FIXED_BYTES + 4 * slot))
  if (!named.every((id, slot) => id >= 0 && (slot === 0 || named[slot - 1]! < id))) return null
  const directoryId = bytes.subarray(3, 19).toString('base64url') as Uuid
  if (!isUuid(directoryId)) return null
  const isQuestion = (flags & FLAG_QUESTION) !== 0
  if ((flags & FLAG_KNOWS) === 0) return bytes.length === end ? { isQuestion, directoryId, named, voters: null } : null
  const voters = decodeVoters(bytes.subarray(end))
  return voters === null || voters.length === 0 ? null : { isQuestion, directoryId, named, voters }
}
