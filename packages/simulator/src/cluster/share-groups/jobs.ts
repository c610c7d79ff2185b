import { Producer } from '@millrace/client'
import type { RandomStream } from '../../world/random-stream.ts'
import type { ClientHost, ClientSeat } from '../client-host.ts'
import { RecordGhost } from '../record-ghost.ts'
import { PARTITIONS } from './share-watch.ts'

export const JOBS = 'jobs'
const SEND_EVERY_MS = 140

/** What share groups read: records that were acknowledged, each with where it is. */
export class Jobs {
  /** Offsets of acknowledged records, by partition. */
  readonly acked: ReadonlyMap<number, Set<number>> = new Map(PARTITIONS.map((partition) => [partition, new Set()]))
  readonly #host: ClientHost
  readonly #random: RandomStream
  readonly #records: RecordGhost
  #producer: Producer | null = null
  #sentCount = 0
  #isOver = false

  constructor(host: ClientHost, random: RandomStream) {
    this.#host = host
    this.#random = random
    this.#records = new RecordGhost(host.world)
  }

  start(): void {
    const seat = this.#host.seat('jobs-producer')
    this.#producer = new Producer({ ...seat.options, acks: 'all', deliveryTimeoutMs: 20_000, maxBlockMs: 10_000 })
    this.#sendOn(seat)
  }

  end(): void {
    this.#isOver = true
  }

  onRead(partition: number, offset: number, value: string): void {
    this.#records.onConsumed(partition, offset, value)
  }

  /** Some more, at once. */
  async sendMore(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.#send()))
  }

  #sendOn(seat: ClientSeat): void {
    seat.loop.after(this.#random.exponential(SEND_EVERY_MS), 'send', () => {
      if (this.#isOver) return
      this.#host.own(this.#send())
      this.#sendOn(seat)
    })
  }

  async #send(): Promise<void> {
    const value = `job-${this.#sentCount++}`
    const partition = this.#random.pick(PARTITIONS)
    this.#records.onSend(value)
    await this.#host.call('job send', async () => {
      const offset = Number((await this.#producer!.send({ topic: JOBS, partition, value })).offset)
      if (offset < 0) return
      this.#records.onAcked(partition, offset, value)
      this.acked.get(partition)!.add(offset)
    })
  }
}
