import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { Wire } from './wire.ts'

test('whoever asks after the broker has closed the connection is told so, and does not wait for ever', async () => {
  const server = createServer((socket) => socket.on('data', () => socket.destroy()))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const wire = new Wire((server.address() as AddressInfo).port)
  try {
    await expect(wire.ask(Buffer.from('first'))).rejects.toThrow(/closed|ECONNRESET/)
    await expect(wire.ask(Buffer.from('second'))).rejects.toThrow(/closed|ECONNRESET/)
  } finally {
    wire.close()
    server.close()
  }
})
