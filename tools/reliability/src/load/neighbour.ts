import { requestFrame } from '@millrace/broker/testing'
import { CodecId, decodeResponseHeader, ErrorCode, produceApi, Reader } from '@millrace/protocol'
import { batchOf, produceRequest } from './topics.ts'
import { WireClient } from './wire-client.ts'

const PRODUCE_VERSION = 9

export interface NeighbourHabits {
  readonly topic: string
  readonly periodMs: number
  /** Of the one record of each batch. */
  readonly valueBytes: number
}

/**
 * A well-behaved client: it produces a record with acks=all at a steady pace, one at a time, and measures how long each takes from the
 * moment it was due. So a broker that does not answer for a second costs it all the records of that second.
 */
export class Neighbour {
  readonly #client: WireClient
  readonly #frame: Buffer
  readonly #periodMs: number
  /** In milliseconds, since the last `take`. */
  #latencies: number[] = []
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

  /** The latencies since the last call, and how long the produce under way has waited: one that is not answered counts too. */
  take(): number[] {
    const latencies = this.#latencies
    this.#latencies = []
    if (this.#waitingSinceMs !== null) latencies.push(performance.now() - this.#waitingSinceMs)
    return latencies
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
    this.#client.close()
  }

  async #run(): Promise<void> {
    let dueMs = performance.now()
    while (!this.#stopped) {
      const waitMs = dueMs - performance.now()
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
      // The timer's own lateness is not the broker's.
      const startMs = Math.max(dueMs, waitMs > 0 ? performance.now() : dueMs)
      this.#waitingSinceMs = startMs
      try {
        await this.#produce()
      } catch (error) {
        this.errors.push(String(error))
        return
      }
      this.#waitingSinceMs = null
      const endMs = performance.now()
      this.#latencies.push(endMs - startMs)
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
