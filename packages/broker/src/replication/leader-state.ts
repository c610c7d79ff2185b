import type { Clock, LeaderEpoch, Offset, Uuid } from '@millrace/base'
import { DirectoryId, type LeaderRecoveryState, type PartitionImage } from '@millrace/consensus'
import { FollowerState } from './follower-state.ts'
import type { CommittedIsr, IsrProposal } from './isr-proposal.ts'

/** What leaders need to know of the cluster around them. */
export interface LeaderContext {
  readonly clock: Clock
  /** `replica.lag.time.max.ms`. */
  readonly maxLagMs: number
  /** Epoch of a registered broker in the metadata, -1 if there is none. */
  brokerEpochOf(brokerId: number): number
  /** Whether a broker's replica in that directory may join an ISR: registered, unfenced, not shutting down, the directory online. */
  isActive(brokerId: number, directory: Uuid): boolean
}

/**
 * What one leader, in one leader epoch, knows of its partition's replicas, and the rules that follow from it: who is in sync, how far
 * records are committed, which ISR to ask for (`replication-and-transactions.md`, 6.1). "End" is what a replica holds for certain: the
 * durable offset, with `write.caching` the log end. Pure: it is told the time's port and of every event.
 */
export class LeaderState {
  readonly leaderEpoch: LeaderEpoch
  /** The log's end when this epoch began: below it lies what earlier leaders may have committed (R12). */
  readonly epochStartOffset: Offset
  partitionEpoch: number
  recoveryState: LeaderRecoveryState
  /** As committed in the metadata. */
  isr: readonly number[]
  replicaCount: number
  followers: readonly FollowerState[] = []
  /** At most one is under way. */
  proposal: IsrProposal | null = null
  readonly #nodeId: number
  readonly #context: LeaderContext
  #image: PartitionImage

  constructor(nodeId: number, image: PartitionImage, epochStartOffset: Offset, context: LeaderContext) {
    this.#nodeId = nodeId
    this.#context = context
    this.#image = image
    this.leaderEpoch = image.leaderEpoch
    this.epochStartOffset = epochStartOffset
    this.partitionEpoch = image.partitionEpoch
    this.recoveryState = image.leaderRecoveryState
    this.isr = image.isr
    this.replicaCount = image.replicas.length
    this.followers = this.#followersOf(image.replicas, image.isr)
  }

  /** The metadata says something newer of the same leadership. What was proposed before is settled by it, or will be refused. */
  onImage(image: PartitionImage): void {
    this.#image = image
    this.replicaCount = image.replicas.length
    this.isr = image.isr
    this.recoveryState = image.leaderRecoveryState
    if (image.partitionEpoch > this.partitionEpoch) this.proposal = null
    this.partitionEpoch = image.partitionEpoch
    this.followers = this.#followersOf(image.replicas, image.isr)
    this.#recount()
  }

  /** Members of the committed ISR and of the proposed one: what could be the ISR now. */
  get maximalIsrCount(): number {
    let count = 1
    for (const follower of this.followers) if (follower.isCounted) count++
    return count
  }

  follower(brokerId: number): FollowerState | null {
    for (const follower of this.followers) if (follower.brokerId === brokerId) return follower
    return null
  }

  /**
   * A follower fetched from `fetchOffset`. False: nobody is registered with that epoch, as far as this node knows, so that it counts for
   * nothing. An earlier life of the broker says nothing of the disk that it has now (R9), a later one will be known soon, and who says no
   * epoch is none of the brokers.
   */
  onFetch(
    follower: FollowerState,
    fetchOffset: Offset,
    logStartOffset: Offset,
    brokerEpoch: number,
    leaderEnd: Offset,
  ): boolean {
    if (brokerEpoch < 0 || brokerEpoch !== this.#context.brokerEpochOf(follower.brokerId)) return false
    follower.onFetch(fetchOffset, logStartOffset, brokerEpoch, leaderEnd, this.#context.clock.monotonicMs())
    return true
  }

  /**
   * Up to where all hold it that could be in the ISR, and those that are about to join it, or the watermark would run away from them.
   * -1: some of them has not fetched yet. Hot path.
   */
  committedOffset(leaderEnd: Offset): Offset {
    const { followers } = this
    let offset = leaderEnd
    for (let slot = 0; slot < followers.length; slot++) {
      const follower = followers[slot]!
      if (follower.endOffset >= offset) continue
      if (follower.isCounted || this.#isJoining(follower, leaderEnd)) offset = follower.endOffset
    }
    return offset
  }

  #isJoining(follower: FollowerState, leaderEnd: Offset): boolean {
    const { clock, maxLagMs } = this.#context
    if (follower.endOffset < 0) return false
    return follower.isCaughtUp(leaderEnd, clock.monotonicMs(), maxLagMs) && this.#isEligible(follower)
  }

  #isEligible(follower: FollowerState): boolean {
    return this.#isAlive(follower) && follower.brokerEpoch === this.#context.brokerEpochOf(follower.brokerId)
  }

  #isAlive({ brokerId }: FollowerState): boolean {
    const { replicas, directories } = this.#image
    return this.#context.isActive(brokerId, directories[replicas.indexOf(brokerId)] ?? DirectoryId.UNASSIGNED)
  }

