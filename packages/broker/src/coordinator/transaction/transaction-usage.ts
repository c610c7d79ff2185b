import type { ValueTally } from '../runtime/timeline.ts'
import { countPartitions, isPrepared, type TransactionState, TransactionStatus } from './transaction-state.ts'

/** What an id without a transaction takes, its name and topics aside: the object and its place in the maps. */
const ID_BYTES = 300
const PARTITION_BYTES = 8
const TOPIC_BYTES = 100

/** What transactional ids take up, exactly and at any time: of one machine, or of all of a node together. */
export class TransactionUsage implements ValueTally<TransactionState> {
  ids = 0
  bytes = 0
  /** Ids by status. */
  readonly byStatus = [0, 0, 0, 0, 0, 0]
  /** Ids by whose share they take. */
  readonly #held = new Map<string, number>()
  #whole: TransactionUsage | null

  /** Whatever a part counts, `whole` counts too. */
  constructor(whole: TransactionUsage | null = null) {
    this.#whole = whole
  }

  heldBy(owner: string): number {
    return this.#held.get(owner) ?? 0
  }

  onAdded(state: TransactionState): void {
    this.#count(1, state)
    this.#whole?.onAdded(state)
  }

  onRemoved(state: TransactionState): void {
    this.#count(-1, state)
    this.#whole?.onRemoved(state)
  }

  /** What this part counts does not count in the whole any more, whatever becomes of it. */
  close(): void {
    const whole = this.#whole
    if (whole === null) return
    this.#whole = null
    whole.ids -= this.ids
    whole.bytes -= this.bytes
    for (const [status, count] of this.byStatus.entries()) whole.byStatus[status]! -= count
    for (const [owner, count] of this.#held) whole.#hold(owner, -count)
  }

  #count(sign: number, state: TransactionState): void {
    this.ids += sign
    this.bytes += sign * sizeOfState(state)
    this.byStatus[state.status]! += sign
    if (state.owner !== null) this.#hold(state.owner, sign)
  }

  #hold(owner: string, change: number): void {
    const held = this.heldBy(owner) + change
    if (held === 0) this.#held.delete(owner)
    else this.#held.set(owner, held)
  }
}

/** About how many bytes of memory an id takes. */
export function sizeOfState({ transactionalId, partitions }: TransactionState): number {
  let bytes = sizeOfId(transactionalId) + countPartitions(partitions) * PARTITION_BYTES
  for (const topic of partitions.keys()) bytes += TOPIC_BYTES + topic.length
  return bytes
}

export function sizeOfId(transactionalId: string): number {
  return ID_BYTES + transactionalId.length * 2
}

/** The usage of one machine, and those of its ids that somebody has to look after: few among many. */
export class TransactionTally implements ValueTally<TransactionState> {
  readonly usage: TransactionUsage
  /** With an open transaction. */
  readonly ongoing = new Set<string>()
  /** With a decision that its partitions have to be told. */
  readonly prepared = new Set<string>()

  constructor(usage: TransactionUsage) {
    this.usage = usage
  }

  onAdded(state: TransactionState): void {
    this.usage.onAdded(state)
    this.#setOf(state)?.add(state.transactionalId)
  }

  onRemoved(state: TransactionState): void {
    this.usage.onRemoved(state)
    this.#setOf(state)?.delete(state.transactionalId)
  }

  #setOf({ status }: TransactionState): Set<string> | null {
    if (status === TransactionStatus.ONGOING) return this.ongoing
    return isPrepared(status) ? this.prepared : null
  }
}
