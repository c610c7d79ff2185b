import { randomUuid } from '@millrace/base'
import {
  type ConsumerGroupHeartbeatResponse,
  consumerGroupHeartbeatApi,
  createConsumerGroupHeartbeatRequest,
  createConsumerGroupHeartbeatRequestTopicPartitions,
  ErrorCode,
} from '@millrace/protocol'
import type { ClientCore } from '../../client/client-core.ts'
import { HeartbeatLoop } from '../../client/heartbeat-loop.ts'
import { ProtocolError } from '../../errors/protocol-error.ts'
import { isRetriable } from '../../errors/retriable.ts'
import { type Committer, forgetIfMoved, withCoordinator } from '../../offsets/committed-offsets.ts'
import { Backoff } from '../../retry/backoff.ts'
import type { ResolvedConsumerOptions } from '../consumer-options.ts'
import type { Membership } from '../membership.ts'
import {
  GroupMember,
  type HeartbeatFields,
  type IdAssignment,
  LEAVE_EPOCH,
  type MemberStatus,
  type MemberWishes,
  STATIC_LEAVE_EPOCH,
} from './group-member.ts'

export interface ConsumerGroupCallbacks {
  wishes(): MemberWishes
  /** Something changed that `poll` must act on. */
  onProgress(): void
  /** Something that the application should hear of, though the membership goes on. */
  onError(error: unknown): void
}

/** Subscriptions by pattern that brokers match. */
const PATTERN_FROM_VERSION = 1
const FENCED: ReadonlySet<number> = new Set([ErrorCode.FENCED_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID])

/**
 * Membership in a group by the newer protocol (KIP-848): heartbeats say what the member wants and owns, answers what it should own. They
 * run by themselves; `Reconciler` makes owned what should be, inside `poll`.
 */
export class ConsumerGroupMembership implements Membership {
  readonly #core: ClientCore
  readonly #options: ResolvedConsumerOptions
  readonly #groupId: string
  readonly #callbacks: ConsumerGroupCallbacks
  readonly #memberId: string
  readonly #member = new GroupMember()
  readonly #loop: HeartbeatLoop
  readonly #backoff: Backoff
  /** Counts joins and leaves: an answer to a heartbeat of before says nothing. */
  #stay = 0
  #fatalError: unknown = null

  constructor(core: ClientCore, options: ResolvedConsumerOptions, groupId: string, callbacks: ConsumerGroupCallbacks) {
    this.#core = core
    this.#options = options
    this.#groupId = groupId
    this.#callbacks = callbacks
    this.#memberId = randomUuid(core.ports.random)
    this.#loop = new HeartbeatLoop(core.ports.timers, () => this.#beat())
    const { retryBackoffMs, retryBackoffMaxMs } = core.options
    this.#backoff = new Backoff(retryBackoffMs, retryBackoffMaxMs, core.ports.random)
  }

  get status(): MemberStatus {
    return this.#member.status
  }

  get isMember(): boolean {
    return this.#member.status !== 'outside'
  }

  get isRejoining(): boolean {
    return this.#member.status === 'joining'
  }

  get target(): IdAssignment {
    return this.#member.target
  }

  get owned(): IdAssignment {
    return this.#member.owned
  }

  committer(): Committer {
    const { epoch, heldEpoch, status } = this.#member
    // Without an epoch of its own it commits under the one it held: that will be refused, as it should be.
    return this.#committerOf(status === 'joining' || status === 'fenced' || epoch <= 0 ? heldEpoch : epoch)
  }

  /** The group takes no partition away before a heartbeat said that it was given up: the last epoch is that of all that is owned. */
  committerInUse(): Committer {
    return this.#committerOf(this.#member.heldEpoch)
  }

  requestRejoin(_reason: string): void {
    if (this.isMember && this.status !== 'fenced') this.#loop.now()
    this.#callbacks.onProgress()
  }

  onMetadata(): void {
    // Topics of the assignment may have become known: `poll`, which hears of metadata too, looks at them.
  }

  /** Begins to join in the background. Nothing is owned. */
  join(): void {
    this.#options.onEvent({ type: 'rejoining', reason: this.status === 'fenced' ? 'fenced' : 'first join' })
    this.#stay++
    this.#member.join()
    this.#loop.stop()
    this.#loop.now()
  }

