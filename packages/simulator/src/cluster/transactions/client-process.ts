import { BaseError } from '@millrace/base'
import type { ClientOptions } from '@millrace/client'
import type { ClientHost, ClientSeat } from '../client-host.ts'

/** The process in which this was to happen is no more. */
export class ProcessEndedError extends BaseError {
  constructor() {
    super('PROCESS_ENDED', 'the process has ended')
  }
}

/** A process of clients that may end at any moment, or be stopped for a while, amid whatever it does. */
export class ClientProcess {
  readonly name: string
  readonly #host: ClientHost
  readonly #seat: ClientSeat
  readonly #whenEnded: Promise<never>
  #reject!: (error: unknown) => void
  #isEnded = false
  #isLeaving = false

  constructor(host: ClientHost, name: string) {
    this.name = name
    this.#host = host
    this.#seat = host.seat(name)
    this.#whenEnded = new Promise((_, reject) => {
      this.#reject = reject
    })
    this.#whenEnded.catch(() => undefined)
  }

  get options(): ClientOptions {
    return this.#seat.options
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  /** It should come to an end in order: finish what it does, and begin nothing. */
  get isLeaving(): boolean {
    return this.#isLeaving
  }

  leave(): void {
    this.#isLeaving = true
  }

  /** Ends at once, as a process that is killed. */
  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#host.end(this.#seat)
    this.#reject(new ProcessEndedError())
  }

  /** Nothing of it happens for a while, and then it goes on as if nothing had been. */
  stop(forMs: number): void {
    const { loop } = this.#seat
    loop.pause()
    this.#host.world.schedule(forMs, 'client goes on', loop.node, () => loop.resume())
  }

  /** As `ClientHost.call`; throws {@link ProcessEndedError} if the process ends meanwhile. */
  async call(name: string, call: () => Promise<void>, expected: ReadonlySet<string> = NO_CODES): Promise<boolean> {
    this.#assertAlive()
    const isDone = await this.#host.call(name, () => Promise.race([call(), this.#whenEnded]), withEnd(expected))
    this.#assertAlive()
    return isDone
  }

  async pass(delayMs: number, name: string): Promise<void> {
    this.#assertAlive()
    await Promise.race([this.#host.pass(this.#seat.loop, delayMs, name), this.#whenEnded])
  }

  /** A course of the process, which may end with it. What it returns never rejects: any other failure ends the run. */
  own(course: Promise<void>): Promise<void> {
    const over = course.catch((error: unknown) => {
      if (!(error instanceof ProcessEndedError)) throw error
    })
    this.#host.own(over)
    return over.catch(() => undefined)
  }

  #assertAlive(): void {
    if (this.#isEnded) throw new ProcessEndedError()
  }
}

const NO_CODES: ReadonlySet<string> = new Set()

function withEnd(expected: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...expected, 'PROCESS_ENDED'])
}