  /**
   * Where the logs of all replicas begin that are alive, as far as they have told; -1: one has told nothing yet. Those that are not will
   * hear of it when they come back, before they can lead.
   */
  lowWatermark(ownLogStart: Offset): Offset {
    let offset = ownLogStart
    for (const follower of this.followers) {
      if (follower.logStartOffset < offset && this.#isAlive(follower)) offset = follower.logStartOffset
    }
    return offset
  }

  /** The ISR with the follower in it, if it may join now; null if not. */
  expansion(follower: FollowerState, highWatermark: Offset): IsrProposal | null {
    if (this.proposal !== null || follower.isInSync) return null
    if (follower.endOffset < highWatermark || follower.endOffset < this.epochStartOffset) return null
    if (!this.#isEligible(follower)) return null
    return this.#propose([...this.isr, follower.brokerId])
  }

  /** The ISR without those that have not kept up; null if all have. */
  shrinking(leaderEnd: Offset): IsrProposal | null {
    if (this.proposal !== null) return null
    const { clock, maxLagMs } = this.#context
    const nowMs = clock.monotonicMs()
    const lagging = this.followers.filter(
      (follower) => follower.isInSync && !follower.isCaughtUp(leaderEnd, nowMs, maxLagMs),
    )
    if (lagging.length === 0) return null
    return this.#propose(this.isr.filter((id) => !lagging.some(({ brokerId }) => brokerId === id)))
  }

  /** After an unclean election, the same ISR with the word that this leader has recovered (KIP-704); null if there is nothing to say. */
  recovery(): IsrProposal | null {
    return this.recoveryState === 0 || this.proposal !== null ? null : this.#propose(this.isr)
  }

  /**
   * False, and nothing changes, if another leadership or a later change came in between: whatever was proposed stays counted until the
   * metadata tells.
   */
  onCommitted(proposal: IsrProposal, committed: CommittedIsr): boolean {
    if (this.proposal !== proposal) return false
    if (committed.leaderEpoch !== this.leaderEpoch || committed.partitionEpoch < this.partitionEpoch) return false
    this.proposal = null
    this.isr = committed.isr
    this.partitionEpoch = committed.partitionEpoch
    this.recoveryState = committed.leaderRecoveryState
    this.#recount()
    return true
  }

  onRefused(proposal: IsrProposal): void {
    if (this.proposal !== proposal) return
    this.proposal = null
    this.#recount()
  }

  #propose(isr: readonly number[]): IsrProposal {
    this.proposal = {
      isr,
      members: isr.map((brokerId) => ({ brokerId, brokerEpoch: this.#epochToSend(brokerId) })),
      leaderEpoch: this.leaderEpoch,
      partitionEpoch: this.partitionEpoch,
      leaderRecoveryState: 0,
    }
    this.#recount()
    return this.proposal
  }

  /** Of a follower, the epoch that it fetched with: what it holds says nothing of a later life. */
  #epochToSend(brokerId: number): number {
    if (brokerId === this.#nodeId) return this.#context.brokerEpochOf(brokerId)
    return this.follower(brokerId)?.brokerEpoch ?? -1
  }

  #followersOf(replicas: readonly number[], isr: readonly number[]): FollowerState[] {
    const nowMs = this.#context.clock.monotonicMs()
    const ids = new Set([...replicas, ...isr])
    ids.delete(this.#nodeId)
    const known = this.followers
    return [...ids].map(
      (id) => known.find(({ brokerId }) => brokerId === id) ?? new FollowerState(id, isr.includes(id), nowMs),
    )
  }

  #recount(): void {
    for (const follower of this.followers) {
      follower.isInSync = this.isr.includes(follower.brokerId)
      follower.isCounted = follower.isInSync || this.proposal?.isr.includes(follower.brokerId) === true
    }
  }
}
