import { setTimeout as delay } from 'node:timers/promises'
import type { SeededRandom } from '@millrace/base'
import type { Delivered, ShareVerdict } from '../history/operation.ts'
import { between, chance, exponential } from '../random-choices.ts'
import { pollIntervalMs } from './client-protocol.ts'
import type { RecordedClient } from './recorded-client.ts'
import { shareRules } from './share-group.ts'
import { MAX_BAD_STREAK } from './worker.ts'

export interface SharerOptions {
  readonly client: RecordedClient
  readonly random: SeededRandom
  /** Mean time between two things that it does. */
  readonly pauseMs: number
  readonly topics: readonly string[]
  /** Nobody sends any more: what is left shall be done with soon. */
  isCalm(): boolean
}

/** Of how many records there is one that every member releases, so that the group gives it up at the limit. */
const POISON_EVERY = 100
/** A member that went without a word is let go by its group, and what it held is free. */
const FORGOTTEN_MS = pollIntervalMs + shareRules.lockMs + 5000

/**
 * A member of the share group. It accepts most of what it is handed out, releases and rejects some, and now and then takes so long that
 * its locks run out, or goes away with what it has, half of the time without a word.
 */
export class Sharer {
  readonly #options: SharerOptions
  /** What was said and is not known to be heard. */
  readonly #acknowledging = new Set<Promise<void>>()
  /** Lives that went without a word, and their ends. */
  readonly #ghosts = new Set<Promise<void>>()
  #stopping: AbortSignal = AbortSignal.abort()

  constructor(options: SharerOptions) {
    this.#options = options
  }

  /** Works until the signal, then closes all lives of the client. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, random, pauseMs } = this.#options
    this.#stopping = signal
    let isOpen = false
    while (!signal.aborted) {
      if (isOpen && (client.isLost || client.badStreak > MAX_BAD_STREAK)) {
        if (!client.isLost) await client.close()
        isOpen = false
      }
      if (!isOpen) {
        isOpen = await this.#begin()
        if (!isOpen) await delay(500)
        continue
      }
      isOpen = await this.#work()
      await delay(exponential(random, pauseMs))
    }
    if (isOpen && !client.isLost) await client.close()
    await Promise.all([...this.#ghosts, ...this.#acknowledging])
  }

  async #begin(): Promise<boolean> {
    const { client, topics } = this.#options
    return (await client.open()) && (await client.join(topics, shareRules))
  }

  /** False: it has gone away. */
  async #work(): Promise<boolean> {
    const { client, random, isCalm } = this.#options
    const records = await client.acquire(300)
    if (records === null || records.length === 0) return true
    const choice = isCalm() ? 100 : random.uint32() % 100
    if (choice < 2) {
      await this.#leave()
      return false
    }
    if (choice < 4) await this.#wait(shareRules.lockMs + between(random, 500, 3000))
    else if (choice < 14) await this.#wait(between(random, 0, 1500))
    await this.#acknowledge(records)
    return true
  }

  /** At once, or with the next poll. */
  async #acknowledge(records: readonly Delivered[]): Promise<void> {
    const { client, random } = this.#options
    const verdicts = records.map(({ key, offset, value }) => ({ key, offset, verdict: this.#verdictOn(value) }))
    const isAwaited = chance(random, 0.5)
    const acknowledging = client.acknowledge(verdicts, isAwaited)
    if (isAwaited) return acknowledging
    this.#acknowledging.add(acknowledging)
    void acknowledging.then(() => this.#acknowledging.delete(acknowledging))
  }

  #verdictOn(value: string): ShareVerdict {
    if (isPoison(value)) return 'release'
    const choice = this.#options.random.uint32() % 100
    return choice < 85 ? 'accept' : choice < 97 ? 'release' : 'reject'
  }

  /** Ends early when it is told to stop. */
  #wait(ms: number): Promise<void> {
    return delay(ms, undefined, { signal: this.#stopping }).catch(() => undefined)
  }

  /** With records in hand. */
  async #leave(): Promise<void> {
    const { client, random } = this.#options
    const close = client.closer()
    if (chance(random, 0.5)) return close()
    const ghost = this.#wait(FORGOTTEN_MS).then(close)
    this.#ghosts.add(ghost)
    void ghost.then(() => this.#ghosts.delete(ghost))
  }
}

/** By the value alone, so that all members agree. */
function isPoison(value: string): boolean {
  let sum = 0
  for (let slot = 0; slot < value.length; slot++) sum = (31 * sum + value.charCodeAt(slot)) % 1_000_003
  return sum % POISON_EVERY === 0
}
