import type { Clock, Timer, Timers } from '@millrace/base'
import { bootstrapRecords } from '../metadata/bootstrap.ts'
import { fenceBroker, onEarlySignOfLoss, repairPartitions } from '../metadata/controller/broker-events.ts'
import { brokerHeartbeat } from '../metadata/controller/broker-heartbeat.ts'
import type { ControllerContext, Outcome } from '../metadata/controller/context.ts'
import { balanceLeaders, electUncleanly, MAX_CHANGES_PER_RUN } from '../metadata/controller/leader-balance.ts'
import { isActiveBroker, type MetadataImage } from '../metadata/image.ts'
import type { MetadataRecord } from '../metadata/records.ts'
import type { Quorum } from '../quorum/quorum.ts'
import type { PeerLoss } from '../transport/peer-transport.ts'
import { BrokerSessions, DEFAULT_SESSION_TIMING, type SessionTiming, type TakeoverView } from './broker-sessions.ts'
import { ControllerRequestError } from './controller-errors.ts'
import type { BrokerHeartbeat, HeartbeatAnswer } from './controller-requests.ts'
import { DEFAULT_WRITE_LIMITS, NotControllerError, type WriteLimits, WriteQueue } from './write-queue.ts'

export interface ControllerTiming extends SessionTiming {
  /** How often sessions are looked at. */
  readonly tickMs: number
  /** Without another record for this long a NoOp keeps the log moving. */
  readonly noOpIntervalMs: number
  /** `leader.imbalance.check.interval.seconds`; null: `auto.leader.rebalance.enable` is off. */
  readonly leaderBalanceIntervalMs: number | null
  readonly uncleanElectionIntervalMs: number
}

export const DEFAULT_CONTROLLER_TIMING: ControllerTiming = {
  ...DEFAULT_SESSION_TIMING,
  tickMs: 25,
  noOpIntervalMs: 500,
  leaderBalanceIntervalMs: 300_000,
  uncleanElectionIntervalMs: 300_000,
}

export interface ActiveControllerOptions {
  readonly nodeId: number
  readonly quorum: Pick<Quorum, 'propose' | 'resign'>
  readonly clock: Clock
  readonly timers: Timers
  readonly timing: ControllerTiming
  readonly limits?: WriteLimits
  /** Committed, at the moment of election. */
  readonly image: MetadataImage
  readonly takeover: Omit<TakeoverView, 'registered'>
  contextFor(image: MetadataImage): ControllerContext
  /** A rule or the reducer failed: a bug. The controller has asked the quorum to end its leadership. */
  onFault(error: unknown): void
}

/** The node's part as the active controller, from its election to its deposition: {@link WriteQueue}, sessions and periodic tasks. */
export class ActiveController {
  readonly sessions: BrokerSessions
  readonly #options: ActiveControllerOptions
  readonly #writes: WriteQueue
  readonly #timers = new Set<Timer>()
  /** When a record was last committed. */
  #movedMs: number
  #ended = false

