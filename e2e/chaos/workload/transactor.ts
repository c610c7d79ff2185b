import type { Key } from '../history/operation.ts'
import { chance, pickOne } from '../random-choices.ts'
import { type TransactionalOptions, TransactionalWorker } from './transactional-worker.ts'

export interface TransactorOptions extends TransactionalOptions {
  readonly keys: readonly Key[]
  /** Of all clients of this kind; the first is its own. */
  readonly transactionalIds: readonly string[]
}

/** Sends to several logs in one transaction, and commits most of them. */
export class Transactor extends TransactionalWorker {
  readonly #keys: readonly Key[]
  readonly #transactionalIds: readonly string[]
  #valueCount = 0
  #onceCount = 0
  /** Nobody takes the id over that the last life had: its transaction ends for want of time alone. */
  #isLeftAlone = false

  constructor(options: TransactorOptions) {
    super(options)
    this.#keys = options.keys
    this.#transactionalIds = options.transactionalIds
  }

  protected override open(): Promise<boolean> {
    this.#valueCount = 0
    return this.client.open(this.#someTransactionalId())
  }

  protected override async work(): Promise<void> {
    const sends = this.#someSends()
    const choice = this.random.uint32() % 100
    if (choice < 3) this.haunt({ sends, end: 'commit' })
    else if (choice < 5) await this.#abandon(sends)
    else {
      const { isBroken } = await this.transact({ sends, end: choice < 20 ? 'abort' : 'commit' })
      if (isBroken) await this.end()
    }
  }

  protected override finish(): Promise<void> {
    return Promise.resolve()
  }

  async #abandon(sends: readonly { readonly key: Key; readonly value: string }[]): Promise<void> {
    this.#isLeftAlone = chance(this.random, 0.5)
    await this.abandon({ sends })
  }

  /** Mostly its own. Now and then that of another client, which may be paused or cut off just now; both of them may want it for a while. */
  #someTransactionalId(): string {
    const [own = ''] = this.#transactionalIds
    const isLeftAlone = this.#isLeftAlone
    this.#isLeftAlone = false
    if (isLeftAlone) return `${own}-${this.#onceCount++}`
    return chance(this.random, 0.2) ? pickOne(this.random, this.#transactionalIds) : own
  }

  /** One to four, to logs that may be the same. */
  #someSends(): { key: Key; value: string }[] {
    return Array.from({ length: 1 + (this.random.uint32() % 4) }, () => ({
      key: pickOne(this.random, this.#keys),
      value: `${this.client.process}:${this.#valueCount++}`,
    }))
  }
}
