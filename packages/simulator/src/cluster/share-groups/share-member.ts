import { ShareConsumer, type ShareRecord } from '@millrace/client'
import type { RandomStream } from '../../world/random-stream.ts'
import { CLOSE_LIMIT_MS, type ClientHost, type ClientSeat } from '../client-host.ts'
import { watchedTransport } from '../wire-watch.ts'
import { JOBS, type Jobs } from './jobs.ts'
import { type ShareSurroundings, ShareWatch } from './share-watch.ts'

export const GROUP = 'workers'
const POLL_MS = 500
const PAUSE_MS = 120
const MOST_RECORDS = 10

/** All that members of one run share. */
export interface ShareWorld {
  readonly host: ClientHost
  readonly random: RandomStream
  readonly jobs: Jobs
  readonly watched: ShareSurroundings
  readonly lockMs: number
}

/** What a member may be told while nodes fail, beside what any client may be. */
const EXPECTED: ReadonlySet<string> = new Set([
  'FENCED_MEMBER_EPOCH',
  'GROUP_ID_NOT_FOUND',
  'INVALID_RECORD_STATE',
  'SHARE_SESSION_NOT_FOUND',
  'INVALID_SHARE_SESSION_EPOCH',
])

/** One member of the share group: works on what it is given, and says what became of it, or does not. */
export class ShareMember {
  readonly #world: ShareWorld
  readonly #seat: ClientSeat
  readonly #driver: ClientSeat
  readonly #watch: ShareWatch
  readonly #consumer: ShareConsumer
  readonly #isExplicit: boolean
  readonly #death: PromiseWithResolvers<void> = Promise.withResolvers<void>()
  #isDead = false
  #isCalm = false
  #life: Promise<void> = Promise.resolve()

  constructor(world: ShareWorld, name: string) {
    const { host, random, watched } = world
    this.#world = world
    this.#seat = host.seat(name)
    this.#driver = host.seat(`${name}-driver`)
    this.#watch = new ShareWatch(watched, name)
    this.#isExplicit = random.chance(0.8)
    const { options } = this.#seat
    this.#consumer = new ShareConsumer({
      ...options,
      ports: { ...options.ports, transport: watchedTransport(options.ports.transport, this.#watch) },
      groupId: GROUP,
      shareAcknowledgementMode: this.#isExplicit ? 'explicit' : 'implicit',
      maxPollRecords: MOST_RECORDS,
    })
    this.#consumer.subscribe(JOBS)
  }

  get isDead(): boolean {
    return this.#isDead
  }

  /** Works for a while, or until `isOver`, once it has ended what it was at. */
  live(untilMs: number, isOver: () => boolean): Promise<void> {
    const life = this.#life.then(() => this.#work(untilMs, isOver))
    this.#life = life.catch(() => undefined)
    return life
  }

  async #work(untilMs: number, isOver: () => boolean): Promise<void> {
    const { host, random, lockMs } = this.#world
    while (!this.#isDead && !isOver() && host.world.nowMs < untilMs) {
      if (!this.#isCalm && random.chance(0.02)) this.#fallSilent(random.real(500, 2 * lockMs))
      await this.turn()
      await this.#pass(random.exponential(PAUSE_MS))
    }
  }

  /** From now on it accepts all that it is given, at once. */
  calmDown(): void {
    this.#isCalm = true
  }

  /** One poll of which nothing is said yet. */
  async take(): Promise<readonly ShareRecord[]> {
    let records: ShareRecord[] = []
    await this.#call('share poll', async () => {
      records = await this.#consumer.poll({ timeoutMs: POLL_MS })
      const { jobs } = this.#world
      for (const { partition, offset, value } of records)
        jobs.onRead(partition, Number(offset), value?.toString() ?? '')
    })
    return records
  }

  /** One poll, and what is said of it. */
  async turn(): Promise<void> {
    const records = await this.take()
    const { random, lockMs, host } = this.#world
    if (records.length === 0 || this.#isDead) return
    if (!this.#isCalm && random.chance(0.05)) {
      host.world.mark('share member works for longer than the lock lasts')
      await this.#pass(random.real(lockMs, 1.5 * lockMs))
    }
    if (this.#isDead) return
    if (this.#isExplicit) for (const record of records) this.#say(record)
    if (random.chance(0.5)) {
      await this.#call('share commit', async () => {
        await this.#consumer.commit({ timeoutMs: CLOSE_LIMIT_MS })
      })
    }
  }

  async leave(): Promise<void> {
    await this.#call('share leave', () => this.#consumer.close({ timeoutMs: CLOSE_LIMIT_MS }))
    this.#watch.end()
  }

  /** Its process is killed, whatever it holds. */
  die(): void {
    this.#world.host.world.mark('share member dies')
    this.#isDead = true
    this.#world.host.kill(this.#seat)
    this.#watch.end()
    this.#death.resolve()
  }

  /** It is stopped for ever with what it holds; its connections stay. */
  freeze(): void {
    this.#isDead = true
    this.#seat.loop.pause()
    this.#death.resolve()
  }

  #say(record: ShareRecord): void {
    const { random } = this.#world
    const draw = this.#isCalm ? 0 : random.unit()
    if (draw < 0.7) this.#consumer.acknowledge(record, 'accept')
    else if (draw < 0.85) this.#consumer.acknowledge(record, 'release')
    else if (draw < 0.93) this.#consumer.acknowledge(record, 'reject')
    else this.#consumer.acknowledge(record, 'renew')
  }

  /** What is under way when the member dies never ends. */
  async #call(name: string, work: () => Promise<void>): Promise<void> {
    if (this.#isDead) return
    await this.#world.host.call(name, () => Promise.race([work(), this.#death.promise]), EXPECTED)
  }

  #pass(delayMs: number): Promise<void> {
    return this.#world.host.pass(this.#driver.loop, delayMs, 'share pause')
  }

  /** The process is stopped for a while, and goes on as if nothing had been. */
  #fallSilent(forMs: number): void {
    const { world } = this.#world.host
    world.mark('share member falls silent')
    this.#seat.loop.pause()
    world.schedule(forMs, 'silence ends', -1, () => {
      if (!this.#isDead) this.#seat.loop.resume()
    })
  }
}