  /** `poll` owns these now: the group hears of it at once. */
  acknowledge(owned: IdAssignment): void {
    this.#member.acknowledge(owned)
    if (this.#member.isHurried) this.#loop.now()
  }

  /** What was lost is dropped. */
  drop(): void {
    this.#member.drop()
  }

  /** Throws, once, what ended the membership for good. */
  throwFatal(): void {
    const error = this.#fatalError
    this.#fatalError = null
    if (error !== null) throw error
  }

  async leave(reason: string, timeoutMs: number, evenIfStatic = false): Promise<void> {
    const { status } = this.#member
    this.#stay++
    this.#loop.stop()
    this.#member.leave()
    if (status === 'outside' || status === 'fenced') return
    const isStatic = this.#options.groupInstanceId !== null && !evenIfStatic
    try {
      const memberEpoch = isStatic ? STATIC_LEAVE_EPOCH : LEAVE_EPOCH
      await this.#send({ ...NO_FIELDS, memberEpoch }, timeoutMs)
    } catch (error) {
      // The session's end does the same, later.
      if (!isRetriable(error)) throw error
    }
    this.#options.onEvent({ type: 'left-group', reason })
  }

  async expire(timeoutMs: number): Promise<void> {
    const leaving = this.leave('the time between two polls exceeded maxPollIntervalMs', timeoutMs)
    await leaving.catch((error: unknown) => {
      this.#fatalError = error
    })
  }

  close(): void {
    this.#stay++
    this.#loop.stop()
    this.#member.leave()
  }

  /** One heartbeat and what follows from it; gives the pause until the next, null for none. Never rejects. */
  async #beat(): Promise<number | null> {
    const stay = this.#stay
    const before = this.#member.epoch
    const fields = this.#member.heartbeat(this.#callbacks.wishes())
    try {
      const response = await this.#send(fields, this.#core.options.requestTimeoutMs)
      if (stay !== this.#stay) return null
      return this.#onAnswer(response, before)
    } catch (error) {
      if (stay !== this.#stay) return null
      this.#member.onFailure()
      if (isRetriable(error)) return this.#backoff.nextMs()
      this.#end(error)
      return null
    }
  }

  #onAnswer(response: ConsumerGroupHeartbeatResponse, epochBefore: number): number | null {
    const { errorCode, errorMessage, heartbeatIntervalMs } = response
    if (errorCode !== ErrorCode.NONE) return this.#onError(errorCode, errorMessage)
    this.#backoff.reset()
    const assignment = response.assignment?.topicPartitions ?? null
    this.#member.onAnswer({
      memberEpoch: response.memberEpoch,
      assignment: assignment && new Map(assignment.map(({ topicId, partitions }) => [topicId, partitions])),
    })
    if (epochBefore === 0) {
      const generationId = response.memberEpoch
      this.#options.onEvent({ type: 'joined', generationId, memberId: this.#memberId, isLeader: false })
    }
    this.#callbacks.onProgress()
    return this.#member.isHurried ? 0 : Math.max(1, heartbeatIntervalMs)
  }

  #onError(errorCode: number, message: string | null): number | null {
    this.#member.onFailure()
    forgetIfMoved(this.#core, this.#groupId, errorCode)
    const error = new ProtocolError(errorCode, { subject: `group ${this.#groupId}`, message })
    if (error.retriable) return this.#backoff.nextMs()
    if (FENCED.has(errorCode)) {
      this.#options.onEvent({ type: 'left-group', reason: error.message })
      this.#onFenced()
      return null
    }
    if (errorCode === ErrorCode.TOPIC_AUTHORIZATION_FAILED) {
      // The right may be given later; until then the member keeps what it has.
      this.#callbacks.onError(error)
      return this.#core.options.retryBackoffMaxMs
    }
    this.#end(error)
    return null
  }

  /** Nothing that heartbeats could mend: the next poll throws it, and the one after joins anew. */
  #end(error: unknown): void {
    this.#fatalError = error
    this.#onFenced()
  }

  /** Not even a heartbeat that was asked for meanwhile follows: it would ask to be let in, with what is owned still. */
  #onFenced(): void {
    this.#loop.stop()
    this.#member.onFenced()
    this.#callbacks.onProgress()
  }

  async #send(fields: HeartbeatFields, timeoutMs: number): Promise<ConsumerGroupHeartbeatResponse> {
    const { memberEpoch, rackId, rebalanceTimeoutMs, subscribedTopicNames, serverAssignor, owned } = fields
    const { subscribedTopicRegex } = fields
    const messageFor = (version: number) =>
      createConsumerGroupHeartbeatRequest({
        groupId: this.#groupId,
        memberId: this.#memberId,
        memberEpoch,
        instanceId: this.#options.groupInstanceId,
        rackId,
        rebalanceTimeoutMs,
        subscribedTopicNames,
        // That there is none goes without saying where there cannot be one.
        subscribedTopicRegex: version < PATTERN_FROM_VERSION ? null : subscribedTopicRegex,
        serverAssignor,
        topicPartitions:
          owned &&
          [...owned].map(([topicId, partitions]) =>
            createConsumerGroupHeartbeatRequestTopicPartitions({ topicId, partitions: [...partitions] }),
          ),
      })
    const minVersion = subscribedTopicRegex ? PATTERN_FROM_VERSION : 0
    const { response } = await withCoordinator(this.#core, this.#groupId, (nodeId) =>
      this.#core.requestNode(nodeId, 'coordinator', consumerGroupHeartbeatApi, messageFor, { timeoutMs, minVersion }),
    )
    return response
  }

  #committerOf(epoch: number): Committer {
    const { groupInstanceId } = this.#options
    return { groupId: this.#groupId, memberId: this.#memberId, generationId: epoch, groupInstanceId }
  }
}

const NO_FIELDS: Omit<HeartbeatFields, 'memberEpoch'> = {
  rackId: null,
  rebalanceTimeoutMs: -1,
  subscribedTopicNames: null,
  subscribedTopicRegex: null,
  serverAssignor: null,
  owned: null,
}
