import { assert } from '@millrace/base'
import type { ProducerIdentity } from './producer-identity.ts'

/** What the queue needs to know of a batch. `ProducerBatch` has it; tests use a plain one. */
export interface QueuedBatch {
  readonly recordCount: number
  /** First sequence number, -1 before the first sending or without idempotence. */
  baseSequence: number
  identity: ProducerIdentity | null
  /** How many batches were numbered before it under its identity. */
  place: number
  state: BatchState
  /** Gave up: its senders were told. It is kept only until its answer shows what became of it. */
  abandoned: boolean
  readonly evidence: SendEvidence
}

/** What is known of a batch's earlier sendings under its present number. */
export class SendEvidence {
  /** One ended without telling what became of it: lost, timed out, or refused after the append. */
  mayBeStored = false
  /** A later batch was stored under the same identity, so this one is too, though nobody knows where. */
  isStored = false
  /** Refused as out of order, and not in consequence of one before it. Holds for one leader. */
  isRefused = false
  /** A later one that may be stored was given up: it may be the only one that the broker remembers. */
  isSpoiled = false

  /** It got a new number, under which it was never sent. */
  clear(): void {
    this.mayBeStored = false
    this.isStored = false
    this.isRefused = false
    this.isSpoiled = false
  }
}

export type BatchState = 'open' | 'waiting' | 'in-flight' | 'retry' | 'done'

/** Where new identities come from; `ProducerIdentitySource` in the real producer. */
export interface IdentitySource {
  /** The identity changes between transactions only, and what is missing breaks the transaction: numbers are never given anew. */
  readonly isTransactional?: boolean
  current(): ProducerIdentity | null
  after(spent: ProducerIdentity): ProducerIdentity | null
}

/** Sequence numbers are int32 and start again at 0 after the largest. */
const SEQUENCE_MODULUS = 2 ** 31
const NO_GAP = -1

/**
 * Order and sequence numbers of one partition's batches: the one place that decides what may be sent next. Pure; the sender calls
 * it before each send and with each outcome.
 *
 * Batches are `waiting` until first sent, then `pending` (in flight or to be sent again) until their outcome is known. With
 * idempotence these rules hold:
 * - Numbers are given at the first sending and kept for every further one, so a batch that was stored although its answer was lost is
 *   recognised by the broker.
 * - After a failure nothing is sent until all answers are in; then everything pending is sent again in order.
 * - From the oldest pending batch to the newest there are never more than `maxInFlight`, those already stored between them included:
 *   the broker remembers the last five, and must still know the oldest when it comes again.
 * - A batch that is given up leaves a gap: unknown whether the broker has it. Pending batches then go one at a time under the old
 *   numbers. Success proves that there is no gap, and that all before it are stored, since numbers are contiguous.
 * - OUT_OF_ORDER_SEQUENCE_NUMBER for the first pending batch has two readings: what stands before it is missing, or it is stored and the
 *   broker forgot it, for one that restored its state from a snapshot knows a producer's last batch only. So all batches that may be
 *   stored are tried in turn, at one leader. The last one that is stored would be known: if all are refused, none is stored, and they get
 *   new numbers under a bumped epoch without being stored twice. Where that last one may have been given up, nothing can be proved:
 *   those before it are {@link unsettled}.
 */
export class PartitionQueue<Batch extends QueuedBatch> {
  readonly #identities: IdentitySource | null
  readonly #maxInFlight: number
  readonly #waiting: Batch[] = []
  readonly #pending: Batch[] = []
  #identity: ProducerIdentity | null = null
  #nextSequence = 0
  #nextPlace = 0
  /** Sequence number before which something is missing, or NO_GAP. Compared only within one identity. */
  #gapSequence = NO_GAP
  #mustRenumber = false
  #inFlightNodeId = -1
  #inFlightCount = 0

  /** `identities` is null without idempotence. `maxInFlight` counts batches of this partition, at most 5 with idempotence. */
  constructor(identities: IdentitySource | null, maxInFlight: number) {
    this.#identities = identities
    this.#maxInFlight = maxInFlight
  }

