import { once } from 'node:events'
import { get } from 'node:http'
import { connect, type Socket } from 'node:net'
import { apiVersionsApi, createApiVersionsRequest } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import type { TcpTransport } from '../network/tcp-listener.ts'
import { requestFrame } from './test-client.ts'
import { WaitingBroker } from './waiting-broker.ts'

/** Goal: on real sockets, who comes before a broker is ready is answered over HTTP, and held back in the sockets over Kafka's protocol. */

const frame = requestFrame(
  apiVersionsApi,
  3,
  createApiVersionsRequest({ clientSoftwareName: 'test', clientSoftwareVersion: '1.0' }),
)
/** Correlation id and error code. */
const ANSWER = '000000010000'
const FLOOD_BYTES = 32 << 20

async function httpGet(port: number, path: string): Promise<{ status: number | undefined; body: string }> {
  const request = get({ host: '127.0.0.1', port, path, agent: false })
  const [response] = await once(request, 'response')
  let body = ''
  for await (const chunk of response) body += chunk
  return { status: response.statusCode, body }
}

/** A connection, and the broker's end of it. */
async function dial(waiting: WaitingBroker, port: number): Promise<{ client: Socket; transport: TcpTransport }> {
  const before = waiting.transports.length
  const client = connect({ port, host: '127.0.0.1', noDelay: true })
  client.on('error', () => client.destroy())
  while (waiting.transports.length === before) await turn()
  return { client, transport: waiting.transports.at(-1) as TcpTransport }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** The beginnings of so many answers. */
async function answersOf(client: Socket, count: number): Promise<string[]> {
  let received = Buffer.alloc(0)
  const answers: string[] = []
  client.on('data', (bytes: Buffer) => {
    received = Buffer.concat([received, bytes])
  })
  while (answers.length < count) {
    await turn()
    while (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) {
      answers.push(received.toString('hex', 4, 10))
      received = received.subarray(4 + received.readInt32BE(0))
    }
  }
  return answers
}

describe('a broker that waits, on real sockets', () => {
  it('answers /healthz and /metrics, and a Kafka client once it is ready', () =>
    WaitingBroker.run({ tcp: true }, async (waiting, port) => {
      const { client, transport } = await dial(waiting, port)
      client.write(frame)
      const answers = answersOf(client, 1)
      const health = await httpGet(port, '/healthz')
      expect(health.status).toBe(503)
      expect(JSON.parse(health.body)).toMatchObject({
        status: 'starting',
        waitsFor: 'a majority of the controllers (1, 2, 3); not connected: 2, 3',
      })
      const metrics = await httpGet(port, '/metrics')
      expect([metrics.status, metrics.body.includes('\nmillrace_ready 0\n')]).toEqual([200, true])
      expect([transport.socket.bytesRead, client.bytesRead]).toEqual([1, 0])
      await waiting.letIn()
      expect(await answers).toEqual([ANSWER])
      expect((await httpGet(port, '/healthz')).status).toBe(200)
      client.destroy()
    }))

  it('loses and repeats nothing of what was sent, wherever it was cut, before or after', () =>
    WaitingBroker.run({ tcp: true }, async (waiting, port) => {
      const dialled: { client: Socket; rest: Buffer; answers: Promise<string[]> }[] = []
      for (let cut = 1; cut <= frame.length; cut++) {
        for (const isLate of [false, true]) {
          const { client, transport } = await dial(waiting, port)
          client.write(frame.subarray(0, cut))
          while (transport.socket.bytesRead === 0) await turn()
          const rest = Buffer.concat([frame.subarray(cut), frame])
          if (!isLate) client.write(rest)
          dialled.push({ client, rest: isLate ? rest : Buffer.alloc(0), answers: answersOf(client, 2) })
        }
      }
      await waiting.letIn()
      for (const { client, rest } of dialled) client.write(rest)
      for (const { client, answers } of dialled) {
        expect(await answers).toEqual([ANSWER, ANSWER])
        client.destroy()
      }
      expect(dialled).toHaveLength(2 * frame.length)
    }))

  it('reads one byte of a flood, and the rest when it is ready', () =>
    WaitingBroker.run({ tcp: true }, async (waiting, port) => {
      const { client, transport } = await dial(waiting, port)
      const length = Buffer.alloc(4)
      length.writeInt32BE(FLOOD_BYTES)
      client.write(length)
      client.write(Buffer.alloc(FLOOD_BYTES))
      while (transport.socket.bytesRead === 0) await turn()
      for (let n = 0; n < 200; n++) await turn()
      expect((await httpGet(port, '/healthz')).status).toBe(503)
      expect(transport.socket.bytesRead).toBe(1)
      expect(client.writableLength).toBeGreaterThan(0)
      const closed = once(client, 'close')
      await waiting.letIn()
      // Zeros name an API, Produce, in a version that is not served: the connection ends once the frame has come.
      await closed
      expect(transport.socket.bytesRead).toBe(4 + FLOOD_BYTES)
    }))

  it('notices that a client which has not spoken is gone, and gives its place to another', () =>
    WaitingBroker.run({ tcp: true, settings: { 'max.connections': '1' } }, async (waiting, port) => {
      const { client, transport } = await dial(waiting, port)
      client.destroy()
      while (!transport.socket.destroyed) await turn()
      await turn()
      expect((await httpGet(port, '/healthz')).status).toBe(503)
    }))
})
