import type { Clock, Random, Timers } from '@millrace/base'
import type { Transport } from '../network/transport.ts'

/** The world as a client may touch it. Tests give their own; `systemPorts()` is what users get. */
export interface ClientPorts {
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly transport: Transport
  /** Runs the callback after what is now on the event loop, so that calls of one turn share a request. */
  defer(callback: () => void): void
}