  constructor(options: ActiveControllerOptions) {
    const { clock, image, timing, nodeId, takeover } = options
    this.#options = options
    this.#movedMs = clock.monotonicMs()
    this.sessions = new BrokerSessions(
      timing,
      nodeId,
      { ...takeover, registered: image.brokers.values() },
      this.#movedMs,
    )
    this.#writes = new WriteQueue({
      quorum: options.quorum,
      image,
      limits: options.limits ?? DEFAULT_WRITE_LIMITS,
      contextFor: options.contextFor,
      nowMs: () => clock.monotonicMs(),
      onFault: (error) => this.#onFault(error),
    })
    this.#start(image)
  }

  /** With everything that is not committed yet. */
  get pending(): MetadataImage {
    return this.#writes.pending
  }

  /** Works out an operation that is one batch, and answers when it is committed. Rejects as {@link WriteQueue.submit}. */
  submit<Response>(
    rule: (context: ControllerContext) => Outcome<Response>,
    deadlineMs: number,
    atomic = true,
  ): Promise<Response> {
    return this.#writes.submit({ rule, deadlineMs, atomic })
  }

  /** `answer` is called once the answer's records are committed; never after a deposition. Not from inside this call. */
  onHeartbeat(heartbeat: BrokerHeartbeat, answer: (answer: HeartbeatAnswer) => void): void {
    const { brokerId, brokerEpoch, incarnationId } = heartbeat
    const broker = this.pending.brokers.get(brokerId)
    if (broker?.epoch === brokerEpoch && broker.incarnationId === incarnationId) {
      this.sessions.onHeartbeat(brokerId, brokerEpoch, heartbeat.appliedOffset, this.#nowMs())
    }
    this.#run(answer, (context) => {
      const { image } = context
      const isActive = (id: number) => id !== brokerId && isActiveBroker(image, id)
      const outcome = brokerHeartbeat(context, heartbeat, this.sessions.shutdownProgress(brokerId, isActive))
      const isShuttingDown = heartbeat.wantShutDown && !outcome.response.shouldShutDown
      if (isShuttingDown && outcome.response.errorCode === 0) {
        // What moves the leaderships lies below.
        this.sessions.onShutdownBegun(brokerId, image.offset + outcome.records.length)
      }
      return outcome
    })
  }

  onConnected(nodeId: number): void {
    this.sessions.onConnected(nodeId)
  }

  onLost(nodeId: number, why: PeerLoss): void {
    this.sessions.onLost(nodeId, why, this.#nowMs())
  }

  onCommitted(image: MetadataImage): void {
    if (image.offset > 0) this.#movedMs = this.#nowMs()
    this.#writes.onCommitted(image)
  }

  /** Deposed, or the node closes. All that waits is rejected with `NotControllerError`. */
  end(): void {
    this.#ended = true
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
    this.#writes.end()
  }

  #start(image: MetadataImage): void {
    if (image.offset === 0) {
      this.#run(ignore, (context) => ({ records: bootstrapRecords(context), response: null }), true)
    } else {
      this.#run(ignore, (context) => ({ records: repairPartitions(context), response: null }))
    }
    const { timing } = this.#options
    this.#every(timing.tickMs, () => this.#onTick())
    this.#every(timing.uncleanElectionIntervalMs, () => this.#runTask(electUncleanly))
    if (timing.leaderBalanceIntervalMs !== null) {
      this.#every(timing.leaderBalanceIntervalMs, () => this.#runTask(balanceLeaders))
    }
  }

  #onTick(): void {
    const nowMs = this.#nowMs()
    this.#writes.poll()
    const isUnfenced = (id: number) => this.pending.brokers.get(id)?.fenced === false
    for (const { brokerId, sign } of this.sessions.signs(nowMs, isUnfenced)) {
      const rule = sign === 'late' ? fenceBroker : onEarlySignOfLoss
      this.#run(ignore, (context) => ({ records: rule(context, brokerId), response: null }))
    }
    if (nowMs - this.#movedMs < this.#options.timing.noOpIntervalMs || this.#writes.waitingCount > 0) return
    this.#movedMs = nowMs
    this.#run(ignore, () => ({ records: [{ type: 'NoOpRecord' }], response: null }))
  }

  /** A run that changed as much as it may is followed by the next at once. */
  #runTask(task: (context: ControllerContext) => readonly MetadataRecord[]): void {
    this.#run(
      (count: number) => {
        if (count >= MAX_CHANGES_PER_RUN) this.#after(TASK_GAP_MS, () => this.#runTask(task))
      },
      (context) => {
        const records = task(context)
        return { records, response: records.length }
      },
    )
  }

  /** An operation of the controller's own: nobody waits for it but `done`, and its failure is told where it happens. */
  #run<Response>(
    done: (response: Response) => void,
    rule: (context: ControllerContext) => Outcome<Response>,
    atomic = false,
  ): void {
    const deadlineMs = Number.POSITIVE_INFINITY
    this.#writes.submit({ rule, atomic, deadlineMs }).then(
      (response) => {
        if (!this.#ended) done(response)
      },
      (error: unknown) => {
        const isExpected = error instanceof NotControllerError || error instanceof ControllerRequestError
        if (!isExpected) this.#onFault(error)
      },
    )
  }

  #onFault(error: unknown): void {
    this.#options.quorum.resign()
    this.end()
    this.#options.onFault(error)
  }

  #every(intervalMs: number, task: () => void): void {
    this.#after(intervalMs, () => {
      task()
      this.#every(intervalMs, task)
    })
  }

  #after(delayMs: number, task: () => void): void {
    if (this.#ended) return
    const timer = this.#options.timers.setTimer(delayMs, () => {
      this.#timers.delete(timer)
      if (!this.#ended) task()
    })
    this.#timers.add(timer)
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs()
  }
}

/** Between two runs of a task that has more to do. */
const TASK_GAP_MS = 10

function ignore(): void {
  // Nobody waits for it.
}
