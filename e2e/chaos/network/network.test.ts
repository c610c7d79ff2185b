import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../../harness/until.ts'
import { CLIENTS, Network } from './network.ts'
import { ownerOf } from './socket-owner.ts'

/** Method: an echo server behind a proxy. Whether something did not arrive is asked after something sent later did, elsewhere. */
describe('the network of proxies', () => {
  let network: Network
  let server: Server
  let port: number
  /** Who the next connection comes from. */
  let from: string
  const sockets: Socket[] = []
  const accepted: Socket[] = []

  beforeEach(async () => {
    from = CLIENTS
    network = new Network(() => from)
    server = createServer({ allowHalfOpen: true }, (socket) => {
      accepted.push(socket)
      socket.on('error', () => socket.destroy())
      socket.on('data', (chunk) => socket.write(chunk))
      socket.on('end', () => socket.end('bye'))
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    port = await network.proxy('1', address.port)
  })

  afterEach(async () => {
    for (const socket of [...sockets.splice(0), ...accepted.splice(0)]) socket.destroy()
    await network.close()
    await new Promise((resolve) => server.close(resolve))
  })

  function open(): { socket: Socket; text: () => string; isClosed: () => boolean } {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    sockets.push(socket)
    let text = ''
    let isClosed = false
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      isClosed = true
    })
    return { socket, text: () => text, isClosed: () => isClosed }
  }

  async function exchange({ socket, text }: ReturnType<typeof open>, message: string): Promise<void> {
    const expected = text() + message
    socket.write(message)
    await until(`${message} is back`, () => text() === expected)
  }

  it('carries bytes, ends and large answers', async () => {
    const client = open()
    await exchange(client, 'x'.repeat(3_000_000))
    client.socket.end()
    await until('the end is answered', () => client.text().endsWith('bye'))
    await until('nothing is left', () => network.connectionCount === 0)
  })

  it('holds back what is sent over a cut link, and delivers it once it is whole', async () => {
    const client = open()
    await exchange(client, 'a')
    network.cut(CLIENTS, '1')
    client.socket.write('b')
    from = '2'
    await exchange(open(), 'elsewhere')
    expect(client.text()).toBe('a')
    network.healAll()
    await until('it arrives', () => client.text() === 'ab')
  })

  it('cuts one direction alone', async () => {
    const client = open()
    await exchange(client, 'a')
    network.link('1', CLIENTS).set({ isCut: true })
    client.socket.write('b')
    let heard = ''
    accepted[0]?.on('data', (chunk) => {
      heard += chunk
    })
    await until('the server hears it', () => heard === 'b')
    from = '2'
    await exchange(open(), 'elsewhere')
    expect(client.text()).toBe('a')
  })

  it('lets nobody connect over a cut link until it is whole', async () => {
    network.link('1', CLIENTS).set({ isCut: true })
    const client = open()
    client.socket.write('a')
    await until('the proxy has taken it', () => network.connectionCount === 1)
    from = '2'
    await exchange(open(), 'elsewhere')
    expect(accepted).toHaveLength(1)
    network.healAll()
    await until('it is connected', () => client.text() === 'a')
  })

  it('keeps the end of one side from the other while the link is cut', async () => {
    const client = open()
    await exchange(client, 'a')
    network.cut(CLIENTS, '1')
    client.socket.resetAndDestroy()
    from = '2'
    await exchange(open(), 'elsewhere')
    expect(accepted[0]?.destroyed).toBe(false)
    network.healAll()
    await until('the server hears of it', () => accepted[0]?.destroyed === true)
  })

  it('breaks off what is open between two places', async () => {
    const client = open()
    await exchange(client, 'a')
    for (const connection of network.connectionsBetween('1', CLIENTS)) connection.reset()
    await until('both sides hear of it', () => client.isClosed() && accepted[0]?.destroyed === true)
  })

  it('ends one direction and leaves the other', async () => {
    const client = open()
    await exchange(client, 'a')
    for (const connection of network.connectionsBetween(CLIENTS, '1')) connection.halfClose()
    client.socket.write('into nothing')
    await until('the answer to the end comes', () => client.text() === 'abye')
  })

  it('delays and slows down', async () => {
    const client = open()
    await exchange(client, 'a')
    network.link(CLIENTS, '1').set({ delayMs: 60 })
    network.link('1', CLIENTS).set({ bytesPerSecond: 100_000 })
    const beginMs = performance.now()
    await exchange(client, 'x'.repeat(10_000))
    expect(performance.now() - beginMs).toBeGreaterThan(150)
  })

  it('breaks the connection where nobody listens', async () => {
    server.close()
    const closed = await network.proxy('2', 1)
    port = closed
    const client = open()
    await until('the client hears of it', client.isClosed)
  })

  it('knows whose a connection is', async () => {
    const client = open()
    await exchange(client, 'a')
    const { localPort = 0, remotePort = 0 } = client.socket
    expect(ownerOf(localPort, remotePort, [1, process.pid])).toBe(process.pid)
    expect(ownerOf(localPort, remotePort, [1])).toBe(null)
    expect(ownerOf(localPort, 1, [process.pid])).toBe(null)
  })
})
