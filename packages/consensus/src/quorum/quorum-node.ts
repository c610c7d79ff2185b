import { assert } from '@millrace/base'
import { DamagedLogError, LogWriteError, REJOIN_REMEDY } from '../log/damaged-log-error.ts'
import { decodeMessage, encodeMessage } from '../raft/message-codec.ts'
import { RaftCore } from '../raft/raft-core.ts'
import type { Refusal } from '../raft/raft-options.ts'
import type { Entry, LogIndex, Message, RaftStatus, Ready, Voter } from '../raft/types.ts'
import { PeerChannel, type PeerEvents, type PeerLoss } from '../transport/peer-transport.ts'
import { DivergenceNotice } from './divergence-notice.ts'
import { PeerAddresses } from './peer-addresses.ts'
import { PendingReads } from './pending-reads.ts'
import type { Quorum } from './quorum.ts'
import { NotLeaderError, QuorumStoppedError } from './quorum-errors.ts'
import { QuorumNews } from './quorum-news.ts'
import {
  DEFAULT_QUORUM_LIMITS,
  DEFAULT_QUORUM_TIMING,
  type QuorumLimits,
  type QuorumNodeOptions,
  type QuorumTiming,
} from './quorum-options.ts'
import { SnapshotSchedule } from './snapshot-schedule.ts'
import { StallWatch } from './stall-watch.ts'
import { TickTimer } from './tick-timer.ts'
import { VoterChanges } from './voter-changes.ts'

const SNAPSHOT_READ_BYTES = 1024 * 1024

/**
 * Runs a {@link RaftCore}: messages and ticks go in, and of each `Ready` first what may leave early is sent, then all is made durable, then
 * the rest is sent and applied. One write is under way at most; what comes meanwhile collects in the core for the next. Work is done in a
 * microtask after the call that made it, so that the listener is never called from inside a call into this object.
 *
 * A node that has lost entries it had acknowledged (`RaftStore.mayVote`) only listens: it hears no vote requests and its election timer
 * stands still until a leader has brought them back.
 */
export class QuorumNode implements Quorum, PeerEvents {
  readonly #options: QuorumNodeOptions
  readonly #timing: QuorumTiming
  readonly #limits: QuorumLimits
  readonly #core: RaftCore
  readonly #reads: PendingReads
  readonly #changes: VoterChanges
  readonly #schedule: SnapshotSchedule
  readonly #ticks: TickTimer
  readonly #stalls: StallWatch
  readonly #news: QuorumNews
  readonly #addresses: PeerAddresses
  readonly #divergence: DivergenceNotice
  #initialSnapshot: { readonly index: LogIndex; readonly data: Buffer } | null
  #isPumpScheduled: boolean
  #isPumping: boolean
  #writing: Promise<void> | null
  #isStopped: boolean
  #failure: Error | null
  #saving: Promise<void>
  #badMessageCount: number
  #droppedMessageCount: number
  #writeStartMs: number
  #writeCount: number
  #lastWriteMs: number