  /** Batches that are not done, oldest first. */
  get batches(): Batch[] {
    return [...this.#pending, ...this.#waiting]
  }

  get isEmpty(): boolean {
    return this.#pending.length === 0 && this.#waiting.length === 0
  }

  get inFlightCount(): number {
    return this.#inFlightCount
  }

  /** Whether there is something to send, now or once answers are in. */
  get hasUnsent(): boolean {
    return this.#waiting.length > 0 || this.#inFlightCount < this.#pending.length
  }

  /** The oldest batch that is not done, or null. */
  get first(): Batch | null {
    return this.#pending[0] ?? this.#waiting[0] ?? null
  }

  /** A full (or due) batch joins the end. */
  push(batch: Batch): void {
    batch.state = 'waiting'
    this.#waiting.push(batch)
  }

  /** The batch that {@link take} would give, without taking it; null if nothing may be sent to that node now. */
  peek(nodeId: number): Batch | null {
    if (this.#inFlightCount > 0 && this.#inFlightNodeId !== nodeId) return null
    if (this.#inFlightCount >= this.#maxInFlight) return null
    this.#adoptIdentity()
    // What another leader refused says nothing of this one's log.
    if (this.#inFlightNodeId !== nodeId) this.#beginRound()
    if (!this.#renumberIfDue()) return null
    const retry = this.#nextRetry()
    if (retry === 'blocked') return null
    if (retry !== null) return retry
    const batch = this.#waiting[0]
    if (batch === undefined || this.#gapSequence !== NO_GAP || this.#mustRenumber) return null
    const oldest = this.#pending[0]
    if (oldest !== undefined && this.#nextPlace - oldest.place >= this.#maxInFlight) return null
    if (this.#identities !== null && this.#identity === null) {
      this.#identity = this.#identities.current()
      this.#nextSequence = 0
      if (this.#identity === null) return null
    }
    return batch
  }

  /** Marks the batch that {@link peek} gave as in flight to the node and numbers it if it was not. */
  take(batch: Batch, nodeId: number): void {
    if (batch.state === 'waiting') {
      this.#waiting.shift()
      this.#pending.push(batch)
      this.#number(batch, this.#identity)
    }
    batch.state = 'in-flight'
    this.#inFlightNodeId = nodeId
    this.#inFlightCount++
  }

  /** The broker has it. Gives those before it that are stored as well and were refused as out of order: nobody will know where they are. */
  onStored(batch: Batch): Batch[] {
    this.#landed(batch)
    const settled = this.#markStoredBefore(batch)
    this.#removePending(batch)
    for (const one of settled) this.#removePending(one)
    this.#beginRound()
    if (this.#gapSequence !== NO_GAP && this.#isAfterGap(batch)) this.#gapSequence = NO_GAP
    return settled
  }

  /** It failed and may be sent again. `mayBeStored`: nobody knows whether it was stored. An abandoned one is dropped instead. */
  onRetriable(batch: Batch, mayBeStored: boolean): void {
    this.#landed(batch)
    if (mayBeStored) {
      batch.evidence.mayBeStored = true
      this.#beginRound()
    }
    if (batch.abandoned) this.giveUp(batch)
    else batch.state = 'retry'
  }

  /**
   * The broker misses the numbers before this batch, or knows it no more. If there are pending ones before it that were not refused, they
   * will be sent first and this may mend itself. Not for one whose evidence says that it is stored.
   */
  onOutOfOrder(batch: Batch): void {
    this.#landed(batch)
    const slot = this.#pending.indexOf(batch)
    let isConsequence = false
    for (let before = 0; before < slot; before++) isConsequence ||= !this.#pending[before]!.evidence.isRefused
    if (!isConsequence) batch.evidence.isRefused = true
    if (batch.abandoned) this.giveUp(batch)
  }

  /** Batches of which nobody can find out whether they are stored: to be given up with words that say so. Oldest first. */
  unsettled(): Batch[] {
    if (!this.#isRoundOver()) return []
    const last = this.#pending.findIndex(({ evidence }) => !evidence.mayBeStored)
    const doubtful = last === -1 ? this.#pending : this.#pending.slice(0, last)
    return doubtful.filter(({ evidence }) => evidence.isSpoiled)
  }

  /** Whether all before it are done, so that its own answer cannot be the consequence of theirs. */
  isFirst(batch: Batch): boolean {
    return this.#pending[0] === batch
  }

  /**
   * Certainly not stored, and it will not be sent again (its senders were told) or it is given up with an unknown outcome. Later
   * numbers then lack these.
   */
  giveUp(batch: Batch): void {
    const { evidence } = batch
    if (batch.state === 'in-flight') {
      this.#landed(batch)
      if (!evidence.isRefused) evidence.mayBeStored = true
    }
    if (batch.state === 'waiting') {
      this.#waiting.splice(this.#waiting.indexOf(batch), 1)
    } else {
      const slot = this.#pending.indexOf(batch)
      if (evidence.mayBeStored && !evidence.isRefused) {
        for (let before = 0; before < slot; before++) this.#pending[before]!.evidence.isSpoiled = true
      }
      this.#removePending(batch)
      if (batch.identity !== null && batch.identity === this.#identity && !evidence.isStored) {
        this.#gapSequence = (batch.baseSequence + batch.recordCount) % SEQUENCE_MODULUS
      }
    }
    batch.state = 'done'
  }

  /**
   * A batch that is certainly not stored gives way to several smaller ones: with new numbers, or, in a transaction, those of its records.
   * With idempotence only the first.
   */
  replace(batch: Batch, parts: readonly Batch[]): void {
    this.#landed(batch)
    const slot = this.#pending.indexOf(batch)
    this.#pending.splice(slot, 1, ...parts)
    batch.state = 'done'
    const keepsNumbers = this.#identities?.isTransactional === true
    let sequence = batch.baseSequence
    for (const [ordinal, part] of parts.entries()) {
      part.state = 'retry'
      part.identity = batch.identity
      part.place = batch.place + (keepsNumbers ? ordinal : 0)
      part.baseSequence = sequence
      if (keepsNumbers) sequence = (sequence + part.recordCount) % SEQUENCE_MODULUS
    }
    this.#beginRound()
    if (keepsNumbers) {
      for (const later of this.#pending.slice(slot + parts.length)) later.place += parts.length - 1
      this.#nextPlace += parts.length - 1
    } else if (this.#identity !== null) {
      this.#mustRenumber = true
    }
  }

  #landed(batch: Batch): void {
    if (batch.state !== 'in-flight') return
    batch.state = 'retry'
    this.#inFlightCount--
  }

  #removePending(batch: Batch): void {
    const slot = this.#pending.indexOf(batch)
    if (slot !== -1) this.#pending.splice(slot, 1)
    batch.state = 'done'
  }

  /**
   * Those before a stored batch are stored too, but for the ones that were refused each time: a broker that has no state of a producer
   * takes any number, so the first may have been refused (NOT_ENOUGH_REPLICAS) and a later one under way stored. Gives the ones that it is
   * of no use to send again.
   */
  #markStoredBefore(batch: Batch): Batch[] {
    const settled: Batch[] = []
    if (batch.identity === null || this.#pending[0] === batch) return settled
    for (const before of this.#pending) {
      if (before === batch) break
      if (before.state === 'retry' && !before.evidence.mayBeStored) continue
      before.evidence.isStored = true
      if (before.state === 'retry' && before.evidence.isRefused) settled.push(before)
    }
    return settled
  }

  /** What was refused as out of order has to be found out anew. */
  #beginRound(): void {
    for (const { evidence } of this.#pending) evidence.isRefused = false
  }

  /** Whether enough was refused as out of order to say of every pending batch that it is not stored, spoiled ones excepted. */
  #isRoundOver(): boolean {
    if (this.#inFlightCount > 0 || !this.#pending[0]?.evidence.isRefused) return false
    for (const { evidence } of this.#pending) {
      // Certainly not stored: so nothing behind it is.
      if (!evidence.mayBeStored) return true
      if (!evidence.isRefused) return false
    }
    return true
  }

  /** The oldest batch to be sent again; 'blocked' if one exists but answers are outstanding that must come first. */
  #nextRetry(): Batch | null | 'blocked' {
    let slot = 0
    if (this.#pending[0]?.evidence.isRefused) {
      if (this.#inFlightCount > 0) return 'blocked'
      while (this.#pending[slot]?.evidence.isRefused) slot++
      return this.#pending[slot] ?? 'blocked'
    }
    while (slot < this.#pending.length && this.#pending[slot]!.state === 'in-flight') slot++
    if (slot === this.#pending.length) return null
    // In flight behind it: sending it now would change the order. With a gap: one at a time.
    if (slot < this.#inFlightCount || (this.#gapSequence !== NO_GAP && this.#inFlightCount > 0)) return 'blocked'
    const retry = this.#pending[slot]!
    return retry.place - this.#pending[0]!.place >= this.#maxInFlight ? 'blocked' : retry
  }

  /** Another transaction may have another epoch, whose numbers begin at 0. Nothing of the one before is left then. */
  #adoptIdentity(): void {
    if (this.#identities?.isTransactional !== true || this.#pending.length > 0) return
    if (this.#identities.current() === this.#identity) return
    this.#identity = null
    this.#nextPlace = 0
    this.#gapSequence = NO_GAP
    this.#mustRenumber = false
  }

  /** Gives new numbers when the old ones cannot be used. False while that must wait. */
  #renumberIfDue(): boolean {
    if (this.#identity === null || this.#identities === null) return true
    if (this.#isRoundOver()) {
      if (this.unsettled().length > 0) return false
      this.#mustRenumber = true
    }
    const isDue = this.#mustRenumber || (this.#gapSequence !== NO_GAP && this.#pending.length === 0)
    if (!isDue) return true
    if (this.#inFlightCount > 0) return false
    const identity = this.#identities.after(this.#identity)
    if (identity === null) return false
    this.#identity = identity
    this.#nextSequence = 0
    this.#nextPlace = 0
    this.#gapSequence = NO_GAP
    this.#mustRenumber = false
    for (const batch of this.#pending) {
      assert(!batch.evidence.isStored, 'what is stored never gets a new number')
      this.#number(batch, identity)
      batch.evidence.clear()
    }
    return true
  }

  #number(batch: Batch, identity: ProducerIdentity | null): void {
    batch.place = this.#nextPlace++
    if (identity === null) return
    batch.identity = identity
    batch.baseSequence = this.#nextSequence
    this.#nextSequence = (this.#nextSequence + batch.recordCount) % SEQUENCE_MODULUS
  }

  /** Whether the batch's numbers begin at the gap or later: distances beyond half the range are wrapped ones. */
  #isAfterGap(batch: Batch): boolean {
    if (batch.identity !== this.#identity) return false
    const distance = (batch.baseSequence - this.#gapSequence + SEQUENCE_MODULUS) % SEQUENCE_MODULUS
    return distance < SEQUENCE_MODULUS / 2
  }
}
