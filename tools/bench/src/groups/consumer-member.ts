import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import {
  apiVersionsApi,
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
  consumerGroupHeartbeatApi,
  createApiVersionsRequest,
  createConsumerGroupHeartbeatRequest,
  createConsumerGroupHeartbeatRequestTopicPartitions,
} from '@millrace/protocol'
import { ProtocolWire } from '../protocol-wire.ts'
import { type GroupPlan, isRetriable, type Member, type MemberEvents, RETRY_MS } from './member.ts'

const VERSION = 1
const LEAVING_EPOCH = -1
const REBALANCE_TIMEOUT_MS = 300_000

/** A member of the `consumer` protocol (KIP-848). What it is to give up it gives up at once, and says so with its next heartbeat. */
export class ConsumerMember implements Member {
  readonly #number: number
  readonly #plan: GroupPlan
  readonly #events: MemberEvents
  readonly #wire: ProtocolWire
  readonly #memberId = randomUUID()
  #memberEpoch = 0
  #isOver = false

  constructor(number: number, plan: GroupPlan, events: MemberEvents) {
    this.#number = number
    this.#plan = plan
    this.#events = events
    this.#wire = new ProtocolWire(plan.port)
  }

  async connect(): Promise<void> {
    await this.#wire.call(apiVersionsApi, 0, createApiVersionsRequest())
  }

  start(): void {
    this.#takePart().catch((error: Error) => {
      if (!this.#isOver) this.#events.onFailed(error)
    })
  }

  async leave(): Promise<void> {
    this.#isOver = true
    const { errorCode } = await this.#call({ memberEpoch: LEAVING_EPOCH })
    this.#wire.close()
    if (isRetriable('ConsumerGroupHeartbeat', errorCode)) throw new Error('the coordinator was not there')
  }

  vanish(): void {
    this.#isOver = true
    this.#wire.close()
  }

  async #takePart(): Promise<void> {
    const { topic, topicId } = this.#plan
    this.#events.onOwned(this.#number, [])
    let news: Partial<ConsumerGroupHeartbeatRequest> = {
      rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
      subscribedTopicNames: [topic],
      topicPartitions: [],
    }
    // Of the first interval each has a part of its own: members that have been there for a while do not beat together.
    let part = this.#number / this.#plan.memberCount
    while (!this.#isOver) {
      const startMs = performance.now()
      const { errorCode, memberEpoch, heartbeatIntervalMs, assignment } = await this.#call({
        ...news,
        memberEpoch: this.#memberEpoch,
      })
      if (this.#isOver) return
      this.#events.onHeartbeat(performance.now() - startMs)
      if (isRetriable('ConsumerGroupHeartbeat', errorCode)) {
        await delay(RETRY_MS)
        continue
      }
      this.#memberEpoch = memberEpoch
      news = {}
      const partitions = assignment?.topicPartitions.flatMap((one) => one.partitions).sort((a, b) => a - b)
      if (partitions === undefined || !this.#events.onOwned(this.#number, partitions)) {
        await delay(heartbeatIntervalMs * part)
        part = 1
        continue
      }
      news = {
        topicPartitions:
          partitions.length === 0 ? [] : [createConsumerGroupHeartbeatRequestTopicPartitions({ topicId, partitions })],
      }
    }
  }

  #call(fields: Partial<ConsumerGroupHeartbeatRequest>): Promise<ConsumerGroupHeartbeatResponse> {
    const request = createConsumerGroupHeartbeatRequest({
      groupId: this.#plan.groupId,
      memberId: this.#memberId,
      ...fields,
    })
    return this.#wire.call(consumerGroupHeartbeatApi, VERSION, request)
  }
}
