import type { Timers } from '@millrace/base'
import type { QuorumWait } from '@millrace/broker'
import {
  applyRecords,
  type BrokerHeartbeat,
  type ControllerAnswer,
  type ControllerEvents,
  type ControllerPort,
  type ControllerRequest,
  type ControllerRequestName,
  ControllerUnavailableError,
  emptyImage,
  type MetadataImage,
  type MetadataRecord,
} from '@millrace/consensus'
import { errorFrom } from './sent-error.ts'
import {
  type ControllerStatus,
  MAX_REQUESTS,
  THREAD_PROTOCOL_VERSION,
  type ToBroker,
  type ToController,
} from './thread-messages.ts'

/** The thread at the other end, as far as the port needs it; a `Worker` is one. */
export interface ControllerThread {
  postMessage(message: ToController): void
  /** Ends it, whatever it does. */
  terminate(): Promise<unknown>
}

/** How long a quorum node may take to stop. What it has not written by then nobody was promised. */
export const CLOSE_LIMIT_MS = 10_000

interface Waiting {
  resolve(answer: unknown): void
  reject(error: Error): void
}

/**
 * The broker's end of the way to the controller's thread. Whoever makes it gives it the thread's messages and its end; a thread that ends
 * by itself is fatal, since a broker without its quorum node would serve by metadata that nobody renews.
 */
export class ThreadControllerPort implements ControllerPort {
  readonly #thread: ControllerThread
  readonly #clusterId: string
  readonly #timers: Timers
  readonly #waiting = new Map<number, Waiting>()
  #events: ControllerEvents | null = null
  #nextId = 0
  /** Of one onRecords call, until its last part is here. */
  #parts: MetadataRecord[] = []
  #partsOffset = 0
  #image: MetadataImage | null = null
  #status: ControllerStatus | null = null
  #wait: QuorumWait | null = null
  #closing: PromiseWithResolvers<void> | null = null
  #failure: Error | null = null

  constructor(thread: ControllerThread, clusterId: string, timers: Timers) {
    this.#thread = thread
    this.#clusterId = clusterId
    this.#timers = timers
  }

  /** As the thread told it last, about once a second; null before. */
  get status(): ControllerStatus | null {
    return this.#status
  }

  /** What the quorum lacks to have a leader, as the thread told it last; null: nothing, or nothing was told. */
  get wait(): QuorumWait | null {
    return this.#wait
  }

  start(events: ControllerEvents): void {
    this.#events = events
    if (this.#failure !== null) queueMicrotask(() => events.onFatal(this.#failure!))
    else this.#thread.postMessage({ type: 'start', version: THREAD_PROTOCOL_VERSION })
  }

  request<N extends ControllerRequestName>(
    name: N,
    request: ControllerRequest<N>,
    timeoutMs: number,
  ): Promise<ControllerAnswer<N>> {
    if (this.#closing !== null || this.#failure !== null) {
      return Promise.reject(new ControllerUnavailableError('this node is stopping', false))
    }
    if (this.#waiting.size >= MAX_REQUESTS) {
      const message = `${MAX_REQUESTS} requests to the controller wait for their answers`
      return Promise.reject(new ControllerUnavailableError(message, false))
    }
    return new Promise((resolve, reject) => {
      const id = this.#nextId++
      this.#waiting.set(id, { resolve: resolve as (answer: unknown) => void, reject })
      this.#thread.postMessage({ type: 'request', id, name, request, timeoutMs })
    })
  }

  heartbeat(heartbeat: BrokerHeartbeat): void {
    if (this.#closing === null && this.#failure === null) this.#thread.postMessage({ type: 'heartbeat', heartbeat })
  }

  /** Resolves once the quorum node is closed and its thread gone, or after {@link CLOSE_LIMIT_MS}: its disk may hang for good. */
  async close(): Promise<void> {
    if (this.#closing === null) {
      this.#closing = Promise.withResolvers<void>()
      this.#rejectAll('this node is stopping')
      if (this.#failure === null) this.#thread.postMessage({ type: 'close' })
      else this.#closing.resolve()
    }
    const closing = this.#closing
    const late = Promise.withResolvers<void>()
    const limit = this.#timers.setTimer(CLOSE_LIMIT_MS, () => {
      closing.resolve()
      late.resolve()
    })
    await closing.promise
    await Promise.race([this.#thread.terminate(), late.promise])
    limit.cancel()
  }

  onMessage(message: ToBroker): void {
    switch (message.type) {
      case 'records':
        this.#onRecords(message.startOffset, message.records, message.isLast)
        this.#thread.postMessage({ type: 'confirm' })
        break
      case 'image':
        this.#onImage(message)
        this.#thread.postMessage({ type: 'confirm' })
        break
      case 'activeController':
        this.#events?.onActiveController(message.id)
        break
      case 'heartbeatAnswer':
        this.#events?.onHeartbeatAnswer(message.answer)
        break
      case 'answer':
        this.#take(message.id)?.resolve(message.answer)
        break
      case 'refusal':
        this.#take(message.id)?.reject(errorFrom(message.error))
        break
      case 'status':
        this.#status = message.status
        this.#wait = message.wait
        break
      case 'fatal':
        this.onEnd(errorFrom(message.error))
        break
      case 'closed':
        this.#closing?.resolve()
        break
      case 'ready':
      case 'failed':
      case 'log':
        // Are for whoever started the thread.
        break
    }
  }

  /** The thread is gone, or cannot go on. */
  onEnd(error: Error): void {
    if (this.#failure !== null) return
    this.#failure = error
    this.#rejectAll(error.message)
    if (this.#closing === null) this.#events?.onFatal(error)
    else this.#closing.resolve()
  }

  #onRecords(startOffset: number, records: readonly MetadataRecord[], isLast: boolean): void {
    if (isLast && this.#parts.length === 0) {
      this.#events?.onRecords(startOffset, records)
      return
    }
    // What belongs together must be seen together: a topic without its partitions would be one that has none.
    if (this.#parts.length === 0) this.#partsOffset = startOffset
    for (const record of records) this.#parts.push(record)
    if (!isLast) return
    const parts = this.#parts
    this.#parts = []
    this.#events?.onRecords(this.#partsOffset, parts)
  }

  #onImage({ isFirst, isLast, offset, records }: Extract<ToBroker, { type: 'image' }>): void {
    this.#parts = []
    const before = isFirst || this.#image === null ? emptyImage(this.#clusterId) : this.#image
    this.#image = applyRecords(before, records).image
    if (!isLast) return
    const image = { ...this.#image, offset }
    this.#image = null
    this.#events?.onImage(image)
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    return waiting
  }

  #rejectAll(reason: string): void {
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { reject } of waiting) reject(new ControllerUnavailableError(reason, true))
  }
}
