import type { ProcessLoop } from '../world/process-loop.ts'
import type { RandomStream } from '../world/random-stream.ts'
import type { World } from '../world/world.ts'
import { SimulatedStream, type StreamRates, type StreamUser } from './simulated-stream.ts'

/** Takes a connection, or refuses it with null. */
export type Accept = (stream: SimulatedStream) => StreamUser | null

interface Listener {
  readonly loop: ProcessLoop
  readonly accept: Accept
}

/**
 * Byte streams between processes as TCP gives them: in order, each byte once, or the connection is lost with a suffix of what was under
 * way. Links are directed; a cut one holds bytes back until it heals, and some of its connections do not live that long.
 */
export class StreamNetwork {
  readonly world: World
  readonly random: RandomStream
  rates: StreamRates
  readonly #listeners = new Map<string, Listener>()
  readonly #streams = new Set<SimulatedStream>()
  readonly #cuts = new Map<string, number>()

  constructor(world: World, rates: StreamRates) {
    this.world = world
    this.random = world.stream('streams')
    this.rates = rates
  }

  /** Binds an address, `host:port`; false: it is in use by a process that lives. */
  listen(loop: ProcessLoop, address: string, accept: Accept): boolean {
    const bound = this.#listeners.get(address)
    if (bound !== undefined && !bound.loop.isEnded) return false
    this.#listeners.set(address, { loop, accept })
    return true
  }

  unlisten(address: string): void {
    this.#listeners.delete(address)
  }

  /** Opens a connection; its user hears how it went, never from inside this call. */
  connect(loop: ProcessLoop, address: string, user: StreamUser): SimulatedStream {
    const near = new SimulatedStream(this, loop, address)
    near.user = user
    this.#streams.add(near)
    loop.after(this.delayMs(), 'connect', () => this.#arrive(near, address))
    return near
  }

  /** From a stream. */
  forget(stream: SimulatedStream): void {
    this.#streams.delete(stream)
  }

  delayMs(): number {
    return this.rates.meanDelayMs * this.random.real(0.5, 1.5)
  }

  isCut(from: number, to: number): boolean {
    return (this.#cuts.get(`${from} ${to}`) ?? 0) > 0
  }

  cut(from: number, to: number): void {
    const link = `${from} ${to}`
    this.#cuts.set(link, (this.#cuts.get(link) ?? 0) + 1)
    for (const stream of this.#streams) {
      const isOver = stream.runsFrom(from, to) || stream.runsFrom(to, from)
      if (isOver && this.random.chance(this.rates.cutLoss)) stream.losePeer()
    }
  }

  heal(from: number, to: number): void {
    const link = `${from} ${to}`
    const count = (this.#cuts.get(link) ?? 0) - 1
    if (count > 0) {
      this.#cuts.set(link, count)
      return
    }
    this.#cuts.delete(link)
    for (const stream of this.#streams) if (stream.runsFrom(from, to)) stream.resend()
  }

  healAll(): void {
    this.#cuts.clear()
    for (const stream of this.#streams) stream.resend()
  }

  /** A process has ended: its peers see their connections closed, unless the link is cut. */
  onProcessEnded(loop: ProcessLoop): void {
    for (const [address, listener] of this.#listeners) if (listener.loop === loop) this.#listeners.delete(address)
    for (const stream of [...this.#streams]) if (stream.loop === loop) stream.onProcessEnded()
  }

  #arrive(near: SimulatedStream, address: string): void {
    if (near.isClosed) return
    const listener = this.#listeners.get(address)
    if (listener === undefined || listener.loop.isEnded) {
      near.fail('refused')
      return
    }
    const { loop, accept } = listener
    if (this.isCut(near.loop.node, loop.node) || this.isCut(loop.node, near.loop.node)) {
      // Nobody answers: the user's own deadline ends it, or this one.
      near.loop.after(this.rates.silenceMs, 'connect', () => near.fail('silent'))
      return
    }
    // A stopped process does not accept, but its system does: what is sent waits.
    loop.after(0, 'accept', () => {
      if (near.isClosed) return
      const far = new SimulatedStream(this, loop, `peer ${near.loop.node}`)
      far.user = accept(far)
      if (far.user === null) {
        near.loop.after(this.delayMs(), 'closed', () => near.fail('closed'))
        return
      }
      this.#streams.add(far)
      near.join(far)
    })
  }
}
