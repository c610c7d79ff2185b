import type { Order } from './orders.ts'

/** An epoch follows from its seed but for Node's HTTP server, which takes real time: one more life is no proof, two are better. */
const LIVES = 2
/** So many epochs with stalls are too many for a machine's whims: nothing is tried again then. */
export const MAX_SUSPECTS = 12

/** Nor are so many turns: each holds what was sent beside it. */
export const MAX_STALLS = 40

type Epoch = Extract<Order, { kind: 'epoch' }>

/** A turn that took too long, as it was first seen. */
export interface Stall {
  readonly order: Epoch
  readonly where: string
  readonly what: string
  readonly sent: readonly Buffer[]
  readonly heldMs: number
}

/**
 * Turns that held the loop too long, until it is known whose fault that is. When an epoch is played again the broker does the same work; the
 * machine does not do the same. What comes again in any turn of another life is the broker's; what does not is counted and told, with
 * the longest.
 */
export class StallSuspects {
  readonly #stalls: Stall[] = []

  note(stall: Stall): void {
    this.#stalls.push(stall)
  }

  /** It is known that something is wrong, with the broker or with the machine: there is no use in going on. */
  get areTooMany(): boolean {
    return this.#stalls.length >= MAX_STALLS || this.#epochs().size > MAX_SUSPECTS
  }

  #epochs(): Map<number, Epoch> {
    return new Map(this.#stalls.map(({ order }) => [order.epoch, order]))
  }

  /** Epochs to be played again, each as often as it takes; none if there are too many. */
  orders(): Epoch[] {
    if (this.areTooMany) return []
    const epochs = this.#epochs()
    return Array.from({ length: LIVES }, () => [...epochs.values()]).flat()
  }

  /** `repeated`: epochs in another life of which a turn took too long again; null: nothing was played again. */
  judge(repeated: ReadonlySet<number> | null): {
    guilty: Stall[]
    notRepeatedCount: number
    longestNotRepeatedMs: number
  } {
    const guilty = this.#stalls.filter(({ order }) => repeated === null || repeated.has(order.epoch))
    const others = this.#stalls.filter((stall) => !guilty.includes(stall))
    return {
      guilty,
      notRepeatedCount: others.length,
      longestNotRepeatedMs: Math.max(0, ...others.map(({ heldMs }) => heldMs)),
    }
  }
}
