import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
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

test('an answer that came while this process held its own loop for longer than that is given', async () => {
  const answered = new Int32Array(new SharedArrayBuffer(4))
  // Answers on a thread of its own, and tells when.
  const source = `
    const { parentPort, workerData } = require('node:worker_threads')
    const server = require('node:net').createServer((socket) => socket.on('data', (bytes) => {
      const answer = Buffer.from(workerData.answer)
      bytes.copy(answer, 4, 8, 12)
      socket.write(answer, () => { Atomics.store(workerData.answered, 0, 1); Atomics.notify(workerData.answered, 0) })
    })).listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))`
  const worker = new Worker(source, { eval: true, workerData: { answer: told(0), answered } })
  try {
    const [port] = (await once(worker, 'message')) as [number]
    const client = await WireClient.open(port, 5)
    const asked = ask(client)
    // Sent in the steps that follow the call; from here on nothing else happens in this process.
    await Promise.resolve()
    const startMs = performance.now()
    expect(Atomics.wait(answered, 0, 0, 60_000)).not.toBe('timed-out')
    while (performance.now() - startMs < 50);
    expect((await asked).errorCode).toBe(0)
    client.close()
  } finally {
    await worker.terminate()
  }
})

test('a connection that the broker closes is lost', async () => {
  answer = (socket) => socket.destroy()
  await expect(ask(await open())).rejects.toThrow(ConnectionLostError)
})
