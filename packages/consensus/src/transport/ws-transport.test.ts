import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { decodeHello, encodeChallenge, encodeHello, encodeProof } from './handshake.ts'
import { encodeFrame } from './peer-frame.ts'
import { PeerChannel } from './peer-transport.ts'
import { directoryOf, endpointsOf, SECRET, type TestPeer, TransportFixture } from './testing/transport-fixture.ts'

/** Method: real sockets over loopback, on free ports; tests wait for events, never for time to pass. */
const nodeTwo = {
  identity: { clusterId: 'cluster', nodeId: 2, directoryId: directoryOf(2) },
  process: directoryOf(99),
}

describe('WsTransport', () => {
  let fixture: TransportFixture
  const servers: Server[] = []
  const sockets: Socket[] = []

  beforeEach(() => {
    fixture = new TransportFixture()
  })

  afterEach(async () => {
    await fixture.close()
    for (const socket of sockets.splice(0)) socket.destroy()
    await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))))
  })

  async function pair(): Promise<[TestPeer, TestPeer]> {
    const one = await fixture.open(1)
    const two = await fixture.open(2)
    one.transport.setPeers(endpointsOf([[2, two]]))
    two.transport.setPeers(endpointsOf([[1, one]]))
    await one.events.untilTold('connected 2')
    await two.events.untilTold('connected 1')
    return [one, two]
  }

  /** A plain TCP server on a free port, which tests script. */
  async function listen(onSocket: (socket: Socket) => void): Promise<number> {
    const server = createServer((socket) => {
      sockets.push(socket)
      socket.on('error', () => socket.destroy())
      onSocket(socket)
    })
    servers.push(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }

  async function dial(port: number): Promise<Socket> {
    const socket = connect(port, '127.0.0.1')
    sockets.push(socket)
    socket.on('error', () => socket.destroy())
    await once(socket, 'connect')
    return socket
  }

  it('carries frames of both channels both ways, in order', async () => {
    const [one, two] = await pair()
    for (let number = 0; number < 200; number++) {
      expect(one.transport.send(2, PeerChannel.RAFT, Buffer.from(`raft ${number}`))).toBe(true)
      expect(two.transport.send(1, PeerChannel.CONTROLLER, Buffer.alloc(number * 100, number))).toBe(true)
    }
    await two.events.until(() => two.events.messages.length === 200)
    await one.events.until(() => one.events.messages.length === 200)
    expect(two.events.messages.map(({ payload }) => payload.toString())).toEqual(
      Array.from({ length: 200 }, (_, number) => `raft ${number}`),
    )
    for (const [number, { from, channel, payload }] of one.events.messages.entries()) {
      expect([from, channel]).toEqual([2, PeerChannel.CONTROLLER])
      expect(payload.equals(Buffer.alloc(number * 100, number))).toBe(true)
    }
  })

  it('gives payloads that pin nothing else', async () => {
    const [one, two] = await pair()
    one.transport.send(2, PeerChannel.RAFT, Buffer.from('abc'))
    await two.events.until(() => two.events.messages.length === 1)
    expect(two.events.messages[0]!.payload.buffer.byteLength).toBe(3)
  })

  it('answers a node that it does not list over the connection which that node made', async () => {
    const leader = await fixture.open(1)
    const observer = await fixture.open(9, { listen: null })
    observer.transport.setPeers(endpointsOf([[1, leader]]))
    await leader.events.untilTold('connected 9')
    expect(leader.transport.send(9, PeerChannel.RAFT, Buffer.from('hello'))).toBe(true)
    await observer.events.until(() => observer.events.messages.length === 1)
    expect([...leader.transport.connected]).toEqual([9])
    expect(leader.transport.send(7, PeerChannel.RAFT, Buffer.from('nobody'))).toBe(false)
  })

  it('tells of a peer whose process ends as closed, then refused, and connects again when it is back', async () => {
    const [one, two] = await pair()
    const { port } = two.transport
    await two.transport.close()
    await one.events.untilTold('refused 2')
    expect(one.events.told).toEqual(['connected 2', 'closed 2', 'refused 2'])
    expect(one.transport.send(2, PeerChannel.RAFT, Buffer.from('x'))).toBe(false)
    const again = await fixture.open(2, { listen: { host: '127.0.0.1', port } })
    await again.events.untilTold('connected 1')
    await one.events.until(() => one.events.told.filter((text) => text === 'connected 2').length === 2)
    expect(one.events.told.filter((text) => text.startsWith('refused'))).toHaveLength(1)
  })

  it('disconnects whom it no longer lists', async () => {
    const one = await fixture.open(1)
    const two = await fixture.open(2)
    one.transport.setPeers(endpointsOf([[2, two]]))
    await two.events.untilTold('connected 1')
    await one.events.untilTold('connected 2')
    one.transport.setPeers(new Map())
    await one.events.untilTold('closed 2')
    await two.events.untilTold('closed 1')
    expect([one.transport.connected.size, two.transport.connected.size]).toEqual([0, 0])
  })

  it('follows a peer to another port', async () => {
    const one = await fixture.open(1)
    const old = await fixture.open(2)
    one.transport.setPeers(endpointsOf([[2, old]]))
    await one.events.untilTold('connected 2')
    const moved = await fixture.open(2)
    one.transport.setPeers(endpointsOf([[2, moved]]))
    await moved.events.untilTold('connected 1')
    await old.events.untilTold('closed 1')
  })

  it.each([
    ['wrong secret', { secret: Buffer.from('incorrect horse battery') }],
    ['wrong secret', { secret: null }],
    ['another cluster', { identity: { clusterId: 'elsewhere', nodeId: 2, directoryId: directoryOf(2) } }],
  ])('turns away a peer: %s', async (reason, init) => {
    const one = await fixture.open(1)
    const stranger = await fixture.open(2, init)
    stranger.transport.setPeers(endpointsOf([[1, one]]))
    await one.events.until(() => one.events.refused.length > 0)
    expect(one.events.refused).toEqual([reason])
    expect([one.events.told, stranger.events.told]).toEqual([[], []])
    expect(one.transport.refusedCount).toBeGreaterThan(0)
  })

  it('turns away a node that has its own id', async () => {
    const one = await fixture.open(1)
    const webSocket = new WebSocket(`ws://127.0.0.1:${one.transport.port}/peers`)
    webSocket.on('error', () => webSocket.terminate())
    const identity = { clusterId: 'cluster', nodeId: 1, directoryId: directoryOf(2) }
    const process = directoryOf(99)
    webSocket.on('open', () => webSocket.send(encodeHello({ identity, process }, 1, Buffer.alloc(32))))
    await once(webSocket, 'close')
    expect(one.events.refused).toEqual(['a node that has our own id'])
  })

  it('believes no server that does not know the secret, even if it lets everybody in', async () => {
    const one = await fixture.open(1)
    const careless = await fixture.open(2, { secret: null })
    one.transport.setPeers(endpointsOf([[2, careless]]))
    await one.events.until(() => one.events.refused.includes('wrong secret'))
    expect(one.events.told).toEqual([])
  })

  it('believes no other node at the address of a peer', async () => {
    const one = await fixture.open(1)
    const three = await fixture.open(3)
    one.transport.setPeers(endpointsOf([[2, three]]))
    await three.events.until(() => three.events.refused.includes('meant for another node'))
    expect(one.transport.connected.size).toBe(0)
  })

  it('believes no server that plays back what it is told', async () => {
    const one = await fixture.open(1)
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    await once(server, 'listening')
    server.on('connection', (webSocket) => {
      webSocket.once('message', (hello) => {
        expect(decodeHello(hello as Buffer)?.targetId).toBe(2)
        webSocket.send(encodeChallenge(nodeTwo, Buffer.alloc(32)))
        webSocket.once('message', (proof) => {
          const reflected = Buffer.from(proof as Buffer)
          reflected[1] = 4
          webSocket.send(reflected)
        })
      })
    })
    one.transport.setPeers(endpointsOf([[2, (server.address() as AddressInfo).port]]))
    await one.events.until(() => one.events.refused.includes('wrong secret'))
    expect(one.events.told).toEqual([])
    for (const client of server.clients) client.terminate()
    await new Promise((resolve) => server.close(resolve))
  })

  it('does not accept a proof of an earlier connection', async () => {
    const one = await fixture.open(1)
    const hello = encodeHello(nodeTwo, 1, Buffer.alloc(32, 1))
    const old = encodeProof('client', SECRET, hello, encodeChallenge(nodeTwo, Buffer.alloc(32, 2)))
    const webSocket = new WebSocket(`ws://127.0.0.1:${one.transport.port}/peers`)
    webSocket.on('open', () => webSocket.send(hello))
    webSocket.on('message', () => webSocket.send(old))
    webSocket.on('error', () => webSocket.terminate())
    await once(webSocket, 'close')
    expect(one.events.refused).toEqual(['wrong secret'])
  })

  it('refuses a secret that can be guessed', async () => {
    await expect(fixture.open(1, { secret: Buffer.from('short') })).rejects.toThrow('at least 16 bytes')
  })

  it.each([
    ['random bytes', Buffer.from('\x16\x03\x01\x02\x00nonsense')],
    ['a web page', Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n')],
    [
      'a browser',
      Buffer.from(
        'GET /peers HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\norigin: http://evil\r\n' +
          'sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
      ),
    ],
    ['endless headers', Buffer.from(`GET /peers HTTP/1.1\r\nx: ${'y'.repeat(100_000)}`)],
  ])('closes connections that speak something else: %s', async (_, bytes) => {
    const one = await fixture.open(1)
    const socket = await dial(one.transport.port)
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.write(bytes)
    socket.resume()
    await closed
    expect(one.events.told).toEqual([])
  })

  it('gives a stranger few bytes', async () => {
    const one = await fixture.open(1)
    const webSocket = new WebSocket(`ws://127.0.0.1:${one.transport.port}/peers`)
    webSocket.on('error', () => webSocket.terminate())
    await once(webSocket, 'open')
    webSocket.send(Buffer.alloc(10 * 1024 * 1024))
    await once(webSocket, 'close')
    expect(one.events.refused).toEqual(['too many bytes before the handshake'])
  })

  it('gives strangers little time, and lets few of them wait', async () => {
    const one = await fixture.open(1, { limits: { handshakeTimeoutMs: 60, maxUnauthenticatedCount: 3 } })
    const waiting = [await dial(one.transport.port), await dial(one.transport.port), await dial(one.transport.port)]
    const closed = waiting.map((socket) => once(socket.resume(), 'close'))
    const tooMany = await dial(one.transport.port)
    await once(tooMany.resume(), 'close')
    expect(one.events.refused).toContain('too many unknown connections')
    await Promise.all(closed)
    expect(one.events.refused).toContain('no handshake in time')
    const two = await fixture.open(2)
    two.transport.setPeers(endpointsOf([[1, one]]))
    await one.events.untilTold('connected 2')
    expect(one.transport.strangerCount).toBe(0)
  })

  it.each([
    ['an unknown channel', Buffer.from([1, 9, 1])],
    ['an unknown version', Buffer.from([2, 0, 1])],
    ['nothing', Buffer.alloc(0)],
  ])('closes a known peer that sends %s', async (_, frame) => {
    const one = await fixture.open(1)
    const webSocket = await acquainted(one)
    webSocket.send(frame)
    await once(webSocket, 'close')
    await one.events.untilTold('closed 2')
    expect(one.events.messages).toEqual([])
  })

  it('closes a known peer that sends a frame beyond the limit', async () => {
    const one = await fixture.open(1, { limits: { maxFrameBytes: 1000 } })
    const webSocket = await acquainted(one)
    webSocket.send(encodeFrame(PeerChannel.RAFT, Buffer.alloc(1000)))
    webSocket.send(encodeFrame(PeerChannel.RAFT, Buffer.alloc(1001)))
    await once(webSocket, 'close')
    expect(one.events.messages.map(({ payload }) => payload.length)).toEqual([1000])
  })

  it('takes a second connection of the same process in place of the first', async () => {
    const one = await fixture.open(1)
    const first = await acquainted(one)
    const firstClosed = once(first, 'close')
    const second = await acquainted(one)
    await firstClosed
    second.send(encodeFrame(PeerChannel.RAFT, Buffer.from('still there')))
    await one.events.until(() => one.events.messages.length === 1)
    expect(one.events.told).toEqual(['connected 2'])
  })

  it('turns away a second process with the id of a living one, says so to both, and takes it once the first has ended', async () => {
    const one = await fixture.open(1)
    const first = await fixture.open(2)
    first.transport.setPeers(endpointsOf([[1, one]]))
    await one.events.untilTold('connected 2')
    const second = await fixture.open(2)
    second.transport.setPeers(endpointsOf([[1, one]]))
    const reason = 'another process with this node id is alive'
    await second.events.until(() => second.events.refused.length > 0)
    expect(second.events.refused).toEqual([`turned away: ${reason}`])
    expect(one.events.refused).toEqual([`${reason} (node 2)`])
    expect(second.events.told).toEqual([])
    expect(one.transport.send(2, PeerChannel.RAFT, Buffer.from('for the first'))).toBe(true)
    await first.events.until(() => first.events.messages.length === 1)
    await first.transport.close()
    await second.events.untilTold('connected 1')
    expect(one.events.told).toEqual(['connected 2', 'closed 2', 'connected 2'])
  })

  it('does not send to another process at the address of a peer while the one that it knows is alive', async () => {
    const one = await fixture.open(1)
    const first = await fixture.open(2)
    first.transport.setPeers(endpointsOf([[1, one]]))
    await one.events.untilTold('connected 2')
    const second = await fixture.open(2)
    one.transport.setPeers(endpointsOf([[2, second]]))
    await one.events.until(() => one.events.refused.length > 0)
    expect(one.events.refused).toEqual(['another process with this node id is alive'])
    one.transport.send(2, PeerChannel.RAFT, Buffer.from('for the first'))
    await first.events.until(() => first.events.messages.length === 1)
    await first.transport.close()
    await one.events.until(() => one.events.told.filter((text) => text === 'connected 2').length === 2)
    expect(second.events.messages).toEqual([])
  })

  it('bounds what waits for a slow reader, and says when there is room again', async () => {
    const one = await fixture.open(1, { limits: { maxQueueBytes: 1_000_000, pingIntervalMs: 60_000 } })
    const webSocket = await acquainted(one)
    const ended = once(webSocket, 'close')
    webSocket.pause()
    const payload = Buffer.alloc(100_000)
    let sentCount = 0
    // What the kernel takes comes on top: it takes less each time.
    while (one.transport.send(2, PeerChannel.RAFT, payload)) sentCount++
    expect(one.transport.queuedBytes).toBeLessThanOrEqual(1_000_000)
    expect(one.events.told).toEqual(['connected 2'])
    webSocket.resume()
    await one.events.untilTold('writable 2')
    expect(one.transport.queuedBytes).toBeLessThanOrEqual(500_000)
    expect(sentCount).toBeGreaterThan(8)
    webSocket.terminate()
    await ended
  })

  it('finds a peer silent that holds the connection and says nothing, and not one that is merely idle', async () => {
    const [one, two] = await pair()
    expect(two.transport.connected.size).toBe(1)
    // A relay that stops relaying: to both sides the connection looks alive.
    let isStopped = false
    const port = await listen((socket) => {
      const onward = connect(two.transport.port, '127.0.0.1')
      sockets.push(onward)
      onward.on('error', () => onward.destroy())
      socket.on('data', (bytes) => isStopped || onward.write(bytes))
      onward.on('data', (bytes) => isStopped || socket.write(bytes))
    })
    const three = await fixture.open(3, { limits: { pingIntervalMs: 150 } })
    three.transport.setPeers(endpointsOf([[2, port]]))
    await three.events.untilTold('connected 2')
    isStopped = true
    await three.events.untilTold('silent 2')
    await two.events.until(() => two.events.told.some((text) => text.endsWith(' 3') && !text.startsWith('connected')))
    expect(one.events.told).toEqual(['connected 2'])
  })

  /** A client that is known to `peer` as node 2. */
  async function acquainted(peer: TestPeer): Promise<WebSocket> {
    const hello = encodeHello(nodeTwo, 1, Buffer.alloc(32, 1))
    const webSocket = new WebSocket(`ws://127.0.0.1:${peer.transport.port}/peers`)
    webSocket.on('error', () => webSocket.terminate())
    await once(webSocket, 'open')
    webSocket.send(hello)
    const [challenge] = (await once(webSocket, 'message')) as [Buffer]
    webSocket.send(encodeProof('client', SECRET, hello, challenge))
    const [accept] = (await once(webSocket, 'message')) as [Buffer]
    expect(accept).toEqual(encodeProof('server', SECRET, hello, challenge))
    return webSocket
  }
})