  /** Begins at once. Throws `DamagedLogError` if the store finds damage. */
  constructor(options: QuorumNodeOptions) {
    const { self, store, clock, random, bootstrapVoters, bootstrapEndpoints } = options
    this.#options = options
    this.#timing = { ...DEFAULT_QUORUM_TIMING, ...options.timing }
    this.#limits = { ...DEFAULT_QUORUM_LIMITS, ...options.limits }
    const snapshot = store.snapshot
    this.#initialSnapshot = snapshot === null ? null : { index: snapshot.index, data: readWholeSnapshot(options) }
    this.#core = new RaftCore({
      self,
      log: store,
      bootstrapVoters,
      contacts: [...bootstrapEndpoints.keys()].filter((id) => id !== self.id),
      appliedIndex: snapshot?.index ?? 0,
      random,
      electionTicks: this.#timing.electionTicks,
      heartbeatTicks: this.#timing.heartbeatTicks,
      maxAppendBytes: this.#limits.maxAppendBytes,
      maxInFlightBytes: this.#limits.maxInFlightBytes,
      maxSnapshotChunkBytes: this.#limits.maxSnapshotChunkBytes,
      maxUncommittedBytes: this.#limits.maxUncommittedBytes,
      maxCommittedBytes: this.#limits.maxCommittedBytes,
    })
    this.#reads = new PendingReads()
    const nowMs = () => clock.monotonicMs()
    this.#changes = new VoterChanges(this.#core, nowMs, this.#timing.catchUpTimeoutMs)
    this.#schedule = new SnapshotSchedule(this.#limits.snapshotBytes, this.#timing.snapshotIntervalMs, nowMs())
    this.#isPumpScheduled = false
    this.#isPumping = false
    this.#writing = null
    this.#isStopped = false
    this.#failure = null
    this.#saving = Promise.resolve()
    this.#badMessageCount = 0
    this.#droppedMessageCount = 0
    this.#writeStartMs = 0
    this.#writeCount = 0
    this.#lastWriteMs = 0
    this.#stalls = new StallWatch()
    this.#news = new QuorumNews(options.listener)
    this.#addresses = new PeerAddresses(options)
    this.#divergence = new DivergenceNotice()
    const { tickMs, electionTicks } = this.#timing
    this.#ticks = new TickTimer({
      clock,
      timers: options.timers,
      tickMs,
      maxLateMs: (electionTicks * tickMs) / 2,
      onTick: () => this.#onTick(),
      onStall: () => this.#stalls.onStall(this.#core.status.role === 'leader' ? () => this.readIndex() : null),
    })
    this.#schedulePump()
  }

  get status(): RaftStatus {
    return this.#core.status
  }

  /** False from a stall of this process until a quorum has answered again: what the leader knows may be out of date. */
  get isConfirmed(): boolean {
    return this.#stalls.isConfirmed
  }

  /** Ticks that came late by more than half an election timeout. */
  get stallCount(): number {
    return this.#stalls.count
  }

  /** Frames of peers that were no messages, or not the sender's own. */
  get badMessageCount(): number {
    return this.#badMessageCount
  }

  /** Messages that the transport did not take. */
  get droppedMessageCount(): number {
    return this.#droppedMessageCount
  }

  get writeCount(): number {
    return this.#writeCount
  }

  /** How long the last finished write took. */
  get lastWriteMs(): number {
    return this.#lastWriteMs
  }

  get isWriting(): boolean {
    return this.#writing !== null
  }

  get pendingReadCount(): number {
    return this.#reads.count
  }

  /** Entries known to be committed that the state machine has not seen. */
  get applyLag(): number {
    const { commitIndex, appliedIndex } = this.#core.status
    return commitIndex - appliedIndex
  }

  propose(data: Buffer): LogIndex | Refusal {
    if (this.#isStopped) return 'NOT_LEADER'
    return this.#call(() => this.#core.propose(data), 'NOT_LEADER')
  }

  readIndex(): Promise<LogIndex> {
    if (this.#isStopped) return Promise.reject(new QuorumStoppedError(this.#failure))
    if (this.#reads.count >= this.#limits.maxPendingReads) return Promise.reject(new NotLeaderError(this.#leaderId))
    const { token, result } = this.#reads.add()
    this.#call(() => this.#core.readIndex(token), undefined)
    return result
  }

  addVoter(voter: Voter): Promise<Refusal | null> {
    return this.#change(() => this.#changes.add(voter))
  }

  removeVoter(id: number, directoryId: string): Promise<Refusal | null> {
    return this.#change(() => this.#changes.remove(id, directoryId))
  }

  updateVoter(voter: Voter): Promise<Refusal | null> {
    return this.#change(() => this.#changes.update(voter))
  }

  transferLeadership(to: number): void {
    this.#call(() => this.#core.transferLeadership(to), undefined)
  }

  resign(): void {
    this.#call(() => this.#core.resign(), undefined)
  }

  /** One after another; older ones than the newest are dropped. Rejects if the node has stopped or the write fails, which is fatal. */
  saveSnapshot(index: LogIndex, data: Buffer): Promise<void> {
    const result = this.#saving.then(() => this.#save(index, data))
    this.#saving = result.then(
      () => undefined,
      () => undefined,
    )
    return result
  }

  /**
   * Hands leadership over if it has it, and ends once nothing is being written, or after `closeTimeoutMs` (a disk that hangs), or at once
   * after a failure. Store and transport stay open.
   */
  async close(): Promise<void> {
    if (!this.#isStopped) {
      this.resign()
      this.#pump()
      this.#stop(null)
    }
    if (this.#failure !== null) return
    const { timers } = this.#options
    await new Promise<void>((resolve) => {
      const limit = timers.setTimer(this.#timing.closeTimeoutMs, () => resolve())
      void Promise.all([this.#writing, this.#saving]).then(() => {
        limit.cancel()
        resolve()
      })
    })
  }

  onMessage(from: number, channel: PeerChannel, payload: Buffer): void {
    if (channel !== PeerChannel.RAFT || this.#isStopped) return
    const message = decodeMessage(payload)
    if (message === null || message.from.id !== from) {
      this.#badMessageCount++
      return
    }
    if (!this.#mayVote && (message.type === 'voteRequest' || message.type === 'timeoutNow')) return
    this.#call(() => this.#core.step(message), undefined)
  }

  onConnected(): void {
    // Messages find out; the core has its own ways to try again.
  }

  onLost(peer: number, why: PeerLoss): void {
    if (this.#isStopped) return
    // A silent peer may live: elections come by their own timeout then.
    if (why === 'silent' || !this.#mayVote) this.#call(() => this.#core.reportUnreachable(peer), undefined)
    else this.#call(() => this.#core.onPeerLost(peer), undefined)
  }

  onWritable(): void {
    this.#schedulePump()
  }

  get #leaderId(): number | null {
    return this.#core.status.leaderId
  }

  get #mayVote(): boolean {
    return this.#options.store.mayVote !== false
  }

  /** Into the core; what throws there is final. */
  #call<T>(run: () => T, otherwise: T): T {
    if (this.#isStopped) return otherwise
    try {
      return run()
    } catch (error) {
      this.#stop(error as Error)
      return otherwise
    } finally {
      this.#schedulePump()
    }
  }

  #change(run: () => Promise<Refusal | null>): Promise<Refusal | null> {
    return this.#call(run, Promise.resolve('NOT_LEADER'))
  }

  #onTick(): void {
    const nowMs = this.#options.clock.monotonicMs()
    const divergence = this.#divergence.take(this.#core.status, nowMs)
    if (divergence !== null) this.#options.onProblem?.(divergence)
    const { writeTimeoutMs } = this.#timing
    if (this.#writing !== null && this.#writeStartMs + writeTimeoutMs < nowMs) {
      this.#stop(new LogWriteError('LOG_DISK_IO', `A write of the quorum log has not ended in ${writeTimeoutMs} ms`))
      return
    }
    this.#call(() => {
      // Who may not vote must not campaign either; only an observer's timer makes it ask for the leader.
      if (this.#mayVote || this.#core.status.role === 'observer') this.#core.tick()
      this.#changes.onTick()
    }, undefined)
  }

  #schedulePump(): void {
    if (this.#isPumpScheduled || this.#isStopped) return
    this.#isPumpScheduled = true
    queueMicrotask(() => {
      this.#isPumpScheduled = false
      this.#pump()
    })
  }

  #pump(): void {
    if (this.#isPumping || this.#isStopped) return
    if (this.#writing !== null) {
      this.#showLife()
      return
    }
    this.#isPumping = true
    try {
      this.#begin()
      while (!this.#isStopped && this.#writing === null && this.#core.hasReady) this.#handle(this.#core.takeReady())
      if (this.#writing === null) this.#tell()
      if (this.#schedule.takeDue(this.#options.clock.monotonicMs())) this.#options.listener.onSnapshotDue()
    } catch (error) {
      this.#stop(error as Error)
    } finally {
      this.#isPumping = false
    }
  }

  #showLife(): void {
    if (this.#options.clock.monotonicMs() - this.#writeStartMs > this.#timing.slowWriteMs) return
    try {
      this.#send(this.#core.takeSignsOfLife())
    } catch (error) {
      this.#stop(error as Error)
    }
  }

  #begin(): void {
    const initial = this.#initialSnapshot
    this.#initialSnapshot = null
    if (!this.#addresses.isSet) {
      const { voters } = this.#core.status
      const { self, bootstrapEndpoints } = this.#options
      // Only another voter can lead, and so bring back what is lost.
      const others = voters.length > 0 ? voters.map(({ id }) => id) : [...bootstrapEndpoints.keys()]
      if (!this.#mayVote && others.every((id) => id === self.id)) {
        const where = `node ${self.id}`
        throw new DamagedLogError('Damaged entries of the quorum log exist nowhere else', where, REJOIN_REMEDY)
      }
    }
    this.#addresses.follow(this.#core.status)
    if (initial !== null) this.#options.listener.onSnapshot(initial.index, initial.data)
  }

  #handle(ready: Ready): void {
    this.#send(ready.messagesBeforeWrite)
    const { hardState, truncateFrom, entries, snapshot } = ready
    if (hardState === null && truncateFrom === null && entries.length === 0 && snapshot === null) {
      this.#finish(ready)
      return
    }
    this.#writeStartMs = this.#options.clock.monotonicMs()
    this.#writing = this.#options.store.write({ hardState, truncateFrom, entries, snapshot }).then(
      () => {
        this.#writing = null
        this.#writeCount++
        this.#lastWriteMs = this.#options.clock.monotonicMs() - this.#writeStartMs
        if (this.#isStopped) return
        this.#call(() => this.#finish(ready), undefined)
        this.#pump()
      },
      (error: unknown) => {
        this.#writing = null
        this.#stop(error as Error)
      },
    )
  }

  #finish(ready: Ready): void {
    this.#send(ready.messages)
    this.#tell()
    const { listener } = this.#options
    if (ready.snapshot !== null) {
      this.#schedule.reset(this.#options.clock.monotonicMs())
      listener.onSnapshot(ready.snapshot.point.index, ready.snapshot.data)
    }
    if (ready.committed.length > 0) listener.onCommitted(ready.committed)
    if (this.#isStopped) return
    this.#core.advance()
    for (const { token, index } of ready.reads) this.#reads.onConfirmed(token, index)
    for (const token of ready.refusedReads) this.#reads.onRefused(token, new NotLeaderError(this.#leaderId))
    this.#onApplied(ready.committed)
    this.#reads.onApplied(this.#core.status.appliedIndex)
    this.#addresses.follow(this.#core.status)
    this.#tell()
  }

  #onApplied(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.#schedule.onApplied(entry.data.length)
      this.#changes.onApplied(entry.index, entry.term)
      this.#news.onApplied(entry, this.#core.status)
    }
  }

  #tell(): void {
    const { status } = this.#core
    this.#news.tell(status)
    if (status.role !== 'leader') this.#changes.onDeposed()
  }

  #send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (this.#options.transport.send(message.to.id, PeerChannel.RAFT, encodeMessage(message))) continue
      this.#droppedMessageCount++
      if (message.type === 'append' || message.type === 'snapshotChunk') this.#core.reportUnreachable(message.to.id)
    }
  }

  async #save(index: LogIndex, data: Buffer): Promise<void> {
    if (this.#isStopped) throw new QuorumStoppedError(this.#failure)
    const { store } = this.#options
    if (store.snapshot !== null && index <= store.snapshot.index) return
    const point = this.#core.snapshotPoint(index)
    assert(point !== null, 'a snapshot is of what was applied and is still in the log')
    try {
      await store.saveSnapshot(point, data, Math.max(1, index + 1 - this.#limits.keptEntryCount))
    } catch (error) {
      this.#stop(error as Error)
      throw error
    }
    this.#call(() => this.#core.onSnapshotSaved(), undefined)
  }

  /** For good. `error`: what it failed of, or null. */
  #stop(error: Error | null): void {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#failure = error
    this.#ticks.stop()
    this.#reads.rejectAll(new QuorumStoppedError(error))
    this.#changes.onStopped()
    if (error !== null) queueMicrotask(() => this.#options.onFatal(error))
  }
}

function readWholeSnapshot(options: QuorumNodeOptions): Buffer {
  const { store } = options
  const index = store.snapshot!.index
  const parts: Buffer[] = []
  let position = 0
  for (;;) {
    const part = store.readSnapshot(index, position, SNAPSHOT_READ_BYTES)
    assert(part !== null, 'the newest snapshot can be read')
    parts.push(part.data)
    position += part.data.length
    if (position >= part.sizeBytes) return Buffer.concat(parts)
  }
}
