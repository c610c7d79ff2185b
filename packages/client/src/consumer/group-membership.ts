import type { Timer } from '@millrace/base'
import {
  createHeartbeatRequest,
  createLeaveGroupRequest,
  createMemberIdentity,
  ErrorCode,
  heartbeatApi,
  leaveGroupApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import type { TopicPartition } from '../cluster/topic-partition.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { isRetriable } from '../errors/retriable.ts'
import { type Committer, forgetIfMoved, withCoordinator } from '../offsets/committed-offsets.ts'
import { Backoff } from '../retry/backoff.ts'
import { wait } from '../retry/wait.ts'
import type { ResolvedConsumerOptions } from './consumer-options.ts'
import { type GroupIdentity, type JoinOutcome, joinRound } from './join-round.ts'
import type { Membership } from './membership.ts'

/**
 * `outside`: no member, or about to join anew. `joining`: a join is under way in the background. `joined`: it ended and its assignment
 * waits to be taken over. `stable`: the assignment is in use and heartbeats run.
 */
export type MembershipState = 'outside' | 'joining' | 'joined' | 'stable'

export interface MembershipCallbacks {
  /** Topics that match the subscription now. */
  topics(): string[]
  /** What the member owns, for cooperative assignors. */
  owned(): TopicPartition[]
  /** Something changed that `poll` must act on. */
  onProgress(): void
}

/**
 * Membership in a group by the classic protocol. The network part (joining, heartbeats) runs by itself; giving up and taking over
 * partitions is the consumer's, which does it between records. Heartbeats do not depend on how long records take: only
 * `maxPollIntervalMs` decides that a member is stuck.
 */
export class GroupMembership implements Membership {
  readonly #core: ClientCore
  readonly #options: ResolvedConsumerOptions
  readonly #groupId: string
  readonly #callbacks: MembershipCallbacks
  readonly #ending = new AbortController()
  #identity: GroupIdentity = { memberId: '', generationId: -1, protocolName: null }
  /** As whom the partitions in use were taken over: a join that has ended since is not in use before its assignment is. */
  #identityInUse: GroupIdentity = this.#identity
  #state: MembershipState = 'outside'
  #outcome: JoinOutcome | null = null
  /** Aborted when the member leaves before the join under way has ended: nothing that comes of it counts. */
  #joining = new AbortController()
  #fatalError: unknown = null
  /** Why the member has to join again, null if it has not. */
  #rejoinReason: string | null = 'first join'
  /** The broker thinks that we are no member any more: what we own may be someone else's already. */
  #isLost = false
  #heartbeatTimer: Timer | null = null
  #heartbeatFailures: Backoff
  /** Partition counts that the leader's assignment was made from, null for followers. */
  #assignedCounts: ReadonlyMap<string, number> | null = null

  constructor(core: ClientCore, options: ResolvedConsumerOptions, groupId: string, callbacks: MembershipCallbacks) {
    this.#core = core
    this.#options = options
    this.#groupId = groupId
    this.#callbacks = callbacks
    const { retryBackoffMs, retryBackoffMaxMs } = core.options
    this.#heartbeatFailures = new Backoff(retryBackoffMs, retryBackoffMaxMs, core.ports.random)
  }

  get state(): MembershipState {
    return this.#state
  }

  get isMember(): boolean {
    return this.#state !== 'outside'
  }

  get isRejoining(): boolean {
    return this.#state === 'joining'
  }

  /** Whether members keep their partitions while they join. */
  get isCooperative(): boolean {
    return this.#options.assignors.every(({ rebalanceProtocol }) => rebalanceProtocol === 'cooperative')
  }

  /** Whether a join has to begin. */
  get needsJoin(): boolean {
    return this.#rejoinReason !== null && (this.#state === 'outside' || this.#state === 'stable')
  }

  /** Whether the partitions owned are lost rather than given up in order. */
  get isLost(): boolean {
    return this.#isLost
  }

  /** As whom offsets are committed. */
  committer(): Committer {
    const { memberId, generationId } = this.#identity
    return { groupId: this.#groupId, memberId, generationId, groupInstanceId: this.#options.groupInstanceId }
  }

  /**
   * As whom what `poll` handed out is held. Unlike {@link committer} it stays behind while a newer assignment waits to be taken over, in
   * which partitions may be someone else's: offsets sent under the new generation would be taken for those.
   */
  committerInUse(): Committer {
    const { memberId, generationId } = this.#identityInUse
    return { groupId: this.#groupId, memberId, generationId, groupInstanceId: this.#options.groupInstanceId }
  }

  /** The subscription or something else of ours changed. */
  requestRejoin(reason: string): void {
    this.#rejoinReason ??= reason
    this.#callbacks.onProgress()
  }

  /** Begins to join in the background; partitions that must not be kept were given up before. */
  startJoin(): void {
    this.#options.onEvent({ type: 'rejoining', reason: this.#rejoinReason ?? 'asked to' })
    this.#state = 'joining'
    this.#rejoinReason = null
    this.#isLost = false
    this.#outcome = null
    this.#joining = new AbortController()
    const { signal } = this.#joining
    this.#join(signal).then(
      (outcome) => {
        if (signal.aborted) return
        if (outcome === null) {
          this.#isLost = true
          this.#state = 'outside'
          this.requestRejoin('the group went on without this member')
          return
        }
        this.#outcome = outcome
        this.#state = 'joined'
        this.#startHeartbeats()
        this.#callbacks.onProgress()
      },
      (error: unknown) => {
        if (signal.aborted) return
        this.#state = 'outside'
        this.#rejoinReason = 'the last join failed'
        this.#fatalError = error
        this.#callbacks.onProgress()
      },
    )
  }

  /** The assignment of the join that ended; from now on it is in use. */
  takeAssignment(): TopicPartition[] {
    const outcome = this.#outcome!
    this.#outcome = null
    this.#identityInUse = this.#identity
    this.#state = 'stable'
    this.#watch(outcome.partitionCounts)
    const { generationId, memberId } = this.#identity
    this.#options.onEvent({ type: 'joined', generationId, memberId, isLeader: outcome.partitionCounts !== null })
    // Metadata may have changed since the assignment was made; topics of others are asked for only from now on.
    this.#compareCounts((topic) => this.#core.metadata.view.topics.has(topic))
    return outcome.assignment
  }

  /** Throws, once, what ended the last join for good. */
  throwFatal(): void {
    const error = this.#fatalError
    this.#fatalError = null
    if (error !== null) throw error
  }

  /** The leader's job: when partitions were added to what it has assigned, everybody joins again. */
  onMetadata(): void {
    if (this.#state === 'stable') this.#compareCounts(() => true)
  }

  #compareCounts(isKnown: (topic: string) => boolean): void {
    for (const [topic, count] of this.#assignedCounts ?? []) {
      if (!isKnown(topic)) continue
      const now = this.#core.metadata.view.topics.get(topic)?.partitions.length ?? 0
      if (now !== count) {
        this.requestRejoin(`${topic} has ${now} partitions instead of ${count}`)
        return
      }
    }
  }

  /**
   * Leaves, so that others need not wait for the session to end. Static members stay unless `evenIfStatic`. Failures are ignored: the
   * session timeout does the same, later.
   */
  async leave(reason: string, timeoutMs: number, evenIfStatic = false): Promise<void> {
    const { memberId } = this.#identity
    this.#stopHeartbeats()
    this.#joining.abort()
    this.#state = 'outside'
    this.#rejoinReason = reason
    if (memberId === '' || (this.#options.groupInstanceId !== null && !evenIfStatic)) return
    this.#identity = { memberId: '', generationId: -1, protocolName: null }
    await this.#sendLeave(memberId, reason, timeoutMs)
    this.#options.onEvent({ type: 'left-group', reason })
  }

  async #sendLeave(memberId: string, reason: string, timeoutMs: number): Promise<void> {
    const { groupInstanceId } = this.#options
    const message = (version: number) =>
      version >= 3
        ? createLeaveGroupRequest({
            groupId: this.#groupId,
            members: [createMemberIdentity({ memberId, groupInstanceId, reason })],
          })
        : createLeaveGroupRequest({ groupId: this.#groupId, memberId })
    try {
      await withCoordinator(this.#core, this.#groupId, (nodeId) =>
        this.#core.requestNode(nodeId, 'coordinator', leaveGroupApi, message, { timeoutMs }),
      )
    } catch (error) {
      if (!isRetriable(error)) throw error
    }
  }

  /**
   * The application did not come back in time: leaves, and what it owned counts as lost. A static member falls silent only, so that its
   * partitions wait for it until the session ends (as Kafka says of `max.poll.interval.ms`). Never rejects.
   */
  async expire(timeoutMs: number): Promise<void> {
    this.#isLost = true
    await this.leave('the time between two polls exceeded maxPollIntervalMs', timeoutMs).catch((error: unknown) => {
      this.#fatalError = error
    })
  }

  /** No more requests. */
  close(): void {
    this.#ending.abort()
    this.#joining.abort()
    this.#stopHeartbeats()
    this.#state = 'outside'
  }

  /**
   * Join rounds until one gives an assignment. Null when there will be none: the member left meanwhile, or the group threw it out while
   * it owned partitions, which it must give up as lost before it may join again: others may have read on, and a commit as a new
   * member would be accepted. Rejects only with what trying again cannot mend.
   */
  async #join(signal: AbortSignal): Promise<JoinOutcome | null> {
    const { retryBackoffMs, retryBackoffMaxMs } = this.#core.options
    const backoff = new Backoff(retryBackoffMs, retryBackoffMaxMs, this.#core.ports.random)
    for (;;) {
      try {
        const { generationId } = this.#identity
        const step = await joinRound(this.#core, this.#options, this.#groupId, this.#identity, {
          topics: this.#callbacks.topics(),
          owned: this.isCooperative ? this.#callbacks.owned() : [],
        })
        if (signal.aborted) {
          await this.#disown(step.identity.memberId)
          return null
        }
        this.#identity = step.identity
        if (step.outcome !== null) return step.outcome
        const isThrownOut = generationId !== -1 && step.identity.generationId === -1
        if (isThrownOut && this.#callbacks.owned().length > 0) return null
        // The coordinator asked to come again at once: it gave us an id, or a rebalance overtook this one.
        if (step.atOnce) continue
      } catch (error) {
        if (!isRetriable(error)) throw error
        if (error instanceof ProtocolError) forgetIfMoved(this.#core, this.#groupId, error.errorCode)
      }
      await wait(this.#core.ports.timers, backoff.nextMs(), signal)
      if (signal.aborted) return null
    }
  }

  /** A join that nobody waits for any more may have made a member: without heartbeats it would hold up the group. */
  async #disown(memberId: string): Promise<void> {
    if (memberId === '' || this.#options.groupInstanceId !== null || this.#core.isClosed) return
    const timeoutMs = this.#core.options.requestTimeoutMs
    // Should it fail, the end of the session does the same, later.
    await this.#sendLeave(memberId, 'left while joining', timeoutMs).catch(() => undefined)
  }

  /** Keeps the topics of the assignment in metadata, the leader's whole life as one. */
  #watch(partitionCounts: ReadonlyMap<string, number> | null): void {
    for (const topic of partitionCounts?.keys() ?? []) this.#core.metadata.addTopic(topic)
    for (const topic of this.#assignedCounts?.keys() ?? []) this.#core.metadata.removeTopic(topic)
    this.#assignedCounts = partitionCounts
  }

  #startHeartbeats(): void {
    this.#heartbeatFailures.reset()
    this.#scheduleHeartbeat(this.#options.heartbeatIntervalMs)
  }

  #stopHeartbeats(): void {
    this.#heartbeatTimer?.cancel()
    this.#heartbeatTimer = null
  }

  #scheduleHeartbeat(delayMs: number): void {
    this.#stopHeartbeats()
    this.#heartbeatTimer = this.#core.ports.timers.setTimer(delayMs, () => {
      this.#heartbeatTimer = null
      void this.#heartbeat()
    })
  }

  /** One heartbeat and what follows from its answer. Never rejects. */
  async #heartbeat(): Promise<void> {
    const identity = this.#identity
    const message = createHeartbeatRequest({
      groupId: this.#groupId,
      generationId: identity.generationId,
      memberId: identity.memberId,
      groupInstanceId: this.#options.groupInstanceId,
    })
    let delayMs = this.#options.heartbeatIntervalMs
    try {
      const { response } = await withCoordinator(this.#core, this.#groupId, (nodeId) =>
        this.#core.requestNode(nodeId, 'coordinator', heartbeatApi, message, {
          timeoutMs: Math.min(this.#core.options.requestTimeoutMs, this.#options.sessionTimeoutMs),
        }),
      )
      // A join that began meanwhile has its own view of things.
      if (this.#identity !== identity || this.#state === 'joining') return
      if (!this.#onHeartbeatAnswer(response.errorCode)) return
      if (response.errorCode === ErrorCode.NONE) this.#heartbeatFailures.reset()
      else delayMs = Math.min(delayMs, this.#heartbeatFailures.nextMs())
    } catch (error) {
      if (this.#identity !== identity || this.#state === 'joining') return
      if (!isRetriable(error)) {
        this.#lose(error)
        return
      }
      delayMs = Math.min(delayMs, this.#heartbeatFailures.nextMs())
    }
    if (this.#identity === identity && !this.#ending.signal.aborted && this.#state !== 'outside') {
      this.#scheduleHeartbeat(delayMs)
    }
  }

  /** False if heartbeats end. */
  #onHeartbeatAnswer(errorCode: number): boolean {
    switch (errorCode) {
      case ErrorCode.NONE:
        return true
      case ErrorCode.REBALANCE_IN_PROGRESS:
        // Heartbeats go on: joining waits until the application comes back for more records.
        this.requestRejoin('the group is rebalancing')
        return true
      case ErrorCode.NOT_COORDINATOR:
      case ErrorCode.COORDINATOR_NOT_AVAILABLE:
        this.#core.coordinators.forget(this.#groupId)
        return true
      case ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
        return true
      default:
        this.#lose(new ProtocolError(errorCode))
        return false
    }
  }

  /** The group does not know us (any more). What cannot be mended by joining again reaches the application. */
  #lose(error: unknown): void {
    this.#stopHeartbeats()
    const code = error instanceof ProtocolError ? error.errorCode : ErrorCode.UNKNOWN_SERVER_ERROR
    const mendable = code === ErrorCode.ILLEGAL_GENERATION || code === ErrorCode.UNKNOWN_MEMBER_ID
    const memberId = code === ErrorCode.ILLEGAL_GENERATION ? this.#identity.memberId : ''
    this.#identity = { memberId, generationId: -1, protocolName: null }
    this.#isLost = true
    this.#state = 'outside'
    if (!mendable) this.#fatalError = error
    this.requestRejoin(error instanceof Error ? error.message : String(error))
  }
}
