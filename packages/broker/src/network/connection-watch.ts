import type { Clock, Timer, Timers } from '@millrace/base'
import type { Connection } from './connection.ts'

const SCAN_MS = 5_000
/** So many are looked at in one go: less than a millisecond. More are spread over the time of a scan. */
const SLICE_CONNECTIONS = 256
/** A frame that was begun must make progress: this many bytes in this time, or the connection closes (`reliability.md`, 6.1). */
const STALLED_FRAME_MS = 30_000
const STALLED_FRAME_MIN_BYTES = 16 * 1024
/** Who is sent an answer must take this much of it within `answer.read.timeout.ms`, or all of it. */
const UNREAD_MIN_BYTES = 64 * 1024

/** Why a connection was closed. */
export type CloseReason = 'idle' | 'stalled-frame' | 'unread-answers'

export interface WatchLimits {
  readonly maxIdleMs: number
  readonly answerReadTimeoutMs: number
}

interface Watched {
  connection: Connection
  /** Its place among all. */
  slot: number
  /** Bytes received at the last change, and when that was. */
  receivedBytes: number
  changedMs: number
  /** Bytes received when the current frame was first seen incomplete, and when; -1: none. */
  frameBytes: number
  frameSinceMs: number
  /** Frames complete before the current one. */
  frameNumber: number
  /** Bytes of whole writes that the peer had taken, and of the one on its way that it had not, when it last took some; and when. */
  takenBytes: number
  untakenBytes: number
  untakenSinceMs: number
}

/**
 * Closes connections that are idle longer than `connections.max.idle.ms`, those that trickle a frame and those whose peer does not
 * take its answers. It samples counters every few seconds, so the read path pays one addition.
 */
export class ConnectionWatch {
  readonly #watched = new Map<Connection, Watched>()
  /**
   * The same, in no order: an iterator of the map, kept from slice to slice, would hold all that were removed since it was made.
   */
  readonly #all: Watched[] = []
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #limits: WatchLimits
  readonly #onClosed: (connection: Connection, reason: CloseReason) => void
  #timer: Timer | null = null
  /** The scan under way, from the last slot to the first: how many are left, and the pause between its slices. */
  #leftCount = 0
  #pauseMs = SCAN_MS

  constructor(
    clock: Clock,
    timers: Timers,
    limits: WatchLimits,
    onClosed: (connection: Connection, reason: CloseReason) => void,
  ) {
    this.#clock = clock
    this.#timers = timers
    this.#limits = limits
    this.#onClosed = onClosed
  }

  get size(): number {
    return this.#watched.size
  }

  connections(): Iterable<Connection> {
    return this.#watched.keys()
  }

  add(connection: Connection): void {
    const nowMs = this.#clock.monotonicMs()
    const watched: Watched = {
      connection,
      slot: this.#all.length,
      receivedBytes: 0,
      changedMs: nowMs,
      frameBytes: -1,
      frameSinceMs: 0,
      frameNumber: 0,
      takenBytes: 0,
      untakenBytes: 0,
      untakenSinceMs: 0,
    }
    this.#watched.set(connection, watched)
    this.#all.push(watched)
    this.#timer ??= this.#timers.setTimer(SCAN_MS, () => this.#scan())
  }

  remove(connection: Connection): void {
    const watched = this.#watched.get(connection)
    if (watched === undefined) return
    this.#watched.delete(connection)
    // The last one takes its place: a scan goes downwards, so it has had its turn, or has it twice, or came after the scan began.
    const last = this.#all.pop()!
    if (last === watched) return
    this.#all[watched.slot] = last
    last.slot = watched.slot
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #scan(): void {
    const nowMs = this.#clock.monotonicMs()
    if (this.#leftCount === 0) this.#begin()
    for (let n = Math.min(SLICE_CONNECTIONS, this.#leftCount); n > 0; n--) {
      this.#leftCount--
      // Where some were removed meanwhile the last slots may be empty.
      const watched = this.#all[this.#leftCount]
      if (watched !== undefined) this.#check(watched, nowMs)
    }
    this.#timer = this.#watched.size > 0 ? this.#timers.setTimer(this.#pauseMs, () => this.#scan()) : null
  }

  /** Who comes after this waits for the next scan, or a flood of new connections would keep this one from its end. */
  #begin(): void {
    const count = this.#watched.size
    this.#leftCount = count
    this.#pauseMs = SCAN_MS / Math.max(1, Math.ceil(count / SLICE_CONNECTIONS))
  }

  #check(watched: Watched, nowMs: number): void {
    const { connection } = watched
    if (connection.receivedBytes !== watched.receivedBytes) {
      watched.receivedBytes = connection.receivedBytes
      watched.changedMs = nowMs
    } else if (nowMs - watched.changedMs > this.#limits.maxIdleMs && mayIdleOut(connection)) {
      this.#close(connection, 'idle')
      return
    }
    if (this.#leavesAnswers(watched, nowMs)) {
      this.#close(connection, 'unread-answers')
      return
    }
    if (!connection.hasPartialFrame) {
      watched.frameBytes = -1
      return
    }
    const isAnother = watched.frameBytes < 0 || watched.frameNumber !== connection.receivedFrames
    if (isAnother || connection.receivedBytes - watched.frameBytes >= STALLED_FRAME_MIN_BYTES) {
      watched.frameNumber = connection.receivedFrames
      watched.frameBytes = connection.receivedBytes
      watched.frameSinceMs = nowMs
    } else if (nowMs - watched.frameSinceMs > STALLED_FRAME_MS) {
      this.#close(connection, 'stalled-frame')
    }
  }

  #leavesAnswers(watched: Watched, nowMs: number): boolean {
    const { connection } = watched
    connection.settleAnswers()
    const { bufferedBytes } = connection.transport
    const taken = connection.writtenBytes - bufferedBytes
    const untaken = bufferedBytes === 0 ? 0 : connection.transport.untakenBytes
    if (bufferedBytes === 0 || taken > watched.takenBytes || watched.untakenBytes - untaken >= UNREAD_MIN_BYTES) {
      watched.takenBytes = taken
      watched.untakenBytes = untaken
      watched.untakenSinceMs = nowMs
      return false
    }
    return nowMs - watched.untakenSinceMs > this.#limits.answerReadTimeoutMs
  }

  #close(connection: Connection, reason: CloseReason): void {
    this.#onClosed(connection, reason)
    connection.close()
  }
}

/** Who waits for an answer is not idle; but a peer that has ended its side may be gone, and its answer is not waited for without end. */
function mayIdleOut(connection: Connection): boolean {
  return connection.waitingRequests === 0 || connection.peerEnded
}
