import { setTimeout as delay } from 'node:timers/promises'
import type { SeededRandom } from '@millrace/base'
import type { Key, Place } from '../history/operation.ts'
import { chance, exponential, pickOne } from '../random-choices.ts'
import type { Knowledge } from './knowledge.ts'
import type { RecordedClient } from './recorded-client.ts'

/**
 * What a client does all the time. `mixed`: sends to all logs, and reads some that it takes by hand, committing for a group of its own;
 * `member`: reads what a group gives it, and commits for the group; `register`: writes and reads one log as a register.
 */
export type Role = 'mixed' | 'member' | 'register'

export interface WorkerOptions {
  readonly client: RecordedClient
  readonly role: Role
  readonly random: SeededRandom
  readonly knowledge: Knowledge
  readonly topic: string
  readonly registerKey: Key
  /** Mean time between two things that it does. */
  readonly pauseMs: number
  /** How often it goes away and comes back in a new life, of the times that it could do something. */
  readonly leaveChance: number
}

/** Sends under way beyond which it sends no more: what an outage leaves without answer stays bounded. */
const MAX_SENDS = 10
/** Requests in a row that fail, after which the client is given up for a new one. */
export const MAX_BAD_STREAK = 8
/** How far back a reader begins at most, so that logs of millions are not read again and again. */
const MAX_STEP_BACK = 2000

export class Worker {
  readonly #options: WorkerOptions
  readonly #positions = new Map<Key, number>()
  readonly #committed = new Map<Key, number>()
  readonly #sends = new Set<Promise<unknown>>()
  #valueCount = 0

  constructor(options: WorkerOptions) {
    this.#options = options
  }

  /** Works until the signal, then waits for what is under way and closes the client. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, random, pauseMs, role, leaveChance } = this.#options
    let isOpen = false
    while (!signal.aborted) {
      if (!isOpen || client.isLost || client.badStreak > MAX_BAD_STREAK || chance(random, leaveChance)) {
        isOpen = await this.#reopen(isOpen && !client.isLost)
        if (!isOpen) await delay(500)
        continue
      }
      if (role === 'register') await this.#useRegister()
      else if (role === 'member') await this.#beMember()
      else await this.#mix()
      await delay(exponential(random, pauseMs))
    }
    await Promise.all(this.#sends)
    if (isOpen) await client.close()
  }

  async #reopen(hasOld: boolean): Promise<boolean> {
    const { client, role, topic } = this.#options
    // Half of the clients that go do not say so.
    if (hasOld && chance(this.#options.random, 0.5)) await client.close()
    this.#positions.clear()
    this.#valueCount = 0
    if (!(await client.open())) return false
    return role === 'member' ? client.subscribe(topic) : role === 'mixed' ? this.#assign() : true
  }

  async #mix(): Promise<void> {
    const choice = this.#options.random.uint32() % 100
    if (choice < 50) this.#send(this.#someKey(), 1 + (choice % 4))
    else if (choice < 80) await this.#poll()
    else if (choice < 86) await this.#assign()
    else if (choice < 92) await this.#commit()
    else if (choice < 96) await this.#options.client.committed(this.#options.knowledge.keys)
    else await this.#options.client.ends(this.#options.knowledge.keys)
  }

  async #beMember(): Promise<void> {
    const { client, knowledge, random } = this.#options
    await this.#poll()
    if (chance(random, 0.3)) await this.#commit()
    else if (chance(random, 0.15)) await client.committed(knowledge.keys)
  }

  async #useRegister(): Promise<void> {
    const { client, registerKey, random } = this.#options
    if (chance(random, 0.4)) this.#send(registerKey, 1)
    else await client.read(registerKey)
  }

  #send(key: Key, count: number): void {
    const { client } = this.#options
    for (let left = count; left > 0 && client.sendsUnderWay < MAX_SENDS; left--) {
      const sent = client.send(key, `${client.process}:${this.#valueCount++}`)
      this.#sends.add(sent)
      void sent.then(() => this.#sends.delete(sent))
    }
  }

  async #poll(): Promise<void> {
    const polled = await this.#options.client.poll(300)
    // After a failure nobody knows what was taken away within it: an offset of what others read by now must not be committed.
    if (polled === null) return this.#positions.clear()
    if (polled.isRebalanced) this.#positions.clear()
    for (const { key, offset } of polled.records) this.#positions.set(key, offset + 1)
  }

  /** Takes some logs, a third of the time one that has acknowledged records that nobody has read. */
  async #assign(): Promise<boolean> {
    const { client, knowledge, random } = this.#options
    const unread = chance(random, 0.33) ? knowledge.unread() : []
    const keys = new Set(unread.length > 0 ? [pickOne(random, unread)] : [])
    for (let more = 1 + (random.uint32() % 3); more > 0; more--) keys.add(this.#someKey())
    const places = [...keys].map((key): Place => {
      const end = Math.max(knowledge.polledEnd(key), 0)
      const back = chance(random, 0.5) ? 0 : random.uint32() % (MAX_STEP_BACK + 1)
      return { key, offset: Math.max(0, end - back) }
    })
    this.#positions.clear()
    return client.assign(places)
  }

  /** Only forward: whoever commits an earlier place on purpose cannot say that a later one was lost. */
  async #commit(): Promise<void> {
    const { client, role } = this.#options
    const places = [...this.#positions]
      .map(([key, offset]): Place => ({ key, offset }))
      .filter(({ key, offset }) => role === 'member' || offset > (this.#committed.get(key) ?? -1))
    if (places.length === 0) return
    for (const { key, offset } of places) this.#committed.set(key, offset)
    await client.commit(places)
  }

  #someKey(): Key {
    return pickOne(this.#options.random, this.#options.knowledge.keys)
  }
}
