import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { breakOff } from './break-off.ts'

/** Method: a handle that nobody closes keeps its process alive, and its socket never says that it is closed. */
describe('breaking off a connection', () => {
  let server: Server
  let socket: Socket
  let peer: Socket
  /** How the peer's side ended. */
  let ended: Promise<string>

  beforeEach(async () => {
    server = createServer({ allowHalfOpen: true })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as { port: number }
    const accepted = once(server, 'connection')
    socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    await once(socket, 'connect')
    peer = (await accepted)[0] as Socket
    ended = new Promise((resolve) => {
      peer.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      peer.once('end', () => resolve('end'))
      peer.resume()
    })
  })

  afterEach(async () => {
    peer.destroy()
    await new Promise((resolve) => server.close(resolve))
  })

  it('resets it', async () => {
    breakOff(socket)
    expect(await ended).toBe('ECONNRESET')
  })

  it('closes it also if it is destroyed at the same moment', async () => {
    const closed = once(socket, 'close')
    breakOff(socket)
    socket.destroy()
    await closed
    expect(await ended).toBe('ECONNRESET')
  })

  it('closes it also while its end is being told', async () => {
    const closed = once(socket, 'close')
    socket.end('bye')
    breakOff(socket)
    await closed
    await ended
  })

  it('drops what waits to be written to somebody who does not read', async () => {
    peer.pause()
    const closed = once(socket, 'close')
    socket.write(Buffer.alloc(50_000_000))
    breakOff(socket)
    await closed
  })

  it('ends an attempt to connect', async () => {
    const { port } = server.address() as { port: number }
    const attempt = connect({ port, host: '127.0.0.1' })
    const closed = once(attempt, 'close')
    breakOff(attempt)
    await closed
  })
})
