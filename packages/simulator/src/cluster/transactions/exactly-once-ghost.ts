import { must } from '../../world/violation.ts'
import type { World } from '../../world/world.ts'
import type { Contents, GhostTransaction, TransactionGhost } from './transaction-ghost.ts'

/** An offset of the input that was sent as part of a transaction. */
interface SentOffset {
  readonly transaction: GhostTransaction
  readonly offset: number
}

/**
 * What was read, processed and written in transactions. Offsets of the input become visible with the transaction that they are part of, and
 * not before (T7); each record of the input has one output, if and only if the committed offset lies behind it (T8). Outputs name
 * the record that they come of at their end: `partition@offset`.
 */
export class ExactlyOnceGhost {
  readonly #world: World
  readonly #transactions: Pick<TransactionGhost, 'onSeen'>
  /** By partition of the input, in the order in which they were sent. */
  readonly #sent = new Map<number, SentOffset[]>()

  constructor(world: World, transactions: Pick<TransactionGhost, 'onSeen'>) {
    this.#world = world
    this.#transactions = transactions
  }

  /** As an output has it at its end. */
  static noteOf(partition: number, offset: number): string {
    return `${partition}@${offset}`
  }

  /** Offsets are handed to a transaction, by partition. */
  onSendOffsets(transaction: GhostTransaction, offsets: ReadonlyMap<number, number>): void {
    for (const [partition, offset] of offsets) {
      const sent = this.#sent.get(partition)
      if (sent === undefined) this.#sent.set(partition, [{ transaction, offset }])
      else sent.push({ transaction, offset })
    }
  }

  /**
   * T7: what a look that began at `beganMs` found committed, by partition. Nothing of a transaction that is not committed, and nothing less
   * than what was committed before. With `maybeOld` that is not asked: from a coordinator that another may have replaced, or from one that was
   * not asked to wait for the end of transactions that are decided.
   */
  check(found: ReadonlyMap<number, number>, beganMs: number, maybeOld = false): void {
    for (const [partition, sent] of this.#sent) {
      this.#world.judge('T7')
      const certain = sent.filter(({ transaction }) => transaction.committedMs < beganMs)
      const least = maybeOld ? -1 : certain.reduce((most, { offset }) => Math.max(most, offset), -1)
      const offset = found.get(partition)
      must(offset === undefined ? least < 0 : offset >= least, 'T7', () => {
        return `${least} was committed of partition ${partition} in a transaction before ${beganMs} ms; a look found ${offset}`
      })
      if (offset !== undefined) this.#checkSource(partition, offset, sent)
    }
  }

  #checkSource(partition: number, offset: number, sent: readonly SentOffset[]): void {
    // The same offset may have been sent more than once: by one that was aborted, and by one after it.
    const sources = sent.filter((one) => one.offset === offset).map(({ transaction }) => transaction)
    must(sources.length > 0, 'T7', () => `partition ${partition} has ${offset} committed, which nobody sent`)
    const shown = sources.find(({ outcome }) => outcome === 'committed' || outcome === 'committing')
    const what = `offset ${offset} of partition ${partition}`
    const others = sources.map(({ ordinal, outcome }) => `${ordinal} is ${outcome}`)
    must(shown !== undefined, 'T7', () => `${what} is visible; of transactions that sent it ${others.join(', ')}`)
    // With several sources nobody knows which it was.
    if (sources.length === 1) this.#transactions.onSeen(shown, what)
  }

  /** T8: at the end, of one partition of the input with all visible outputs of whatever partition. */
  checkComplete(partition: number, input: Contents, outputs: readonly string[], committedOffset: number): void {
    const found = new Map<number, string[]>()
    for (const output of outputs) {
      const [from, offset] = (output.split(' ').at(-1) ?? '').split('@').map(Number)
      if (from !== partition) continue
      const others = found.get(offset!)
      if (others === undefined) found.set(offset!, [output])
      else others.push(output)
    }
    for (const [offset, list] of found) {
      const what = `offset ${offset} of partition ${partition}`
      must(input.has(offset), 'T8', () => `"${list[0]}" is an output of ${what}, which is not visible`)
      must(list.length === 1, 'T8', () => `${what} has the outputs "${list.join('", "')}"`)
    }
    for (const offset of input.keys()) {
      this.#world.judge('T8')
      must(found.has(offset) === offset < committedOffset, 'T8', () => {
        const has = found.has(offset) ? 'an output' : 'no output'
        return `offset ${offset} of partition ${partition} has ${has}, committed is ${committedOffset}`
      })
    }
  }
}
