import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { PeerChannel } from './peer-transport.ts'
import { endpointsOf, TransportFixture } from './testing/transport-fixture.ts'
import type { PeerTls } from './transport-options.ts'

const pem = (name: string) => readFileSync(new URL(`./testdata/${name}.pem`, import.meta.url))

function tlsOf(name: string, isBound = true): PeerTls {
  const certificates = { key: pem(`${name}.key`), cert: pem(name), ca: pem('ca') }
  return isBound ? { ...certificates, nameOf: (nodeId) => `node-${nodeId}.quorum` } : certificates
}

/** Method: real TLS over loopback with certificates from `testdata`. */
describe('WsTransport with mutual TLS', () => {
  let fixture: TransportFixture

  beforeEach(() => {
    fixture = new TransportFixture()
  })

  afterEach(() => fixture.close())

  it.each([true, false])('carries frames both ways; names bound to nodes: %s', async (isBound) => {
    const one = await fixture.open(1, { secret: null, tls: tlsOf('node-1', isBound) })
    const two = await fixture.open(2, { secret: null, tls: tlsOf('node-2', isBound) })
    one.transport.setPeers(endpointsOf([[2, two]]))
    await one.events.untilTold('connected 2')
    await two.events.untilTold('connected 1')
    const large = Buffer.alloc(3_000_000, 7)
    expect(one.transport.send(2, PeerChannel.RAFT, large)).toBe(true)
    expect(two.transport.send(1, PeerChannel.CONTROLLER, Buffer.from('there'))).toBe(true)
    await two.events.until(() => two.events.messages.length === 1)
    await one.events.until(() => one.events.messages.length === 1)
    expect(two.events.messages[0]!.payload.equals(large)).toBe(true)
    expect([one.transport.strangerCount, two.transport.strangerCount]).toEqual([0, 0])
  })

  it("turns away a client whose certificate is another node's", async () => {
    const one = await fixture.open(1, { secret: null, tls: tlsOf('node-1') })
    const impostor = await fixture.open(3, { secret: null, tls: tlsOf('node-2') })
    impostor.transport.setPeers(endpointsOf([[1, one]]))
    await one.events.until(() => one.events.refused.includes('certificate of another node'))
    expect([one.events.told, impostor.events.told]).toEqual([[], []])
  })

  it("believes no server whose certificate is another node's", async () => {
    const one = await fixture.open(1, { secret: null, tls: tlsOf('node-1') })
    const impostor = await fixture.open(3, { secret: null, tls: tlsOf('node-2') })
    one.transport.setPeers(endpointsOf([[3, impostor]]))
    await one.events.until(() => one.events.refused.some((reason) => reason.includes("not node 3's")))
    expect(one.transport.connected.size).toBe(0)
  })

  it('turns away who has a certificate of another authority, or none', async () => {
    const one = await fixture.open(1, { secret: null, tls: tlsOf('node-1') })
    const stranger = await fixture.open(2, { secret: null, tls: tlsOf('stranger') })
    stranger.transport.setPeers(endpointsOf([[1, one]]))
    one.transport.setPeers(endpointsOf([[2, stranger]]))
    await one.events.until(() => one.events.refused.length > 0)
    await stranger.events.until(() => stranger.events.refused.length > 0)
    const plain = await fixture.open(4, { secret: null })
    plain.transport.setPeers(endpointsOf([[1, one]]))
    const socket = connect(one.transport.port, '127.0.0.1')
    const closed = once(socket, 'close')
    socket.write('GET /peers HTTP/1.1\r\n\r\n')
    socket.resume()
    await closed
    expect(one.events.told).toEqual([])
    expect(stranger.events.told).toEqual([])
  })
})
