import type { Clock, Random, Timer, Timers } from '@millrace/base'
import { ControllerRequestError, ControllerUnavailableError } from './controller-errors.ts'
import type { ControllerAnswer, ControllerRequest, ControllerRequestName } from './controller-requests.ts'
import type { RequestFrame, RequestOutcome } from './peer-protocol.ts'
import { isRepeatable } from './repeatable.ts'

type AnyAnswer = ControllerAnswer<ControllerRequestName>

/** Where requests go. */
export interface RequestTargets {
  readonly selfId: number
  /** Null: this node is not the active controller (yet). */
  performHere(
    name: ControllerRequestName,
    request: ControllerRequest<ControllerRequestName>,
    timeoutMs: number,
  ): Promise<RequestOutcome> | null
  /** False: not connected, or its queue is full. Throws `ControllerRequestError` for a request that is too large to be sent. */
  send(nodeId: number, frame: RequestFrame): boolean
}

interface OpenRequest {
  /** Of the newest sending: what answers an earlier one is not waited for any more. */
  id: number
  readonly name: ControllerRequestName
  readonly request: ControllerRequest<ControllerRequestName>
  readonly deadlineMs: number
  readonly timer: Timer
  /** Node that has it; null: it waits for a controller. */
  at: number | null
  /** Some node may have taken it. */
  mayBeDone: boolean
  resolve(answer: AnyAnswer): void
  reject(error: Error): void
}

/** Most requests of one broker that are open at once. */
const MAX_OPEN = 10_000
/** Until a request that found no controller is tried again. */
const RETRY_MS = 50

/** 2^32 starts that lie so far apart leave ids exact for as long as a process lives. */
const ID_START_STEP = 2 ** 20

/** Largest time that a frame can tell. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1

/** Brings the requests of this node's broker to the active controller, wherever it is, as `ControllerPort.request` promises. */
export class RequestRouter {
  readonly #targets: RequestTargets
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #open = new Map<number, OpenRequest>()
  #leaderId: number | null = null
  #term = 0
  /** From a random start: a node may still answer what the process before this one asked. */
  #nextId: number
  #retryTimer: Timer | null = null
  #closed = false

  constructor(targets: RequestTargets, clock: Clock, timers: Timers, random: Random) {
    this.#targets = targets
    this.#clock = clock
    this.#timers = timers
    this.#nextId = random.uint32() * ID_START_STEP
  }

  get openCount(): number {
    return this.#open.size
  }

  /** Where the active controller is thought to be. */
  get leaderId(): number | null {
    return this.#leaderId
  }

