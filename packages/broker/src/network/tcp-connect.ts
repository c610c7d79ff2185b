import { connect } from 'node:net'
import { TcpTransport } from './tcp-listener.ts'
import type { Connect } from './transport.ts'

/** Read at once where the listener names no buffer of its own. */
const READ_BUFFER_BYTES = 64 * 1024

/** Connects by TCP, as {@link Connect} says. What is read goes where the listener wants it, without a copy. */
export const connectTcp: Connect = ({ host, port, events }) =>
  new Promise((resolve, reject) => {
    let own: Buffer | null = null
    const socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: () => {
          const wanted = events.nextReadBuffer()
          if (wanted !== null) return wanted
          own ??= Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)
          return own
        },
        callback: (sizeBytes, buffer) => {
          events.onBytes(buffer as Buffer, 0, sizeBytes)
          return true
        },
      },
    })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.removeListener('error', reject)
      const transport = new TcpTransport(socket, host, port)
      transport.events = events
      resolve(transport)
    })
  })
