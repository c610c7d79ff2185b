import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { apiVersionsApi, createApiVersionsRequest, createApiVersionsResponse, Writer } from '@millrace/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ConnectionLostError, WireClient } from './wire-client.ts'

/** Method: a server on loopback that answers each request as the test says; `id` is the request's correlation id. */
let server: Server
let answer: (socket: Socket, id: number) => void
const sockets = new Set<Socket>()

beforeEach(async () => {
  server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('data', (bytes) => answer(socket, bytes.readInt32BE(8)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  server.close()
})

const open = (answerMaxMs?: number) => WireClient.open((server.address() as AddressInfo).port, answerMaxMs)
const ask = (client: WireClient) => client.call(apiVersionsApi, 0, createApiVersionsRequest({}))

function told(id: number, extraBytes = 0): Buffer {
  const writer = new Writer()
  writer.beginFrame()
  writer.int32(id)
  apiVersionsApi.encodeResponse(writer, createApiVersionsResponse({}), 0)
  for (let byte = 0; byte < extraBytes; byte++) writer.int8(0)
  writer.endFrame()
  return Buffer.from(writer.toBuffer())
}

test('answers that are right, in whatever pieces they come, are given', async () => {
  answer = (socket, id) => {
    for (const byte of told(id)) socket.write(Buffer.from([byte]))
  }
  const client = await open()
  expect((await ask(client)).errorCode).toBe(0)
  expect((await ask(client)).errorCode).toBe(0)
  client.close()
})

test('an answer to another request, and one with bytes behind it, are errors', async () => {
  answer = (socket, id) => socket.write(told(id + 1))
  await expect(ask(await open())).rejects.toThrow('answer 2 where 1 was due')
  answer = (socket, id) => socket.write(told(id, 3))
  await expect(ask(await open())).rejects.toThrow('3 bytes left')
})

test('an answer that never comes is an error for all who wait, and no lost connection', async () => {
  answer = () => undefined
  const client = await open(20)
  const both = await Promise.allSettled([ask(client), ask(client)])
  for (const outcome of both) {
    expect(outcome).toMatchObject({ status: 'rejected', reason: { message: 'no answer within 20 ms' } })
    expect((outcome as PromiseRejectedResult).reason).not.toBeInstanceOf(ConnectionLostError)
  }
})

test('a connection that the broker closes is lost', async () => {
  answer = (socket) => socket.destroy()
  await expect(ask(await open())).rejects.toThrow(ConnectionLostError)
})
