import { CHAIN_BYTES, FIRST_CHAIN } from './chain.ts'
import type { Entry, LogIndex, Message, MessageOf, SnapshotPoint, Term } from './types.ts'
import { decodeVoters, isUuid, isValidVoterSet } from './voter-set.ts'

/** Terms and indexes above are refused (C21): far beyond what is ever reached, and with room for sums below 2^53. */
export const MAX_NUMBER = 2 ** 52

/**
 * How far one message may move the term on: 13 years of elections in a row, ten a second. Without that, one message with the last term there
 * is (a fault of a peer that is trusted) would be taken up by all, and nobody could ever be elected again.
 */
const MAX_TERM_LEAP = 2 ** 32
/** A node that has no term yet joins a cluster of any, but half of all terms stay ahead of it. */
const MAX_FIRST_TERM = MAX_NUMBER / 2

/** Whether a node in term `own` takes word of `next`. */
export function isReachableTerm(own: Term, next: Term): boolean {
  return next <= (own === 0 ? MAX_FIRST_TERM : own + MAX_TERM_LEAP)
}

/** Whether the message is one that a correct peer could send: domains, order, and what must fit together inside it. Chains are not computed. */
export function isValidMessage(message: Message): boolean {
  if (!isNumber(message.term) || !isReplicaId(message.from.id) || !isUuid(message.from.directoryId)) return false
  switch (message.type) {
    case 'voteRequest':
      return isNumber(message.lastIndex) && isNumber(message.lastTerm) && message.lastTerm <= message.term
    case 'voteReply':
    case 'timeoutNow':
      return true
    case 'append':
      return isValidAppend(message)
    case 'appendReply':
      return (
        isNumber(message.index) &&
        isNumber(message.hintIndex) &&
        isNumber(message.hintTerm) &&
        isNumber(message.readRound)
      )
    case 'heartbeat':
      return isNumber(message.commitIndex) && isNumber(message.readRound)
    case 'heartbeatReply':
      return isNumber(message.lastIndex) && isNumber(message.readRound)
    case 'snapshotChunk':
      return isValidChunk(message)
    case 'leaderHint':
      return isReplicaId(message.leader.id) && isUuid(message.leader.directoryId) && isValidVoterSet(message.voters)
    case 'snapshotReply':
      return isNumber(message.snapshotIndex) && (message.nextOffset === -1 || isNumber(message.nextOffset))
  }
}

function isValidAppend(message: MessageOf<'append'>): boolean {
  const { previousIndex, previousTerm, previousChain, entries, commitIndex, readRound } = message
  if (!isNumber(commitIndex) || !isNumber(readRound)) return false
  if (!isPoint(previousIndex, previousTerm, previousChain)) return false
  let index: LogIndex = previousIndex
  let term: Term = previousTerm
  for (const entry of entries) {
    if (entry.index !== index + 1 || !isValidEntry(entry) || entry.term < term) return false
    index = entry.index
    term = entry.term
  }
  return term <= message.term
}

function isValidEntry({ index, term, kind, data, chain }: Entry): boolean {
  if (!isNumber(index) || !isNumber(term) || term === 0 || chain.length !== CHAIN_BYTES) return false
  return kind !== 'voters' || decodeVoters(data) !== null
}

/** The point before the first entry has term 0 and the first chain, any other a term. */
function isPoint(index: LogIndex, term: Term, chain: Buffer): boolean {
  if (!isNumber(index) || !isNumber(term) || chain.length !== CHAIN_BYTES) return false
  return index === 0 ? term === 0 && chain.equals(FIRST_CHAIN) : term > 0
}

function isValidChunk({ term, snapshot, sizeBytes, offset, data }: MessageOf<'snapshotChunk'>): boolean {
  if (!isValidSnapshotPoint(snapshot) || snapshot.term > term) return false
  return isNumber(sizeBytes) && isNumber(offset) && offset + data.length <= sizeBytes
}

function isValidSnapshotPoint({ index, term, chain, voters, votersIndex }: SnapshotPoint): boolean {
  if (index === 0 || !isPoint(index, term, chain)) return false
  return isNumber(votersIndex) && votersIndex <= index && isValidVoterSet(voters)
}

function isNumber(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= MAX_NUMBER
}

function isReplicaId(id: number): boolean {
  return Number.isInteger(id) && id >= 0 && id <= 0x7fffffff
}
