import type { SeededRandom } from '@millrace/base'
import type { AcknowledgeOperation, Delivered, Key, ShareVerdict } from '../history/operation.ts'
import { shareRules } from './build.ts'

/** What a correct share group knows of one record of its log. */
interface Shared {
  count: number
  holder: string | null
  isDone: boolean
}

/** A share group of a correct cluster: it hands out the records of one log. Locks do not run out here, since nobody keeps a record for long. */
export class ModelShares {
  readonly key: Key
  readonly #random: SeededRandom
  readonly #log: readonly (string | null)[]
  readonly #records: Shared[] = []

  constructor(key: Key, random: SeededRandom, log: readonly (string | null)[]) {
    this.key = key
    this.#random = random
    this.#log = log
  }

  /** Hands out a few records that nobody has. */
  acquire(member: string): Delivered[] {
    while (this.#records.length < this.#log.length) {
      // Nobody is given what is no record.
      this.#records.push({ count: 0, holder: null, isDone: this.#log[this.#records.length] === null })
    }
    const delivered: Delivered[] = []
    for (const [offset, record] of this.#records.entries()) {
      if (delivered.length === 4) break
      if (record.isDone || record.holder !== null || this.#random.uint32() % 4 === 0) continue
      record.holder = member
      record.count++
      delivered.push({ key: this.key, offset, value: this.#log[offset]!, count: record.count })
    }
    return delivered
  }

  /** What a member says of all that it has. `isRushed`: nothing is to come again. */
  acknowledge(member: string, isRushed: boolean): AcknowledgeOperation['verdicts'] {
    const held = [...this.#records.entries()].filter(([, { holder }]) => holder === member)
    return held.map(([offset, record]) => {
      const choice = isRushed ? 0 : this.#random.uint32() % 10
      const verdict: ShareVerdict = choice < 5 ? 'accept' : choice < 9 ? 'release' : 'reject'
      record.holder = null
      record.isDone = verdict !== 'release' || record.count >= shareRules.deliveryLimit
      return { key: this.key, offset, verdict }
    })
  }

  /** Everything before is done with. */
  get start(): number {
    const open = this.#records.findIndex(({ isDone }) => !isDone)
    return open === -1 ? this.#records.length : open
  }
}
