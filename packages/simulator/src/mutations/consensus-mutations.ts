import { type Mutation, mutationsIn } from './mutation.ts'

const inRaft = mutationsIn('packages/consensus/src/raft', 'consensus')

/** Mistakes in the consensus core. */
export const consensusMutations: readonly Mutation[] = [
  inRaft(
    'vote twice in a term',
    'election.ts',
    'if (state.vote === null) return state.leader === null',
    'if (state.leader === null) return true',
  ),
  inRaft(
    'vote not made durable',
    'replica-state.ts',
    'this.#vote = { id: candidate.id, directoryId: candidate.directoryId }\n    this.#hardStateChanged = true',
    'this.#vote = { id: candidate.id, directoryId: candidate.directoryId }',
  ),
  inRaft(
    'vote for a candidate that has less',
    'election.ts',
    'if (request.term < state.term || !isUpToDate(state, request)) return false',
    'if (request.term < state.term) return false',
  ),
  inRaft(
    'length of the log decides before its last term',
    'election.ts',
    'if (request.lastTerm !== lastPoint.term) return request.lastTerm > lastPoint.term\n',
    '',
  ),
  inRaft(
    'half of the voters are a majority',
    'voter-set.ts',
    'Math.floor(voterCount / 2) + 1',
    'Math.ceil(voterCount / 2)',
  ),
  inRaft(
    'entry of an earlier term committed by count',
    'leadership.ts',
    'if (index <= state.commitIndex || log.pointAt(index)?.term !== state.term) return',
    'if (index <= state.commitIndex) return',
  ),
  inRaft(
    'leader counts what it has not made durable',
    'leadership.ts',
    'return log.stableIndex',
    'return log.lastIndex',
  ),
  inRaft(
    'observers count for commits',
    'leadership.ts',
    'const index = majorityValue(\n      state.voters.map(',
    'const index = majorityValue(\n      [...state.voters, ...[...this.#peers.values()].filter((peer) => !peer.isVoter).map((peer) => peer.replica)].map(',
  ),
  inRaft(
    'acknowledged before the write',
    'replica-state.ts',
    'const late = hardState === null ? this.#messages.filter(({ type }) => !BEFORE_WRITE.has(type)) : this.#messages',
    "const isEarly = ({ type }) => BEFORE_WRITE.has(type) || type === 'appendReply'\n    if (hardState === null) early.push(...this.#messages.filter(({ type }) => type === 'appendReply'))\n    const late = hardState === null ? this.#messages.filter((message) => !isEarly(message)) : this.#messages",
  ),
  inRaft(
    'votes asked for in a term that is not durable',
    'replica-state.ts',
    'const early = hardState === null ? this.#messages.filter(({ type }) => BEFORE_WRITE.has(type)) : []',
    "const early = this.#messages.filter(({ type }) => BEFORE_WRITE.has(type) || type === 'voteRequest')",
  ),
  inRaft(
    'wiped voter votes',
    'raft-core.ts',
    'if (to.id !== self.id || (to.directoryId !== null && to.directoryId !== self.directoryId)) return',
    'if (to.id !== self.id) return',
  ),
  inRaft(
    'voters changed before an own commit',
    'leadership.ts',
    "if (!this.#hasCommittedOwn) return 'NO_OWN_TERM_COMMIT'\n",
    '',
  ),
  inRaft(
    'voters changed while a change is not committed',
    'leadership.ts',
    "if (!state.votersCommitted) return 'CHANGE_IN_PROGRESS'\n",
    '',
  ),
  inRaft('voters of a truncated entry stay in force', 'log-view.ts', 'this.#history.truncate(index)\n', ''),
  inRaft(
    'follower cuts off what matches',
    'following.ts',
    'if (local === null || local.term !== entry.term) break',
    'if (local === null || entry.index > state.commitIndex) break',
  ),
  inRaft(
    'commit index taken beyond what matches',
    'following.ts',
    'Math.min(message.commitIndex, lastNew)',
    'message.commitIndex',
  ),
  inRaft(
    'heartbeat tells a commit beyond the match',
    'replication.ts',
    'const commitIndex = Math.min(peer.matchIndex, state.commitIndex)\n  peer.toldCommitIndex',
    'const commitIndex = state.commitIndex\n  peer.toldCommitIndex',
  ),
  inRaft(
    'read answered without a round',
    'leadership.ts',
    'this.#reads.takeConfirmed(round)',
    'this.#reads.takeConfirmed(this.#reads.round)',
  ),
  inRaft(
    'read before an own commit',
    'leadership.ts',
    'if (this.#reads.hasAsked && this.#hasCommittedOwn) {',
    'if (this.#reads.hasAsked) {',
  ),
  inRaft(
    'pre-vote request changes the term',
    'raft-core.ts',
    'if (!message.preVote) this.#becomeFollower(message.term, null)',
    'this.#becomeFollower(message.term, null)',
  ),
  inRaft('snapshot acknowledged and not installed', 'snapshot-receiver.ts', '      this.#install(incoming)\n', ''),
  inRaft(
    'older snapshot than what is committed is loaded',
    'snapshot-receiver.ts',
    'if (point.index <= state.commitIndex) {',
    'if (point.index < 0) {',
  ),
  inRaft(
    'uncommitted entries without bound',
    'leadership.ts',
    "if (bytes > 0 && bytes + weightOf({ data }) > limit) return 'TOO_MUCH_UNCOMMITTED'\n",
    '',
  ),
  inRaft(
    'window to a follower without bound',
    'replication.ts',
    'const room = state.options.maxInFlightBytes - peer.inFlightBytes',
    'const room = state.options.maxAppendBytes',
  ),
  inRaft(
    'removed voter counts its own vote',
    'raft-core.ts',
    'if (state.isVoter) this.#ballot.record(state.self.id, true)',
    'this.#ballot.record(state.self.id, true)',
  ),
  inRaft(
    'removed voter never campaigns',
    'election.ts',
    'return !state.votersCommitted && before !== null && isVoterOf(before.voters, state.self)',
    'return false',
  ),
]
