import { SeededRandom, SimulatedClock, SimulatedTimers, type Timer } from '@millrace/base'
import type { Transport } from '../network/transport.ts'
import type { ClientPorts } from '../ports/client-ports.ts'

/** Clock, timers and randomness of one test, and the means to let virtual time pass while promises are under way. */
export class VirtualWorld {
  readonly clock = new SimulatedClock()
  readonly timers = new SimulatedTimers(this.clock)
  readonly random: SeededRandom

  readonly #clientTimers = new Set<Timer>()

  constructor(seed = 1) {
    this.random = new SeededRandom(seed)
  }

  /** Timers that clients have set and neither cancelled nor seen fire. */
  get clientTimerCount(): number {
    return this.#clientTimers.size
  }

  /** Ports for a client over the transport. */
  ports(transport: Transport): ClientPorts {
    return {
      clock: this.clock,
      timers: { setTimer: (delayMs, callback) => this.#setClientTimer(delayMs, callback) },
      random: this.random,
      transport,
      defer: (callback) => {
        queueMicrotask(callback)
      },
    }
  }

  /** Waits for the promise, jumping to the next timer whenever nothing else moves. Throws after `limitMs` of virtual time. */
  async run<T>(promise: Promise<T>, limitMs = 600_000): Promise<T> {
    const state = { done: false }
    const finish = () => {
      state.done = true
    }
    promise.then(finish, finish)
    const endMs = this.clock.monotonicMs() + limitMs
    for (;;) {
      await this.settle()
      if (state.done) return promise
      if (this.clock.monotonicMs() > endMs) throw new Error(`nothing happened within ${limitMs} ms of virtual time`)
      if (!this.timers.runNext()) throw new Error('nothing is under way that could end the wait')
    }
  }

  /** Lets `durationMs` pass in small steps, so that what timers start can end before the next. */
  async pass(durationMs: number, stepMs = 10): Promise<void> {
    const endMs = this.clock.monotonicMs() + durationMs
    await this.settle()
    while (this.clock.monotonicMs() < endMs) {
      this.timers.advance(Math.min(stepMs, endMs - this.clock.monotonicMs()))
      await this.settle()
    }
  }

  /** Runs everything that needs no time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) {
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
    }
  }

  #setClientTimer(delayMs: number, callback: () => void): Timer {
    const inner = this.timers.setTimer(delayMs, () => {
      this.#clientTimers.delete(timer)
      callback()
    })
    const timer: Timer = {
      cancel: () => {
        inner.cancel()
        this.#clientTimers.delete(timer)
      },
    }
    this.#clientTimers.add(timer)
    return timer
  }
}
