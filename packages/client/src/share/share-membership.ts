import { randomUuid, type Uuid } from '@millrace/base'
import {
  createShareGroupHeartbeatRequest,
  ErrorCode,
  type ShareGroupHeartbeatResponse,
  shareGroupHeartbeatApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { HeartbeatLoop } from '../client/heartbeat-loop.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { isRetriable } from '../errors/retriable.ts'
import { forgetIfMoved, withCoordinator } from '../offsets/committed-offsets.ts'
import { Backoff } from '../retry/backoff.ts'

export interface ShareMembershipCallbacks {
  topics(): readonly string[]
  /** The assignment changed, or the membership ended. */
  onProgress(): void
  /** Something that the application should hear of, though the membership goes on. */
  onError(error: unknown): void
}

const JOIN_EPOCH = 0
const LEAVE_EPOCH = -1
const FENCED: ReadonlySet<number> = new Set([ErrorCode.FENCED_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID])

/**
 * Membership in a share group (KIP-932): heartbeats say which topics, answers which partitions to read. Partitions are shared, so that an
 * assignment holds as soon as it is heard of, and nothing has to be given up in order.
 */
export class ShareMembership {
  /** Made by the member itself, for its life. */
  readonly memberId: string
  readonly #core: ClientCore
  readonly #groupId: string
  readonly #rackId: string
  readonly #callbacks: ShareMembershipCallbacks
  readonly #loop: HeartbeatLoop
  readonly #backoff: Backoff
  #epoch = JOIN_EPOCH
  #isJoined = false
  /** Counts joins and leaves: an answer to a heartbeat of before says nothing. */
  #stay = 0
  #heardTopics: string | null = null
  #assignment: ReadonlyMap<Uuid, readonly number[]> = new Map()
  #fatalError: unknown = null

  constructor(core: ClientCore, groupId: string, rackId: string, callbacks: ShareMembershipCallbacks) {
    this.memberId = randomUuid(core.ports.random)
    this.#core = core
    this.#groupId = groupId
    this.#rackId = rackId
    this.#callbacks = callbacks
    this.#loop = new HeartbeatLoop(core.ports.timers, () => this.#beat())
    const { retryBackoffMs, retryBackoffMaxMs } = core.options
    this.#backoff = new Backoff(retryBackoffMs, retryBackoffMaxMs, core.ports.random)
  }

  /** Whether it is in the group or about to be. */
  get isJoined(): boolean {
    return this.#isJoined
  }

  /** Partitions to read, by topic id. */
  get assignment(): ReadonlyMap<Uuid, readonly number[]> {
    return this.#assignment
  }

  /** Joins, unless it did. */
  join(): void {
    if (this.#isJoined) return
    this.#isJoined = true
    this.#stay++
    this.#beginAnew()
    this.#loop.now()
  }

  /** Other topics are wanted. */
  onTopicsChanged(): void {
    if (this.#isJoined) this.#loop.now()
  }

  /** Throws, once, what ended the membership for good. */
  throwFatal(): void {
    const error = this.#fatalError
    this.#fatalError = null
    if (error !== null) throw error
  }

  /** Leaves. Rejects with errors that trying again cannot mend; the session's end does the same, later. */
  async leave(timeoutMs: number): Promise<void> {
    const wasJoined = this.#isJoined
    this.close()
    if (!wasJoined) return
    try {
      await this.#send(LEAVE_EPOCH, null, timeoutMs)
    } catch (error) {
      if (!isRetriable(error)) throw error
    }
  }

  /** No more heartbeats, and nothing to read. */
  close(): void {
    this.#stay++
    this.#isJoined = false
    this.#assignment = new Map()
    this.#loop.stop()
  }

  #beginAnew(): void {
    this.#epoch = JOIN_EPOCH
    this.#heardTopics = null
    this.#assignment = new Map()
  }

  /** One heartbeat and what follows from it; gives the pause until the next, null for none. Never rejects. */
  async #beat(): Promise<number | null> {
    const stay = this.#stay
    const topics = [...this.#callbacks.topics()].sort()
    const text = JSON.stringify(topics)
    const names = this.#heardTopics === text ? null : topics
    try {
      const response = await this.#send(this.#epoch, names, this.#core.options.requestTimeoutMs)
      if (stay !== this.#stay) return null
      if (response.errorCode !== ErrorCode.NONE) return this.#onError(response)
      this.#heardTopics = text
      return this.#onAnswer(response)
    } catch (error) {
      if (stay !== this.#stay) return null
      this.#heardTopics = null
      if (isRetriable(error)) return this.#backoff.nextMs()
      this.#end(error)
      return null
    }
  }

  #onAnswer({ memberEpoch, assignment, heartbeatIntervalMs }: ShareGroupHeartbeatResponse): number {
    this.#backoff.reset()
    this.#epoch = memberEpoch
    if (assignment !== null) {
      this.#assignment = new Map(assignment.topicPartitions.map(({ topicId, partitions }) => [topicId, partitions]))
    }
    this.#callbacks.onProgress()
    return Math.max(1, heartbeatIntervalMs)
  }

  #onError({ errorCode, errorMessage }: ShareGroupHeartbeatResponse): number | null {
    this.#heardTopics = null
    forgetIfMoved(this.#core, this.#groupId, errorCode)
    const error = new ProtocolError(errorCode, { subject: `share group ${this.#groupId}`, message: errorMessage })
    if (error.retriable) return this.#backoff.nextMs()
    if (FENCED.has(errorCode)) {
      // What was acquired stays so: that is a matter of the sessions with the brokers that it came from.
      this.#beginAnew()
      return this.#backoff.nextMs()
    }
    if (errorCode === ErrorCode.TOPIC_AUTHORIZATION_FAILED) {
      this.#callbacks.onError(error)
      return this.#core.options.retryBackoffMaxMs
    }
    this.#end(error)
    return null
  }

  /** The next poll throws it, and the one after joins anew. */
  #end(error: unknown): void {
    this.#fatalError = error
    this.close()
    this.#callbacks.onProgress()
  }

  async #send(
    memberEpoch: number,
    subscribedTopicNames: string[] | null,
    timeoutMs: number,
  ): Promise<ShareGroupHeartbeatResponse> {
    const message = createShareGroupHeartbeatRequest({
      groupId: this.#groupId,
      memberId: this.memberId,
      memberEpoch,
      rackId: memberEpoch === JOIN_EPOCH && this.#rackId !== '' ? this.#rackId : null,
      subscribedTopicNames,
    })
    const { response } = await withCoordinator(this.#core, this.#groupId, (nodeId) =>
      this.#core.requestNode(nodeId, 'coordinator', shareGroupHeartbeatApi, message, { timeoutMs }),
    )
    return response
  }
}
