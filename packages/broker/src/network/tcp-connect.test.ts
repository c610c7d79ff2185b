import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { connectTcp } from './tcp-connect.ts'
import type { TransportEvents } from './transport.ts'

const sockets: Socket[] = []
const server = createServer((socket) => {
  sockets.push(socket)
  socket.pipe(socket)
})

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
})

async function listen(): Promise<number> {
  if (!server.listening) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  return (server.address() as AddressInfo).port
}

/** Collects what comes; `wanted` bytes end the wait. */
class Events implements TransportEvents {
  readonly parts: Buffer[] = []
  readonly closed = Promise.withResolvers<Error | null>()
  readonly began = Promise.withResolvers<void>()
  readonly arrived = Promise.withResolvers<void>()
  ownReads = 0
  readonly #own = Buffer.alloc(1_000)
  readonly #wantedBytes: number

  constructor(wantedBytes: number) {
    this.#wantedBytes = wantedBytes
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (buffer === this.#own) this.ownReads++
    this.parts.push(Buffer.from(buffer.subarray(start, end)))
    this.began.resolve()
    if (Buffer.concat(this.parts).length >= this.#wantedBytes) this.arrived.resolve()
  }

  /** The first bytes anywhere, the rest where this one wants them. */
  nextReadBuffer(): Buffer | null {
    return this.parts.length === 0 ? null : this.#own
  }

  onDrain(): void {
    throw new Error('nothing waits')
  }

  onEnd(): void {
    this.closed.resolve(null)
  }

  onClose(error: Error | null): void {
    this.closed.resolve(error)
  }
}

describe('a connection by TCP', () => {
  it('carries bytes both ways, into the buffers that are named', async () => {
    const events = new Events(30_000)
    const transport = await connectTcp({ host: '127.0.0.1', port: await listen(), events })
    const sent = Buffer.alloc(30_000, 'abc')
    transport.write([sent.subarray(0, 10)], 10)
    await events.began.promise
    transport.write([sent.subarray(10, 20), sent.subarray(20)], sent.length - 10)
    await events.arrived.promise
    expect(Buffer.concat(events.parts).equals(sent)).toBe(true)
    expect(events.ownReads).toBeGreaterThan(0)
    transport.destroy()
    expect(await events.closed.promise).toBeNull()
  })

  it('tells that the other side has gone', async () => {
    const events = new Events(1)
    const transport = await connectTcp({ host: '127.0.0.1', port: await listen(), events })
    transport.write([Buffer.from('x')], 1)
    await events.arrived.promise
    for (const socket of sockets) socket.destroy()
    await events.closed.promise
    transport.destroy()
  })

  it('is refused with the system’s error', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as AddressInfo
    await new Promise((resolve) => other.close(resolve))
    await expect(connectTcp({ host: '127.0.0.1', port, events: new Events(1) })).rejects.toThrow('ECONNREFUSED')
  })
})
