import {
  type BrokerHeartbeat,
  type ControllerAnswer,
  type ControllerEvents,
  type ControllerPort,
  type ControllerRequest,
  type ControllerRequestName,
  ControllerUnavailableError,
  type HeartbeatAnswer,
  type MetadataRecord,
} from '@millrace/consensus'

/** A request that waits for the test to answer it. */
export interface AskedRequest {
  readonly name: ControllerRequestName
  readonly request: unknown
  readonly timeoutMs: number
  answer(answer: unknown): void
  reject(error: Error): void
}

/** A way to the controllers of which a test plays the other end. */
export class FakeControllerPort implements ControllerPort {
  readonly heartbeats: BrokerHeartbeat[] = []
  /** Asked and not yet answered. */
  readonly asked: AskedRequest[] = []
  /** Answers by name, given without being asked for by the test. */
  readonly answers = new Map<ControllerRequestName, (request: never) => unknown>()
  events: ControllerEvents | null = null
  isClosed = false
  #offset = 0

  start(events: ControllerEvents): void {
    this.events = events
  }

  request<N extends ControllerRequestName>(
    name: N,
    request: ControllerRequest<N>,
    timeoutMs: number,
  ): Promise<ControllerAnswer<N>> {
    const ready = this.answers.get(name)
    return new Promise((resolve, reject) => {
      const answer = resolve as (answer: unknown) => void
      if (ready !== undefined) queueMicrotask(() => answer(ready(request as never)))
      else this.asked.push({ name, request, timeoutMs, answer, reject })
    })
  }

  heartbeat(heartbeat: BrokerHeartbeat): void {
    this.heartbeats.push(heartbeat)
  }

  async close(): Promise<void> {
    this.isClosed = true
    for (const { reject } of this.asked.splice(0)) reject(new ControllerUnavailableError('closed', false))
  }

  /** Takes the oldest request of the name out of those that wait. */
  take(name: ControllerRequestName): AskedRequest {
    const slot = this.asked.findIndex((asked) => asked.name === name)
    const [asked] = slot < 0 ? [] : this.asked.splice(slot, 1)
    if (asked === undefined) throw new Error(`${name} was not asked for`)
    return asked
  }

  commit(...records: MetadataRecord[]): void {
    const startOffset = this.#offset
    this.#offset += records.length
    this.events?.onRecords(startOffset, records)
  }

  answerHeartbeat(answer: Partial<HeartbeatAnswer> = {}): void {
    this.events?.onHeartbeatAnswer({
      errorCode: 0,
      isCaughtUp: true,
      isFenced: false,
      shouldShutDown: false,
      ...answer,
    })
  }
}
