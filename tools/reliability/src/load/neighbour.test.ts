import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { Neighbour } from './neighbour.ts'

test('a produce that is not answered counts with the time it has waited, and its loss is an error', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const accepted = once(server, 'connection')
  const neighbour = await Neighbour.start(port, { topic: 't', periodMs: 1, valueBytes: 10 })
  const [socket] = (await accepted) as [Socket]
  // The request is here, and nobody answers it.
  await once(socket, 'data')
  const first = neighbour.take()
  expect(first).toHaveLength(1)
  const [later] = neighbour.take()
  expect(later).toBeGreaterThanOrEqual(first[0]!)
  socket.destroy()
  await neighbour.stop()
  expect(neighbour.errors).toHaveLength(1)
  server.close()
})
