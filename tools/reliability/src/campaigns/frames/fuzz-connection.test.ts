import { TestBroker } from '@millrace/broker/testing'
import { expect, test } from 'vitest'
import { FuzzConnection, MAX_TURN_BYTES } from './fuzz-connection.ts'

async function sentIn(bytes: Buffer, cuts: 'none' | 'every' | readonly number[]): Promise<number[][]> {
  const broker = await TestBroker.start({})
  const socket = broker.openSocket('10.0.0.1')
  const turns: number[][] = []
  let sent: Buffer[] = []
  socket.send = (piece) => sent.push(piece)
  const connection = new FuzzConnection(socket, '10.0.0.1')
  connection.send({ bytes, cuts, sound: false })
  for (;;) {
    turns.push(sent.map(({ length }) => length))
    if (!connection.hasUnsent) break
    sent = []
    connection.sendMore()
  }
  await broker.stop()
  return turns
}

test('a connection sends what a delivery says, and no more in a turn than a socket brings', async () => {
  expect(await sentIn(Buffer.from('abcdef'), 'every')).toEqual([[1, 1, 1, 1, 1, 1]])
  expect(await sentIn(Buffer.from('abcdef'), [2, 5])).toEqual([[2, 3, 1]])
  const large = Buffer.alloc(2 * MAX_TURN_BYTES + 5)
  expect(await sentIn(large, 'none')).toEqual([[MAX_TURN_BYTES], [MAX_TURN_BYTES], [5]])
  expect(await sentIn(large, [7])).toEqual([[7], [MAX_TURN_BYTES], [MAX_TURN_BYTES - 2]])
})
