import { RealClock, RealRandom, RealTimers } from '@millrace/base'
import { tcpTransport } from '../network/tcp-transport.ts'
import type { ClientPorts } from './client-ports.ts'

let shared: ClientPorts | null = null

/** The real world: one set for all clients of the process, so that their timers share one system timer. */
export function systemPorts(): ClientPorts {
  shared ??= {
    clock: new RealClock(),
    timers: new RealTimers(),
    random: new RealRandom(),
    transport: tcpTransport,
    defer: (callback) => {
      setImmediate(callback)
    },
  }
  return shared
}
