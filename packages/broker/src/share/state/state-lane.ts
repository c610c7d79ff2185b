import type { Timers } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { type ShareKey, type StateOutcome, shareKeyText } from '../../coordinator/share/share-state.ts'
import { BrokerConnectionError } from '../../replication/broker-connection.ts'
import { BrokerLane, type OpenConnection } from './broker-lane.ts'
import type { StateCall } from './state-calls.ts'

/** The coordinator's own limit of a write, and the way there and back. */
const REQUEST_TIMEOUT_MS = 10_000
/** Share partitions in one request. */
const MAX_KEYS_PER_REQUEST = 200
/** Array elements in one request, but for a share partition that has more by itself: a broker refuses requests with very many. */
const MAX_ELEMENTS_PER_REQUEST = 10_000

/** An operation on the state of one share partition, which waits to be sent. */
interface Pending<Argument, Outcome> {
  readonly call: StateCall<Argument, Outcome>
  readonly key: ShareKey
  readonly argument: Argument
  readonly brokerId: number
  resolve(outcome: Outcome): void
}

type AnyPending = Pending<unknown, StateOutcome>

/**
 * Operations on one partition of `__share_group_state` that another broker leads. Those of a kind and a group that wait together go in one
 * request. Each partition has a lane of its own, so that a slow one holds up nobody else.
 */
export class StateLane {
  readonly #lane: BrokerLane
  #pending: AnyPending[] = []
  #isSending = false

  constructor(open: OpenConnection, timers: Timers) {
    this.#lane = new BrokerLane(open, timers)
  }

  /** Never rejects: a connection that fails is an error code. */
  send<Argument, Outcome extends StateOutcome>(
    brokerId: number,
    call: StateCall<Argument, Outcome>,
    key: ShareKey,
    argument: Argument,
  ): Promise<Outcome> {
    return new Promise((resolve) => {
      // What was put in is what comes out: `call` fits the argument and the outcome.
      this.#pending.push({ call, key, argument, brokerId, resolve } as unknown as AnyPending)
      if (!this.#isSending) void this.#sendAll()
    })
  }

  close(): void {
    this.#lane.close()
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true
    while (this.#pending.length > 0) await this.#sendSome(this.#takeRequest())
    this.#isSending = false
  }

  #takeRequest(): AnyPending[] {
    const { call, key, brokerId } = this.#pending[0]!
    const taken: AnyPending[] = []
    const left: AnyPending[] = []
    const keys = new Set<string>()
    let elementCount = 0
    for (const next of this.#pending) {
      const isAlike = next.call === call && next.key.groupId === key.groupId && next.brokerId === brokerId
      const text = shareKeyText(next.key)
      const added = isAlike ? call.elementsOf(next.argument) : 0
      const isRoom = taken.length === 0 || elementCount + added <= MAX_ELEMENTS_PER_REQUEST
      if (isAlike && isRoom && taken.length < MAX_KEYS_PER_REQUEST && !keys.has(text)) {
        taken.push(next)
        keys.add(text)
        elementCount += added
      } else {
        left.push(next)
      }
    }
    this.#pending = left
    return taken
  }

  async #sendSome(taken: readonly AnyPending[]): Promise<void> {
    const { call, key, brokerId } = taken[0]!
    try {
      const items = taken.map((pending) => ({ key: pending.key, argument: pending.argument }))
      const outcomes = await call.send(key.groupId, items, (api, request) =>
        this.#lane.call(brokerId, api, request, REQUEST_TIMEOUT_MS),
      )
      for (const pending of taken) {
        pending.resolve(outcomes.get(shareKeyText(pending.key)) ?? call.failed(ErrorCode.UNKNOWN_SERVER_ERROR))
      }
    } catch (error) {
      const isLost = error instanceof BrokerConnectionError
      for (const { resolve } of taken) {
        resolve(call.failed(isLost ? ErrorCode.NETWORK_EXCEPTION : ErrorCode.UNKNOWN_SERVER_ERROR))
      }
      if (!isLost) throw error
    }
  }
}
