import type { LogIndex, PeerStatus, ReplicaKey, SnapshotPoint } from './types.ts'

interface InFlight {
  readonly lastIndex: LogIndex
  readonly bytes: number
}

/** How far a snapshot has got. One chunk is under way at a time. */
export interface SnapshotTransfer {
  readonly point: SnapshotPoint
  /** -1: not known before the first chunk was read. */
  sizeBytes: number
  /** Where the next chunk begins. */
  offset: number
  /** What the answer to the chunk under way will ask for. */
  expectedOffset: number
  /** Where to go on if that answer does not come. */
  retryOffset: number
  /** A chunk was sent and not answered yet. */
  waiting: boolean
  /** Heartbeats answered meanwhile: after the second the chunk counts as lost. */
  heartbeatsWaited: number
}

/**
 * What the leader knows of a peer. `probe`: where the logs agree is not known, one message at a time finds it. `replicate`: entries are
 * sent ahead of the answers, limited in bytes. `snapshot`: what the peer lacks is not in the log any more.
 */
export class Progress {
  readonly replica: ReplicaKey
  isVoter: boolean
  state: 'probe' | 'replicate' | 'snapshot'
  /** Known to be durable there and equal to our log. */
  matchIndex: LogIndex
  /** The next entry to send. */
  nextIndex: LogIndex
  /** `probe`: the one message is under way. */
  probeSent: boolean
  snapshot: SnapshotTransfer | null
  inFlightBytes: number
  silentTicks: number
  /** The newest read round that it answered. */
  readRound: number
  /** The commit index it was told last. A message may be lost: the next heartbeat tells it again. */
  toldCommitIndex: LogIndex
  /** Where the log ended at the last heartbeat but one is what it has: it keeps pace. */
  caughtUp: boolean
  #targetIndex: LogIndex
  #heartbeatMatchIndex: LogIndex
  #inFlight: InFlight[]

  constructor(replica: ReplicaKey, isVoter: boolean, nextIndex: LogIndex) {
    this.replica = { id: replica.id, directoryId: replica.directoryId }
    this.isVoter = isVoter
    this.state = 'probe'
    this.matchIndex = 0
    this.nextIndex = nextIndex
    this.probeSent = false
    this.snapshot = null
    this.inFlightBytes = 0
    this.silentTicks = 0
    this.readRound = 0
    this.toldCommitIndex = 0
    this.caughtUp = false
    this.#targetIndex = nextIndex
    this.#heartbeatMatchIndex = -1
    this.#inFlight = []
  }

  get status(): PeerStatus {
    return {
      id: this.replica.id,
      directoryId: this.replica.directoryId,
      isVoter: this.isVoter,
      matchIndex: this.matchIndex,
      state: this.state,
      inFlightBytes: this.inFlightBytes,
      silentTicks: this.silentTicks,
    }
  }

  /** Entries up to `lastIndex` were sent. */
  onSent(lastIndex: LogIndex, bytes: number): void {
    this.nextIndex = lastIndex + 1
    this.#inFlight.push({ lastIndex, bytes })
    this.inFlightBytes += bytes
  }

  /** Everything up to `index` is durable there. False if that was known. */
  onMatch(index: LogIndex): boolean {
    while (this.#inFlight.length > 0 && this.#inFlight[0]!.lastIndex <= index) {
      this.inFlightBytes -= this.#inFlight.shift()!.bytes
    }
    this.nextIndex = Math.max(this.nextIndex, index + 1)
    if (index <= this.matchIndex) return false
    this.matchIndex = index
    return true
  }

  /** It refuses what it had confirmed: its log was damaged. It gets again what it lost; nothing is known to match. */
  onLost(): void {
    this.matchIndex = 0
  }

  /** Finds out anew where the logs agree. `paused`: not before the peer is heard. */
  becomeProbe(nextIndex: LogIndex, paused: boolean): void {
    this.state = 'probe'
    this.nextIndex = Math.max(nextIndex, this.matchIndex + 1)
    this.probeSent = paused
    this.#clear()
  }

  becomeReplicate(): void {
    this.state = 'replicate'
    this.nextIndex = this.matchIndex + 1
    this.probeSent = false
    this.#clear()
  }

  becomeSnapshot(point: SnapshotPoint): void {
    this.state = 'snapshot'
    this.#clear()
    this.snapshot = {
      point,
      sizeBytes: -1,
      offset: 0,
      expectedOffset: 0,
      retryOffset: 0,
      waiting: false,
      heartbeatsWaited: 0,
    }
  }

  /** At each heartbeat the leader sends: keeps {@link caughtUp}. */
  onHeartbeatSent(lastIndex: LogIndex): void {
    this.caughtUp = this.state === 'replicate' && this.matchIndex >= this.#targetIndex
    this.#targetIndex = lastIndex
  }

  /** At each answer to a heartbeat: whether what was sent seems lost, since nothing was confirmed from the last answer to this one. */
  seemsStuck(): boolean {
    const stuck = this.matchIndex === this.#heartbeatMatchIndex
    this.#heartbeatMatchIndex = this.matchIndex
    return stuck
  }

  #clear(): void {
    this.snapshot = null
    this.#inFlight = []
    this.inFlightBytes = 0
  }
}
