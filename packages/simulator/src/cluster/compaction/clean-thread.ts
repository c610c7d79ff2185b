import type { Disk } from '@millrace/base'
import {
  type CleanEngine,
  CleanEngineError,
  type CleanOrder,
  type IndexOutcome,
  LocalCleanEngine,
  type RewriteOrder,
  type RewriteOutcome,
} from '@millrace/storage'
import type { ProcessLoop } from '../../world/process-loop.ts'
import type { RandomStream } from '../../world/random-stream.ts'
import type { World } from '../../world/world.ts'

export interface CleanThreadPorts {
  readonly world: World
  /** Of the process that has the thread. */
  readonly loop: ProcessLoop
  readonly disk: Disk
  readonly random: RandomStream
}

/** A message to the thread or back takes so long, on average: clients come first. */
const MESSAGE_MS = 2
/** Share of orders at which the thread dies, as one does that runs out of memory. */
const DEATH_SHARE = 0.003

/**
 * The thread of a broker that compacts (`apps/broker/src/clean-thread.ts`), in virtual time: what it runs is shipped code, orders and answers
 * are copied and on their way for a while, during which the log may change, and now and then the thread dies, with its files complete
 * or not begun.
 */
export class SimulatedCleanThread implements CleanEngine {
  readonly #ports: CleanThreadPorts
  readonly #engine: LocalCleanEngine
  #isDead: boolean
  #isClosed: boolean

  constructor(ports: CleanThreadPorts) {
    const { disk, loop, random } = ports
    this.#ports = ports
    this.#engine = new LocalCleanEngine({
      disk,
      clock: loop,
      timers: loop,
      secret: random.bytes(16),
      nextTurn: () => this.#pass(0),
    })
    this.#isDead = false
    this.#isClosed = false
  }

  get memoryBytes(): number {
    return this.#engine.memoryBytes
  }

  index(order: CleanOrder): Promise<IndexOutcome> {
    return this.#ask(order, (copy) => this.#engine.index(copy))
  }

  rewrite(order: RewriteOrder): Promise<RewriteOutcome> {
    return this.#ask(order, (copy) => this.#engine.rewrite(copy))
  }

  abort(): void {
    void this.#pass(this.#messageMs()).then(() => this.#engine.abort())
  }

  close(): void {
    this.#isClosed = true
    this.#engine.close()
  }

  async #ask<Order, Outcome>(order: Order, work: (order: Order) => Promise<Outcome>): Promise<Outcome> {
    if (this.#isClosed) throw new CleanEngineError('the broker is stopping')
    const { random } = this.#ports
    const copy = structuredClone(order)
    await this.#pass(this.#messageMs())
    this.#dieMaybe()
    let outcome: Outcome
    try {
      outcome = await work(copy)
    } finally {
      await this.#pass(random.exponential(MESSAGE_MS))
    }
    this.#dieMaybe()
    return structuredClone(outcome)
  }

  #dieMaybe(): void {
    const { random, world } = this.#ports
    if (!this.#isDead && random.chance(DEATH_SHARE)) {
      this.#isDead = true
      world.mark('thread of compaction died')
    }
    if (this.#isDead || this.#isClosed) throw new CleanEngineError('the thread is gone')
  }

  #messageMs(): number {
    return this.#ports.random.exponential(MESSAGE_MS)
  }

  #pass(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#ports.loop.after(delayMs, 'clean thread', resolve))
  }
}
