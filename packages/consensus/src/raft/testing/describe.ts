import type { Entry, Message, RaftStatus, Ready, ReplicaKey, VoterSet } from '../types.ts'
import { decodeVoters } from '../voter-set.ts'

/** Short texts for scenario transcripts: equal things read equal. */
export function describeMessage(message: Message): string {
  return `${message.from.id}->${message.to.id} ${describeBody(message)} term ${message.term}`
}

function describeBody(message: Message): string {
  switch (message.type) {
    case 'voteRequest': {
      const what = message.preVote ? 'preVoteRequest' : 'voteRequest'
      return `${what} last ${message.lastIndex}/${message.lastTerm}${message.transfer ? ' transfer' : ''}`
    }
    case 'voteReply':
      return `${message.preVote ? 'preVoteReply' : 'voteReply'} ${message.granted ? 'granted' : 'refused'}`
    case 'append': {
      const { previousIndex, previousTerm, entries, commitIndex } = message
      return `append after ${previousIndex}/${previousTerm} ${describeEntries(entries)} commit ${commitIndex}${round(message.readRound)}`
    }
    case 'appendReply':
      return message.success
        ? `appendReply match ${message.index}${round(message.readRound)}`
        : `appendReply refused ${message.index} hint ${message.hintIndex}/${message.hintTerm}`
    case 'heartbeat':
      return `heartbeat commit ${message.commitIndex}${round(message.readRound)}`
    case 'heartbeatReply':
      return `heartbeatReply last ${message.lastIndex}${round(message.readRound)}`
    case 'snapshotChunk': {
      const { snapshot, sizeBytes, offset, data } = message
      return `snapshotChunk ${snapshot.index}/${snapshot.term} bytes ${offset}-${offset + data.length} of ${sizeBytes}`
    }
    case 'snapshotReply':
      return `snapshotReply ${message.snapshotIndex} next ${message.nextOffset}`
    case 'timeoutNow':
      return 'timeoutNow'
    case 'leaderHint':
      return `leaderHint ${message.leader.id}`
  }
}

function round(readRound: number): string {
  return readRound === 0 ? '' : ` round ${readRound}`
}

export function describeEntry({ index, term, kind, data }: Entry): string {
  if (kind === 'empty') return `${index}/${term} empty`
  if (kind === 'voters') return `${index}/${term} voters ${describeVoters(decodeVoters(data)!)}`
  return `${index}/${term} ${data.length > 20 ? `${data.length} bytes` : data.toString()}`
}

export function describeEntries(entries: readonly Entry[]): string {
  return `[${entries.map(describeEntry).join(', ')}]`
}

export function describeVoters(voters: VoterSet): string {
  return `(${voters.map(({ id }) => id).join(' ')})`
}

function describeReplica(replica: ReplicaKey | null): string {
  return replica === null ? 'none' : `${replica.id}`
}

/** What a `Ready` asks for, a line for each part that is not empty. */
export function describeReady(ready: Ready): string[] {
  const lines: string[] = []
  const { hardState, snapshot, truncateFrom, entries, committed, reads, refusedReads } = ready
  for (const message of ready.messagesBeforeWrite) lines.push(`send at once ${describeMessage(message)}`)
  if (snapshot !== null) lines.push(`install snapshot ${snapshot.point.index}/${snapshot.point.term}`)
  if (hardState !== null) lines.push(`write term ${hardState.term} vote ${describeReplica(hardState.vote)}`)
  if (truncateFrom !== null) lines.push(`truncate from ${truncateFrom}`)
  if (entries.length > 0) lines.push(`write ${describeEntries(entries)}`)
  for (const message of ready.messages) lines.push(`send ${describeMessage(message)}`)
  if (committed.length > 0) lines.push(`apply ${describeEntries(committed)}`)
  for (const { token, index } of reads) lines.push(`answer read ${token} at ${index}`)
  for (const token of refusedReads) lines.push(`refuse read ${token}`)
  return lines.length === 0 ? ['nothing'] : lines
}

export function describeStatus(status: RaftStatus): string {
  const { role, term, leaderId, commitIndex, appliedIndex, firstIndex, lastIndex, voters, votersCommitted } = status
  const leader = leaderId === null ? 'no leader' : `leader ${leaderId}`
  const set = `voters ${describeVoters(voters)}${votersCommitted ? '' : ' uncommitted'}`
  return `${role} term ${term} ${leader} log ${firstIndex}..${lastIndex} commit ${commitIndex} applied ${appliedIndex} ${set}`
}
