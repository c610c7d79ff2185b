import { weightOf } from './log-view.ts'
import type { Progress } from './progress.ts'
import type { ReplicaState } from './replica-state.ts'

/**
 * Sends a peer what it lacks and its window has room for. `always`: one message even if there is nothing to tell, since the answer says
 * whether the logs agree at its end. Turns to a snapshot where the log does not reach back far enough.
 */
export function sendAppends(state: ReplicaState, peer: Progress, readRound: number, always: boolean): void {
  if (peer.state === 'probe') {
    if (peer.probeSent) return
    if (sendAppend(state, peer, readRound, state.options.maxAppendBytes)) peer.probeSent = true
    return
  }
  if (always) {
    sendAppend(state, peer, readRound, 0)
    return
  }
  while (peer.state === 'replicate' && peer.nextIndex <= state.log.lastIndex) {
    const room = state.options.maxInFlightBytes - peer.inFlightBytes
    if (room <= 0 || !sendAppend(state, peer, readRound, Math.min(state.options.maxAppendBytes, room))) return
  }
}

/** One message with entries up to `maxBytes`, none for 0. False if they do not fit, or if the log does not reach back to where they begin. */
function sendAppend(state: ReplicaState, peer: Progress, readRound: number, maxBytes: number): boolean {
  const { log, commitIndex } = state
  const previousIndex = peer.nextIndex - 1
  const previous = log.pointAt(previousIndex)
  if (previous === null) {
    beginSnapshot(state, peer)
    return false
  }
  const entries = maxBytes === 0 ? [] : log.entries(peer.nextIndex, log.lastIndex + 1, maxBytes)
  const bytes = entries.reduce((sum, entry) => sum + weightOf(entry), 0)
  // The first entry comes whatever its size. One larger than the whole window goes alone.
  if (bytes > maxBytes && peer.inFlightBytes > 0) return false
  state.send(peer.replica, {
    type: 'append',
    previousIndex,
    previousTerm: previous.term,
    previousChain: previous.chain,
    entries,
    commitIndex,
    readRound,
  })
  if (peer.state !== 'replicate') return true
  const last = previousIndex + entries.length
  peer.toldCommitIndex = Math.max(peer.toldCommitIndex, Math.min(commitIndex, last))
  if (entries.length > 0) peer.onSent(last, bytes)
  return true
}

/** Tells the commit index as far as the peer is known to match, never beyond: what it has after that may be something else. */
export function sendHeartbeat(state: ReplicaState, peer: Progress, readRound: number): void {
  const commitIndex = Math.min(peer.matchIndex, state.commitIndex)
  peer.toldCommitIndex = commitIndex
  state.send(peer.replica, { type: 'heartbeat', commitIndex, readRound })
}

function beginSnapshot(state: ReplicaState, peer: Progress): void {
  const point = state.log.snapshotPoint
  if (point === null) return
  peer.becomeSnapshot(point)
  sendSnapshotChunk(state, peer)
}

/** The next chunk, if the last one was answered. A newer snapshot that took the place of the one under way is sent from its beginning. */
export function sendSnapshotChunk(state: ReplicaState, peer: Progress): void {
  const newest = state.log.snapshotPoint
  if (newest === null || peer.snapshot === null || peer.snapshot.waiting) return
  if (newest.index !== peer.snapshot.point.index) peer.becomeSnapshot(newest)
  const { snapshot } = peer
  const { index } = snapshot.point
  const chunk = state.log.readSnapshot(index, snapshot.offset, state.options.maxSnapshotChunkBytes)
  if (chunk === null) return
  const { data, sizeBytes } = chunk
  const { offset, point } = snapshot
  snapshot.sizeBytes = sizeBytes
  snapshot.waiting = true
  snapshot.heartbeatsWaited = 0
  snapshot.expectedOffset = offset + data.length
  snapshot.retryOffset = offset
  state.send(peer.replica, { type: 'snapshotChunk', snapshot: point, sizeBytes, offset, data })
}
