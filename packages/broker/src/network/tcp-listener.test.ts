import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { TcpListener } from './tcp-listener.ts'
import type { AcceptedTransport } from './transport.ts'

/** What arrives at a listener, with the transport of the last connection. */
class Recorder {
  readonly transports: AcceptedTransport[] = []
  received = Buffer.alloc(0)
  drainCount = 0
  endCount = 0
  /** Connections whose peers have ended their sides are not ended. */
  lingers = false
  readonly closes: (Error | null)[] = []
  refuse = false
  /** New connections are not read. */
  hold = false
  /** Where the first bytes of a connection are wanted. */
  first: Buffer | null = null
  /** Where the next bytes are wanted; each buffer is used once. */
  readonly targets: Buffer[] = []
  /** Sizes of what was read into such a buffer. */
  readonly direct: number[] = []
  #wake: () => void = () => undefined
  #target: Buffer | null = null

  listen(host = '127.0.0.1'): Promise<TcpListener> {
    return TcpListener.listen({
      host,
      port: 0,
      backlog: 10,
      onError: (error) => this.closes.push(error),
      firstReadBuffer: () => {
        this.#target = this.first
        return this.first
      },
      onConnection: (transport) => {
        this.transports.push(transport)
        this.#wake()
        if (this.refuse) return null
        if (this.hold) transport.pauseReading()
        return {
          onBytes: (buffer, start, end) => {
            if (buffer === this.#target) this.direct.push(end - start)
            this.received = Buffer.concat([this.received, buffer.subarray(start, end)])
            this.#wake()
          },
          nextReadBuffer: () => {
            this.#target = this.targets.shift() ?? null
            return this.#target
          },
          onDrain: () => {
            this.drainCount++
            this.#wake()
          },
          onEnd: () => {
            this.endCount++
            if (!this.lingers) transport.end()
            this.#wake()
          },
          onClose: (error) => {
            this.closes.push(error)
            this.#wake()
          },
        }
      },
    })
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

async function withClient(body: (recorder: Recorder, client: Socket) => Promise<void>): Promise<void> {
  const recorder = new Recorder()
  const listener = await recorder.listen()
  const client = connect(listener.port, '127.0.0.1')
  client.on('error', () => client.destroy())
  await once(client, 'connect')
  await recorder.until(() => recorder.transports.length === 1)
  await body(recorder, client)
  client.destroy()
  listener.stopAccepting()
  listener.destroyAll()
}

describe('TCP listener', () => {
  it('carries bytes both ways, several chunks as they are', async () => {
    await withClient(async (recorder, client) => {
      client.write('hello')
      await recorder.until(() => recorder.received.length === 5)
      const [transport] = recorder.transports
      expect(transport!.remotePort).toBe(client.localPort)
      const taken = Promise.withResolvers<void>()
      transport!.write([Buffer.from('a'), Buffer.from('bc'), Buffer.from('d')], 4, () => taken.resolve())
      const [answer] = await once(client, 'data')
      await taken.promise
      expect(String(answer)).toBe('abcd')
    })
  })

  it('names an IPv4 client by its plain address, also where it listens for both families', async () => {
    const recorder = new Recorder()
    const listener = await recorder.listen('')
    const client = connect(listener.port, '127.0.0.1')
    await recorder.until(() => recorder.transports.length === 1)
    expect(recorder.transports[0]!.remoteAddress).toBe('127.0.0.1')
    client.destroy()
    listener.stopAccepting()
    listener.destroyAll()
  })

  it('reads nothing of a connection that is paused from the start until it is resumed', async () => {
    const recorder = new Recorder()
    const listener = await recorder.listen()
    recorder.hold = true
    const early = connect(listener.port, '127.0.0.1')
    early.write('early')
    await recorder.until(() => recorder.transports.length === 1)
    recorder.hold = false
    const late = connect(listener.port, '127.0.0.1')
    late.write('late')
    await recorder.until(() => recorder.received.length >= 4)
    expect(String(recorder.received)).toBe('late')
    recorder.transports[0]!.resumeReading()
    await recorder.until(() => recorder.received.length >= 9)
    expect(String(recorder.received)).toBe('lateearly')
    early.end()
    await recorder.until(() => recorder.closes.length === 1)
    late.destroy()
    listener.stopAccepting()
    listener.destroyAll()
  })

  it('counts what the peer does not take, and tells when it has', async () => {
    await withClient(async (recorder, client) => {
      client.pause()
      const [transport] = recorder.transports
      const block = Buffer.alloc(1 << 20)
      for (let n = 0; n < 64; n++) transport!.write([block], block.length)
      expect(transport!.bufferedBytes).toBeGreaterThan(0)
      client.resume()
      await recorder.until(() => recorder.drainCount > 0)
      expect(transport!.bufferedBytes).toBe(0)
    })
  })

  it('shows that a peer reads before it has taken a whole write', async () => {
    await withClient(async (recorder, client) => {
      client.pause()
      const [transport] = recorder.transports
      const block = Buffer.alloc(64 << 20)
      transport!.write([block], block.length)
      const before = transport!.untakenBytes
      expect(before).toBeGreaterThan(0)
      let taken = 0
      client.on('data', (chunk: Buffer) => {
        taken += chunk.length
        if (taken > 16 << 20) client.pause()
      })
      client.resume()
      while (transport!.untakenBytes === before) await new Promise((resolve) => setImmediate(resolve))
      expect(transport!.bufferedBytes).toBe(block.length)
      while (transport!.bufferedBytes > 0) {
        client.resume()
        await new Promise((resolve) => setImmediate(resolve))
      }
      expect(transport!.untakenBytes).toBe(0)
    })
  })

  it('stops reading when told, and goes on where it stopped', async () => {
    await withClient(async (recorder, client) => {
      client.write('x')
      await recorder.until(() => recorder.received.length === 1)
      const [transport] = recorder.transports
      transport!.pauseReading()
      const sent = Buffer.alloc(3_000_000, 'y')
      client.write(sent)
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
      expect(recorder.received.length).toBeLessThan(sent.length)
      transport!.resumeReading()
      await recorder.until(() => recorder.received.length === sent.length + 1)
      expect(recorder.received.subarray(1).equals(sent)).toBe(true)
    })
  })

  it('tells the end once, orderly or not, and bears writes after it', async () => {
    await withClient(async (recorder, client) => {
      client.end()
      await recorder.until(() => recorder.closes.length === 1)
      expect(recorder.closes).toEqual([null])
      recorder.transports[0]!.write([Buffer.from('late')], 4)
      recorder.transports[0]!.destroy()
      expect(recorder.closes).toHaveLength(1)
    })
    await withClient(async (recorder, client) => {
      client.resetAndDestroy()
      await recorder.until(() => recorder.closes.length === 1)
      expect(recorder.closes).toHaveLength(1)
    })
  })

  it('goes on writing to a peer that has ended its side until its listener ends, too', async () => {
    await withClient(async (recorder, client) => {
      recorder.lingers = true
      client.end('last')
      await recorder.until(() => recorder.endCount === 1)
      expect([String(recorder.received), recorder.closes.length]).toEqual(['last', 0])
      recorder.transports[0]!.write([Buffer.from('answer')], 6)
      const [answer] = await once(client, 'data')
      expect(String(answer)).toBe('answer')
      recorder.transports[0]!.end()
      await recorder.until(() => recorder.closes.length === 1)
      expect(recorder.closes).toEqual([null])
    })
  })

  it('sends what is written before an end', async () => {
    await withClient(async (recorder, client) => {
      recorder.transports[0]!.write([Buffer.from('bye')], 3)
      recorder.transports[0]!.end()
      const [answer] = await once(client, 'data')
      expect(String(answer)).toBe('bye')
      await once(client, 'end')
    })
  })

  it('closes a connection that is refused', async () => {
    const recorder = new Recorder()
    recorder.refuse = true
    const listener = await recorder.listen()
    const client = connect(listener.port, '127.0.0.1')
    client.on('error', () => client.destroy())
    await once(client, 'close')
    expect(recorder.transports).toHaveLength(1)
    listener.stopAccepting()
  })

  it('says why it cannot listen', async () => {
    const recorder = new Recorder()
    const listener = await recorder.listen()
    const options = {
      host: '127.0.0.1',
      port: listener.port,
      backlog: 1,
      onConnection: () => null,
      onError: () => undefined,
    }
    await expect(TcpListener.listen(options)).rejects.toMatchObject({ code: 'EADDRINUSE' })
    listener.stopAccepting()
  })

  it('reads into the buffer that is named, as much as that holds, and into its own again', async () => {
    await withClient(async (recorder, client) => {
      recorder.targets.push(Buffer.alloc(3), Buffer.alloc(2))
      client.write('a')
      await recorder.until(() => recorder.received.length === 1)
      client.write('bcdefghij')
      await recorder.until(() => recorder.received.length === 10)
      client.write('k')
      await recorder.until(() => recorder.received.length === 11)
      expect(recorder.received.toString()).toBe('abcdefghijk')
      expect(recorder.direct).toEqual([3, 2])
    })
  })

  it('reads no more at first than the buffer holds that is named before the connection is accepted', async () => {
    const recorder = new Recorder()
    recorder.first = Buffer.alloc(2)
    const listener = await recorder.listen()
    const client = connect(listener.port, '127.0.0.1')
    client.write('abcdefg')
    await recorder.until(() => recorder.received.length === 7)
    expect([recorder.received.toString(), recorder.direct]).toEqual(['abcdefg', [2]])
    client.destroy()
    listener.stopAccepting()
    listener.destroyAll()
  })
})
