import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { addressOfNode, OWN_ADDRESS } from './own-address.ts'

describe('a process with an address of its own', () => {
  it('connects from it, in its threads too', async () => {
    const server = createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const preload = join(import.meta.dirname, 'own-address-preload.ts')
    const connect = `require('node:net').connect({ port: ${address.port}, host: '127.0.0.1' }).end()`
    const program = `${connect}; new (require('node:worker_threads').Worker)(${JSON.stringify(connect)}, { eval: true })`
    const seen: (string | undefined)[] = []
    const bothSeen = new Promise<void>((resolve) => {
      server.on('connection', (socket: Socket) => {
        seen.push(socket.remoteAddress)
        socket.destroy()
        if (seen.length === 2) resolve()
      })
    })
    execFile(process.execPath, ['-e', program], {
      env: { ...process.env, NODE_OPTIONS: `--require=${preload}`, [OWN_ADDRESS]: addressOfNode(3) },
    })
    await bothSeen
    server.close()
    expect(seen).toEqual(['127.0.1.3', '127.0.1.3'])
  })
})
