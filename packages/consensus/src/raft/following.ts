import { chainOf } from './chain.ts'
import type { LogPoint } from './log-view.ts'
import type { ReplicaState } from './replica-state.ts'
import type { Entry, LogIndex, MessageOf, Term } from './types.ts'

/**
 * The last position at or before `index` whose term is at most `term`: two logs cannot agree after it if one has an entry of `term` at
 * `index`. Both sides skip with it, so that a long divergence costs a message for each term and not for each entry (Raft 5.3, end). Terms
 * never fall along the log, so it is found by halving. Where the log begins later, the position before that.
 */
export function agreementBound(state: ReplicaState, index: LogIndex, term: Term): { index: LogIndex; term: Term } {
  const { log } = state
  let low = log.firstIndex - 2
  let high = Math.min(index, log.lastIndex)
  // At `low` the term is small enough or not known; the answer is never above `high`.
  while (low < high) {
    const middle = low + Math.ceil((high - low) / 2)
    const point = log.pointAt(middle)
    if (point !== null && point.term > term) high = middle - 1
    else low = middle
  }
  return { index: Math.max(high, 0), term: log.pointAt(high)?.term ?? 0 }
}

/**
 * What is here at `index` has the leader's term and another chain: one of the logs is damaged, or of another quorum. Where the leader has
 * committed its own, a majority has confirmed that chain by chain, without this node; then everything here that is not known to be
 * committed is cut off, to be fetched again, and no quorum forgets anything by it. Otherwise nothing is changed: nobody can tell which is
 * right (`reliability.md`, 5.2). True: it was cut off.
 */
export function mendDivergence(state: ReplicaState, index: LogIndex, leaderCommitIndex: LogIndex): boolean {
  state.counters.chainMismatches++
  if (index <= state.commitIndex || index > leaderCommitIndex) return false
  state.counters.mendedDivergences++
  state.log.truncate(state.commitIndex + 1)
  return true
}

/** The leader's entries (Raft 5.3). The answer leaves when the entries are durable (C10). */
export function handleAppend(state: ReplicaState, message: MessageOf<'append'>): void {
  const { log } = state
  const { previousIndex, previousTerm } = message
  const local = log.pointAt(previousIndex)
  if (local !== null && local.term === previousTerm && !local.chain.equals(message.previousChain)) {
    if (mendDivergence(state, previousIndex, message.commitIndex)) refuse(state, message)
    return
  }
  if (previousIndex < state.commitIndex) {
    // Late or repeated: what is committed is known to match, or somebody's log is damaged.
    if (contradictsCommitted(state, message)) state.counters.chainMismatches++
    else acknowledge(state, message, state.commitIndex)
    return
  }
  if (local === null || local.term !== previousTerm) {
    refuse(state, message)
    return
  }
  // The leader's window bounds this; one that does not keep to it, or several in a row, must not fill our memory.
  if (log.unstableBytes > 2 * state.options.maxInFlightBytes) return
  const diverging = firstDiverging(state, message.entries)
  if (diverging !== null && !mendDivergence(state, diverging, message.commitIndex)) return
  if (!appendEntries(state, local, message.entries)) {
    state.counters.chainMismatches++
    return
  }
  const lastNew = previousIndex + message.entries.length
  state.commitIndex = Math.max(state.commitIndex, Math.min(message.commitIndex, lastNew))
  acknowledge(state, message, lastNew)
}

/** Whether the message, which begins below the commit index, has other entries there. The last chain there covers all before it. */
function contradictsCommitted(state: ReplicaState, message: MessageOf<'append'>): boolean {
  const { previousIndex, previousTerm, entries } = message
  const before = state.log.pointAt(previousIndex)
  if (before !== null && before.term !== previousTerm) return true
  const last = entries[Math.min(entries.length, state.commitIndex - previousIndex) - 1]
  const local = last === undefined ? null : state.log.pointAt(last.index)
  return local !== null && !local.chain.equals(last!.chain)
}

/** Index of the first entry that has the leader's term here and another chain, before the first of another term; null: none. */
function firstDiverging(state: ReplicaState, entries: readonly Entry[]): LogIndex | null {
  for (const { index, term, chain } of entries) {
    const local = state.log.pointAt(index)
    if (local === null || local.term !== term) return null
    if (!local.chain.equals(chain)) return index
  }
  return null
}

/** Cuts off from the first conflict and adds what is new; what matches stays untouched. False, and nothing changed, if a chain does not fit. */
function appendEntries(state: ReplicaState, previous: LogPoint, entries: readonly Entry[]): boolean {
  const { log } = state
  let slot = 0
  let chain = previous.chain
  for (; slot < entries.length; slot++) {
    const entry = entries[slot]!
    const local = log.pointAt(entry.index)
    if (local === null || local.term !== entry.term) break
    chain = entry.chain
  }
  if (slot === entries.length) return true
  const fresh = entries.slice(slot)
  for (const entry of fresh) {
    if (!chainOf(chain, entry).equals(entry.chain)) return false
    chain = entry.chain
  }
  const from = fresh[0]!.index
  // A leader that has other entries than those which are committed cannot be (C6): somebody's log is damaged.
  if (from <= state.commitIndex) return false
  log.truncate(from)
  log.append(fresh)
  return true
}

function acknowledge(state: ReplicaState, message: MessageOf<'append'>, index: LogIndex): void {
  const { readRound } = message
  state.send(message.from, { type: 'appendReply', success: true, index, hintIndex: 0, hintTerm: 0, readRound })
}

function refuse(state: ReplicaState, message: MessageOf<'append'>): void {
  const hint = agreementBound(state, message.previousIndex, message.previousTerm)
  state.send(message.from, {
    type: 'appendReply',
    success: false,
    index: message.previousIndex,
    hintIndex: hint.index,
    hintTerm: hint.term,
    readRound: message.readRound,
  })
}

export function handleHeartbeat(state: ReplicaState, message: MessageOf<'heartbeat'>): void {
  // The leader tells no more than what it knows to match here; a greater index is another's or a lie.
  if (message.commitIndex > state.log.lastIndex) state.counters.rejectedMessages++
  else state.commitIndex = Math.max(state.commitIndex, message.commitIndex)
  const { readRound } = message
  state.send(message.from, { type: 'heartbeatReply', readRound, lastIndex: state.log.lastIndex })
}

/** To a leader whose term is over: it learns of ours from the answer and steps down (Raft 5.1). */
export function answerStaleLeader(
  state: ReplicaState,
  message: MessageOf<'append'> | MessageOf<'heartbeat'> | MessageOf<'snapshotChunk'>,
): void {
  const reply = { type: 'appendReply', success: false, index: 0, hintIndex: 0, hintTerm: 0, readRound: 0 } as const
  state.send(message.from, reply)
}
