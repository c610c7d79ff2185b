import { requestFrame } from '@millrace/broker/testing'
import { CodecId, decodeResponseHeader, ErrorCode, produceApi, Reader } from '@millrace/protocol'
import { monotonicMs } from './monotonic.ts'
import { batchOf, produceRequest } from './topics.ts'
import { WireClient } from './wire-client.ts'

const PRODUCE_VERSION = 9

export interface NeighbourHabits {
  readonly topic: string
  readonly periodMs: number
  /** Of the one record of each batch. */
  readonly valueBytes: number
}

/** One produce, by the system's monotonic clock: from when it was due until it was answered. */
export interface Wait {
  readonly startMs: number
  readonly endMs: number
}

/**
 * A well-behaved client: it produces a record with acks=all at a steady pace, one at a time, and measures how long each takes from the
 * moment it was due. So a broker that does not answer for a second costs it all the records of that second.
 */
export class Neighbour {
  readonly #client: WireClient
  readonly #frame: Buffer
  readonly #periodMs: number
  /** Since the last `take`. */
  #waits: Wait[] = []
  readonly errors: string[] = []
  #running: Promise<void> | null = null
  #stopped = false
  /** When the produce under way was due; null while there is none. */
  #waitingSinceMs: number | null = null

  private constructor(client: WireClient, { topic, periodMs, valueBytes }: NeighbourHabits) {
    this.#client = client
    this.#periodMs = periodMs
    const records = batchOf(CodecId.NONE, 1, Buffer.alloc(valueBytes, 'n'))
    this.#frame = requestFrame(produceApi, PRODUCE_VERSION, produceRequest(topic, 0, records), 0, 'neighbour')
  }

  static async start(port: number, habits: NeighbourHabits): Promise<Neighbour> {
    const neighbour = new Neighbour(await WireClient.open(port), habits)
    neighbour.#running = neighbour.#run()
    return neighbour
  }

  /** The latencies in milliseconds since the last call, and how long the produce under way has waited: one that is not answered counts too. */
  take(): number[] {
    return this.takeWaits().map(({ startMs, endMs }) => endMs - startMs)
  }

  /** The same with their times. */
  takeWaits(): Wait[] {
    const waits = this.#waits
    this.#waits = []
    if (this.#waitingSinceMs !== null) waits.push({ startMs: this.#waitingSinceMs, endMs: monotonicMs() })
    return waits
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
    this.#client.close()
  }

  async #run(): Promise<void> {
    let dueMs = monotonicMs()
    while (!this.#stopped) {
      const waitMs = dueMs - monotonicMs()
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
      // The timer's own lateness is not the broker's.
      const startMs = Math.max(dueMs, waitMs > 0 ? monotonicMs() : dueMs)
      this.#waitingSinceMs = startMs
      try {
        await this.#produce()
      } catch (error) {
        this.errors.push(String(error))
        return
      }
      this.#waitingSinceMs = null
      const endMs = monotonicMs()
      this.#waits.push({ startMs, endMs })
      dueMs = Math.max(dueMs + this.#periodMs, endMs - 1000)
    }
  }

  async #produce(): Promise<void> {
    const reader = new Reader(await this.#client.send(this.#frame))
    decodeResponseHeader(reader, produceApi.responseHeaderVersion(PRODUCE_VERSION))
    const { errorCode } = produceApi.decodeResponse(reader, PRODUCE_VERSION).responses[0]!.partitionResponses[0]!
    if (errorCode !== ErrorCode.NONE) this.errors.push(`error ${errorCode}`)
  }
}
