import { expect } from 'vitest'
import type { MemorySocket } from './memory-network.ts'

/** A Host header that every broker takes. */
export const HOST = 'Host: localhost:9092'

/** A client that speaks HTTP by hand: collects the text that comes back. */
export class HttpProbe {
  readonly socket: MemorySocket
  text = ''

  constructor(socket: MemorySocket) {
    this.socket = socket
    this.socket.onBytes = (bytes) => {
      this.text += bytes.toString('latin1')
    }
  }

  get statuses(): number[] {
    return Array.from(this.text.matchAll(/HTTP\/1\.1 (\d+) /g), (match) => Number(match[1]))
  }

  send(text: string): void {
    this.socket.send(Buffer.from(text, 'latin1'))
  }
}

/** The server is loaded with its first request: until then real time passes. */
export async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 3_000_000 && !condition(); turn++) await new Promise((resolve) => setImmediate(resolve))
  expect(condition()).toBe(true)
}

/** Sends a request without a body; resolves once its answer has begun, or the connection is closed. */
export async function ask(socket: MemorySocket, ...lines: string[]): Promise<HttpProbe> {
  const probe = new HttpProbe(socket)
  probe.send(`${lines.join('\r\n')}\r\n\r\n`)
  await until(() => probe.text.includes('\r\n\r\n') || probe.socket.isClosed)
  return probe
}
