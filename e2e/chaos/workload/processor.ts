import type { Consumed, Key, Seen } from '../history/operation.ts'
import { pickOne } from '../random-choices.ts'
import { type TransactionalOptions, TransactionalWorker } from './transactional-worker.ts'

export interface ProcessorOptions extends TransactionalOptions {
  /** What it reads, as a member of the group of its client. */
  readonly topic: string
  readonly inputs: readonly Key[]
  readonly outputs: readonly Key[]
  readonly transactionalId: string
}

/** Of one batch. Then others may have it. */
const MAX_TRIES = 4

/**
 * Reads what its group gives it, and sends something for each record, in one transaction with the offsets: each input is processed exactly
 * once, whatever becomes of those that process it.
 */
export class Processor extends TransactionalWorker {
  readonly #options: ProcessorOptions
  #valueCount = 0

  constructor(options: ProcessorOptions) {
    super(options)
    this.#options = options
  }

  /** What a life before it left open is ended with that: before, nobody could read past it. */
  protected override async open(): Promise<boolean> {
    this.#valueCount = 0
    return (await this.client.open(this.#options.transactionalId)) && (await this.client.subscribe(this.#options.topic))
  }

  protected override async work(): Promise<void> {
    if (this.random.uint32() % 20 === 0) await this.client.committed(this.#options.inputs)
    const polled = await this.client.poll(300)
    // Where the consumer stands after a failure is not known: a record that it passed would never be processed.
    if (polled === null) return this.end()
    if (polled.records.length > 0 && !(await this.#process(polled.records))) await this.end()
  }

  protected override finish(): Promise<void> {
    return this.client.committed(this.#options.inputs)
  }

  /** True: the records are done with, by this life or by another. False: whoever goes on must begin at the committed offsets. */
  async #process(records: readonly Seen[]): Promise<boolean> {
    const consumed: Consumed = { group: this.client.group, records, places: placesBehind(records) }
    // A batch that is tried again is in hand still: no poll has come between, so it is still this member's.
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const draft = { consumed, sends: records.map((input) => this.#outputOf(input)) }
      const choice = this.random.uint32() % 100
      if (choice < 2) {
        this.haunt({ ...draft, end: 'commit' })
        return true
      }
      const end = choice < 12 ? 'abort' : 'commit'
      const { type, isBroken } = await this.transact({ ...draft, end })
      if (end === 'commit' && type === 'ok') return true
      if (isBroken) return false
    }
    return false
  }

  /** It names what it came of, for whoever reads a history. */
  #outputOf({ value }: Seen): { key: Key; value: string } {
    return {
      key: pickOne(this.random, this.#options.outputs),
      value: `${this.client.process}:${this.#valueCount++}<${value}`,
    }
  }
}

/** Where a reader of these goes on. */
function placesBehind(records: readonly Seen[]): { key: Key; offset: number }[] {
  const next = new Map<Key, number>()
  for (const { key, offset } of records) next.set(key, Math.max(offset + 1, next.get(key) ?? 0))
  return [...next].map(([key, offset]) => ({ key, offset }))
}