  request<N extends ControllerRequestName>(
    name: N,
    request: ControllerRequest<N>,
    timeoutMs: number,
  ): Promise<ControllerAnswer<N>> {
    if (this.#closed) return Promise.reject(new ControllerUnavailableError('the node is closed', false))
    if (this.#open.size >= MAX_OPEN) {
      return Promise.reject(new ControllerUnavailableError('too many requests wait for the controller', false))
    }
    return new Promise<AnyAnswer>((resolve, reject) => {
      const id = this.#nextId++
      const timer = this.#timers.setTimer(timeoutMs, () => this.#expire(open))
      const deadlineMs = this.#clock.monotonicMs() + timeoutMs
      const open: OpenRequest = { id, name, request, deadlineMs, timer, at: null, mayBeDone: false, resolve, reject }
      this.#open.set(id, open)
      this.#dispatch(open)
    }) as Promise<ControllerAnswer<N>>
  }

  onLeader(leaderId: number | null, term: number): void {
    if (term < this.#term) return
    this.#leaderId = leaderId
    this.#term = term
    if (leaderId === null) return
    // The former one may be frozen, and its connection with it.
    for (const open of this.#open.values()) {
      if (open.at === null || open.at === leaderId || !isRepeatable(open.name, open.request)) continue
      open.mayBeDone = true
      open.at = null
    }
    this.#dispatchWaiting()
  }

  /** This node can do itself what waits for it. */
  onActive(): void {
    this.#dispatchWaiting()
  }

  onConnected(_nodeId: number): void {
    this.#dispatchWaiting()
  }

  /** What was sent there may have been done. */
  onLost(nodeId: number): void {
    for (const open of [...this.#open.values()]) if (open.at === nodeId) this.#onUncertain(open)
  }

  onAnswer(from: number, id: number, outcome: RequestOutcome): void {
    const open = this.#open.get(id)
    if (open?.at === from) this.#settle(open, outcome)
  }

  close(): void {
    this.#closed = true
    this.#retryTimer?.cancel()
    for (const open of [...this.#open.values()]) this.#fail(open, 'the node is closed')
  }

  #dispatchWaiting(): void {
    for (const open of [...this.#open.values()]) if (open.at === null) this.#dispatch(open)
  }

  #dispatch(open: OpenRequest): void {
    const leaderId = this.#leaderId
    const timeoutMs = Math.min(MAX_TIMEOUT_MS, Math.ceil(open.deadlineMs - this.#clock.monotonicMs()))
    if (leaderId === null || timeoutMs <= 0 || !this.#hand(open, leaderId, timeoutMs)) this.#retryLater()
  }

  #hand(open: OpenRequest, leaderId: number, timeoutMs: number): boolean {
    const { name, request } = open
    const id = this.#renumber(open)
    if (leaderId === this.#targets.selfId) {
      const outcome = this.#targets.performHere(name, request, timeoutMs)
      if (outcome === null) return false
      open.at = leaderId
      outcome.then(
        (settled) => this.onAnswer(leaderId, id, settled),
        (error: Error) => this.#reject(open, error),
      )
      return true
    }
    try {
      if (!this.#targets.send(leaderId, { kind: 'request', id, name, request, timeoutMs })) return false
    } catch (error) {
      if (!(error instanceof ControllerRequestError)) throw error
      this.#reject(open, error)
      return true
    }
    open.at = leaderId
    return true
  }

  #renumber(open: OpenRequest): number {
    this.#open.delete(open.id)
    open.id = this.#nextId++
    this.#open.set(open.id, open)
    return open.id
  }

  #settle(open: OpenRequest, outcome: RequestOutcome): void {
    switch (outcome.status) {
      case 'done':
        this.#forget(open)
        open.resolve(outcome.answer)
        return
      case 'failed':
        this.#reject(open, new ControllerRequestError(outcome.errorCode, outcome.message))
        return
      case 'notController':
        // Before it may be sent anew, or it would go out twice.
        if (outcome.mayBeDone) this.#onUncertain(open)
        else this.#wait(open)
        // Whoever answers may know of a later election.
        if (outcome.term > this.#term) this.onLeader(outcome.leaderId, outcome.term)
    }
  }

  #onUncertain(open: OpenRequest): void {
    open.mayBeDone = true
    if (isRepeatable(open.name, open.request)) this.#wait(open)
    else this.#fail(open, 'the controller was lost while it had the request')
  }

  /** Not at once: the node that was asked may go on to believe that the same one leads. */
  #wait(open: OpenRequest): void {
    open.at = null
    this.#retryLater()
  }

  #retryLater(): void {
    if (this.#closed) return
    this.#retryTimer ??= this.#timers.setTimer(RETRY_MS, () => {
      this.#retryTimer = null
      this.#dispatchWaiting()
    })
  }

  #expire(open: OpenRequest): void {
    open.mayBeDone ||= open.at !== null
    this.#fail(open, 'no controller answered in time')
  }

  #fail(open: OpenRequest, why: string): void {
    this.#reject(open, new ControllerUnavailableError(`${open.name}: ${why}`, open.mayBeDone || open.at !== null))
  }

  #reject(open: OpenRequest, error: Error): void {
    this.#forget(open)
    open.reject(error)
  }

  #forget(open: OpenRequest): void {
    open.timer.cancel()
    this.#open.delete(open.id)
  }
}
