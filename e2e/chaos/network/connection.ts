import { connect, type Socket } from 'node:net'
import { breakOff } from './break-off.ts'
import type { Link } from './link.ts'
import { Pipe } from './pipe.ts'

/** The two directions between who connected and who was connected to. */
export interface LinkPair {
  readonly there: Link
  readonly back: Link
}

/** One connection through a proxy. It reaches its target once both directions are whole, as a handshake needs them. */
export class ProxiedConnection {
  readonly links: LinkPair
  readonly #accepted: Socket
  readonly #port: number
  readonly #onClose: () => void
  readonly #unwatch: (() => void)[] = []
  #target: Socket | null = null
  #there: Pipe | null = null

  constructor(accepted: Socket, port: number, links: LinkPair, onClose: () => void) {
    this.#accepted = accepted
    this.#port = port
    this.links = links
    this.#onClose = onClose
    // What breaks is passed on when it closes.
    accepted.on('error', () => accepted.destroy())
    accepted.on('close', () => this.#settle())
    this.#unwatch.push(
      links.there.watch(() => this.#maybeConnect()),
      links.back.watch(() => this.#maybeConnect()),
    )
    this.#maybeConnect()
  }

  /** Breaks it off for both sides. */
  reset(): void {
    if (this.#target !== null) breakOff(this.#target)
    breakOff(this.#accepted)
  }

  /** The target hears the end of what was sent; answers still come back. */
  halfClose(): void {
    this.#there?.halfClose()
  }

  #maybeConnect(): void {
    const { there, back } = this.links
    if (this.#target !== null || there.isCut || back.isCut || this.#accepted.destroyed) return
    const target = connect({ port: this.#port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    this.#target = target
    target.on('error', () => target.destroy())
    target.on('close', () => {
      if (this.#there === null) breakOff(this.#accepted)
      this.#settle()
    })
    target.on('connect', () => {
      this.#there = new Pipe(this.#accepted, target, there)
      new Pipe(target, this.#accepted, back)
    })
  }

  #settle(): void {
    const isOver = this.#accepted.destroyed && (this.#target === null || this.#target.destroyed)
    // Before the target answers nobody else would end the attempt.
    if (this.#accepted.destroyed && this.#there === null) this.#target?.destroy()
    if (!isOver) return
    for (const unwatch of this.#unwatch.splice(0)) unwatch()
    this.#onClose()
  }
}
