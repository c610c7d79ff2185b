import type { RandomStream } from '../world/random-stream.ts'
import type { World } from '../world/world.ts'

export interface LinkRates {
  /** Shares of messages that are lost, come twice, or are held up so that later ones overtake them. */
  readonly loss: number
  readonly duplication: number
  readonly reordering: number
  readonly meanDelayMs: number
}

/**
 * Directed links between nodes that promise nothing: messages get lost, come twice, late or in another order. Cuts are counted, so that
 * those that overlap end each by itself.
 */
export class MessageNetwork<M> {
  readonly #world: World
  readonly #random: RandomStream
  readonly #deliver: (from: number, to: number, message: M) => void
  readonly #onLost: (from: number, to: number) => void
  readonly #cuts = new Map<number, number>()
  #rates: LinkRates
  #extraLoss = 0

  constructor(
    world: World,
    rates: LinkRates,
    deliver: (from: number, to: number, message: M) => void,
    onLost: (from: number, to: number) => void,
  ) {
    this.#world = world
    this.#random = world.stream('network')
    this.#rates = rates
    this.#deliver = deliver
    this.#onLost = onLost
  }

  send(from: number, to: number, message: M): void {
    const random = this.#random
    const { loss, duplication } = this.#rates
    if (this.isCut(from, to)) {
      this.#onLost(from, to)
      return
    }
    if (random.chance(Math.max(loss, this.#extraLoss))) {
      this.#world.fault('message lost', to)
      this.#onLost(from, to)
      return
    }
    this.#schedule(from, to, message)
    if (random.chance(duplication)) {
      this.#world.fault('message twice', to)
      this.#schedule(from, to, message)
    }
  }

  isCut(from: number, to: number): boolean {
    return (this.#cuts.get(linkOf(from, to)) ?? 0) > 0
  }

  /** What is under way on the link when it is cut is lost with it. */
  cut(from: number, to: number): void {
    const link = linkOf(from, to)
    this.#cuts.set(link, (this.#cuts.get(link) ?? 0) + 1)
  }

  heal(from: number, to: number): void {
    const link = linkOf(from, to)
    this.#cuts.set(link, Math.max(0, (this.#cuts.get(link) ?? 0) - 1))
  }

  loseMore(share: number): void {
    this.#extraLoss = share
  }

  /** Faults end: all links stand, nothing is lost any more. */
  healAll(): void {
    this.#cuts.clear()
    this.#extraLoss = 0
    this.#rates = { loss: 0, duplication: 0, reordering: 0, meanDelayMs: Math.min(5, this.#rates.meanDelayMs) }
  }

  #schedule(from: number, to: number, message: M): void {
    const random = this.#random
    let delayMs = this.#rates.meanDelayMs * random.real(0.5, 1.5)
    if (random.chance(this.#rates.reordering)) {
      this.#world.fault('message late', to)
      delayMs += random.exponential(10 * this.#rates.meanDelayMs)
    }
    this.#world.schedule(delayMs, 'message', to, () => {
      if (this.isCut(from, to)) this.#onLost(from, to)
      else this.#deliver(from, to, message)
    })
  }
}

function linkOf(from: number, to: number): number {
  return from * 64 + to
}
