import { Admin, Producer } from '@millrace/client'
import type { RandomStream } from '../../world/random-stream.ts'
import { must } from '../../world/violation.ts'
import type { ClientHost, ClientSeat } from '../client-host.ts'
import { RecordGhost } from '../record-ghost.ts'
import type { Place } from './membership-ghost.ts'

/** Topics that the group reads; the last ones are made while it does. */
const TOPICS = ['fleet-0', 'fleet-1', 'fleet-2']
const FIRST_TOPICS = 2
/** What all of them match, and nothing else. */
export const FLEET_PATTERN = 'fleet-[0-9]'
const FIRST_PARTITIONS = 2
const MOST_PARTITIONS = 4
const SEND_EVERY_MS = 150
const GROW_EVERY_MS = 9_000

/** Topics with ever more partitions, and what is sent to them: what was acknowledged has to be read by some member of the group. */
export class Fleet {
  readonly #host: ClientHost
  readonly #random: RandomStream
  readonly #records: RecordGhost
  /** Partition counts that are known to be there. */
  readonly #counts = new Map<string, number>()
  readonly #ids = new Map<Place, number>()
  /** Where each acknowledged record is, as text. */
  readonly #acked = new Map<string, string>()
  readonly #read = new Set<string>()
  #admin: Admin | null = null
  #isOver = false

  constructor(host: ClientHost, random: RandomStream) {
    this.#host = host
    this.#random = random
    this.#records = new RecordGhost(host.world)
  }

  /** Topics that there are or will be. */
  get names(): readonly string[] {
    return TOPICS
  }

  /** Topics and how many partitions they have. Another one may be on its way. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts
  }

  /** A number for each partition that anybody named so far. */
  idOf(place: Place): number {
    let id = this.#ids.get(place)
    if (id === undefined) {
      id = this.#ids.size
      this.#ids.set(place, id)
    }
    return id
  }

  /** Partitions that are known, to anybody. */
  get places(): readonly Place[] {
    for (const [topic, count] of this.#counts) {
      for (let partition = 0; partition < count; partition++) this.idOf(`${topic}/${partition}`)
    }
    return [...this.#ids.keys()]
  }

  async prepare(): Promise<void> {
    for (const name of TOPICS.slice(0, FIRST_TOPICS)) while (!(await this.#create(name)));
  }

  start(): void {
    const seat = this.#host.seat('fleet-producer')
    const producer = new Producer({ ...seat.options, acks: 'all', deliveryTimeoutMs: 20_000, maxBlockMs: 10_000 })
    this.#sendOn(seat, producer, 0)
    this.#host.own(this.#growAgainAndAgain(this.#host.seat('fleet-grower')))
  }

  end(): void {
    this.#isOver = true
  }

  onRead(place: Place, offset: number, value: string): void {
    this.#records.onConsumed(this.idOf(place), offset, value)
    this.#read.add(value)
  }

  /** Acknowledged records that nobody has read. */
  unread(): string[] {
    return [...this.#acked].filter(([value]) => !this.#read.has(value)).map(([value, place]) => `${value} at ${place}`)
  }

  /** L4: all that was acknowledged was read. */
  checkAllRead(): void {
    this.#host.world.judge('L4')
    const unread = this.unread()
    must(
      unread.length === 0,
      'L4',
      () => `${unread.length} records were acknowledged and never read, such as ${unread[0]}`,
    )
  }

  #sendOn(seat: ClientSeat, producer: Producer, number: number): void {
    seat.loop.after(this.#random.exponential(SEND_EVERY_MS), 'send', () => {
      if (this.#isOver) return
      this.#host.own(this.#send(producer, `fleet-${number}`))
      this.#sendOn(seat, producer, number + 1)
    })
  }

  async #send(producer: Producer, value: string): Promise<void> {
    const topic = this.#random.pick([...this.#counts.keys()])
    const draw = this.#random.unit()
    await this.#host.call('fleet send', async () => {
      const partition = Math.floor(draw * (await producer.partitionCount(topic)))
      const place = `${topic}/${partition}`
      this.#records.onSend(value)
      const { offset } = await producer.send({ topic, partition, value })
      if (offset >= 0n) this.#records.onAcked(this.idOf(place), Number(offset), value)
      this.#acked.set(value, `${offset} of ${place}`)
    })
  }

  async #growAgainAndAgain({ loop }: ClientSeat): Promise<void> {
    for (;;) {
      await this.#host.pass(loop, this.#random.exponential(GROW_EVERY_MS), 'grow')
      if (this.#isOver) return
      await this.#host.call('fleet grow', async () => {
        const next = TOPICS.find((name) => !this.#counts.has(name))
        if (next !== undefined && this.#random.chance(0.4)) await this.#create(next)
        else await this.#addPartition(this.#random.pick([...this.#counts.keys()]))
      })
    }
  }

  async #create(name: string): Promise<boolean> {
    this.#admin ??= new Admin(this.#host.seat('fleet-admin').options)
    const [outcome] = await this.#admin.createTopics([{ name, partitions: FIRST_PARTITIONS, replicationFactor: 3 }])
    const isThere = outcome!.error === null || codeOf(outcome!.error) === 'TOPIC_ALREADY_EXISTS'
    if (isThere) this.#counts.set(name, FIRST_PARTITIONS)
    return isThere
  }

  async #addPartition(name: string): Promise<void> {
    const count = this.#counts.get(name)! + 1
    if (count > MOST_PARTITIONS) return
    const [outcome] = await this.#admin!.createPartitions([{ name, count }])
    // It has so many already where an earlier answer was lost.
    if (outcome!.error !== null && codeOf(outcome!.error) !== 'INVALID_PARTITIONS') return
    this.#counts.set(name, count)
    this.#host.world.mark('partition added to a topic of a consumer group')
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code
}
