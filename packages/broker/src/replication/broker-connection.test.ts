import { SeededRandom, SimulatedClock, SimulatedTimers } from '@millrace/base'
import {
  type ApiDefinition,
  apiVersionsApi,
  createApiVersion,
  createApiVersionsResponse,
  createListOffsetsRequest,
  createListOffsetsResponse,
  createSaslAuthenticateResponse,
  createSaslHandshakeResponse,
  ErrorCode,
  listOffsetsApi,
  Reader,
  readRequestHeader,
  saslAuthenticateApi,
  saslHandshakeApi,
  Writer,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import type { Transport, TransportEvents } from '../network/transport.ts'
import { BrokerConnection, BrokerConnectionError, type BrokerConnectionProof } from './broker-connection.ts'
import { encodeBrokerChallenge } from './broker-proof.ts'

/** The other broker: keeps what it was sent, answers as it is told. */
class Peer implements Transport {
  readonly remoteAddress = 'peer'
  readonly remotePort = 1
  readonly bufferedBytes = 0
  readonly untakenBytes = 0
  readonly requests: { apiKey: number; version: number; correlationId: number }[] = []
  isDestroyed = false
  /** What was sent last. */
  lastFrame = Buffer.alloc(0)
  events: TransportEvents | null = null
  /** Answers to ApiVersions, the only thing that is answered by itself. */
  apiVersions = createApiVersionsResponse({
    apiKeys: [
      createApiVersion({ apiKey: 2, minVersion: 1, maxVersion: 8 }),
      createApiVersion({ apiKey: 1, minVersion: 99, maxVersion: 100 }),
    ],
  })
  oldApiVersionsOnly = false

  write(chunks: readonly Buffer[]): void {
    this.lastFrame = Buffer.concat(chunks)
    const header = readRequestHeader(new Reader(this.lastFrame, 4))
    const { requestApiKey: apiKey, requestApiVersion: version, correlationId } = header
    this.requests.push({ apiKey, version, correlationId })
    if (apiKey !== apiVersionsApi.key) return
    if (!this.oldApiVersionsOnly || version === 0) this.answer(apiVersionsApi, version, this.apiVersions)
    else this.answer(apiVersionsApi, 0, { ...this.apiVersions, errorCode: ErrorCode.UNSUPPORTED_VERSION })
  }

  answer<Request, Response>(
    api: ApiDefinition<Request, Response>,
    version: number,
    response: Response,
    correlationId?: number,
  ): void {
    const writer = new Writer()
    writer.beginFrame()
    writer.int32(correlationId ?? this.requests.at(-1)!.correlationId)
    if (api.responseHeaderVersion(version) > 0) writer.unsignedVarint(0)
    api.encodeResponse(writer, response, version)
    writer.endFrame()
    this.send(Buffer.from(writer.toBuffer()))
  }

  /** In pieces, into the buffers that the reader names. */
  send(bytes: Buffer, pieceBytes = 3): void {
    queueMicrotask(() => {
      for (let start = 0; start < bytes.length && !this.isDestroyed; ) {
        const target = this.events!.nextReadBuffer()
        const end = Math.min(start + Math.min(pieceBytes, target?.length ?? pieceBytes), bytes.length)
        if (target === null) this.events!.onBytes(bytes, start, end)
        else this.events!.onBytes(target, 0, bytes.copy(target, 0, start, end))
        start = end
      }
    })
  }

  pauseReading(): void {
    throw new Error('never paused')
  }

  resumeReading(): void {
    throw new Error('never paused')
  }

  destroy(): void {
    this.isDestroyed = true
  }

  end(): void {
    this.isDestroyed = true
  }
}

function setUp(peer = new Peer(), proof: BrokerConnectionProof | null = null) {
  const timers = new SimulatedTimers(new SimulatedClock())
  const opened = BrokerConnection.open(
    {
      connect: async ({ events }) => {
        peer.events = events
        return peer
      },
      timers,
      host: 'peer',
      port: 1,
      clientId: 'broker-1',
      maxAnswerBytes: 10_000,
      proof,
    },
    1_000,
  )
  return { timers, peer, opened }
}

const request = createListOffsetsRequest({ replicaId: 1, topics: [] })

/** Lets a call be written. */
const written = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a connection to another broker', () => {
  it('speaks the newest version that both know', async () => {
    const { peer, opened } = setUp()
    const connection = await opened
    expect(connection.versionOf(listOffsetsApi)).toBe(8)
    expect(connection.versionOf({ key: 1, minVersion: 4, maxVersion: 18 })).toBe(-1)
    const answer = connection.call(listOffsetsApi, request, 1_000)
    await written()
    peer.answer(listOffsetsApi, 8, createListOffsetsResponse({ throttleTimeMs: 7 }))
    expect((await answer).throttleTimeMs).toBe(7)
    expect(peer.requests.at(-1)).toMatchObject({ apiKey: 2, version: 8 })
  })

  it('asks again in the oldest version where its ApiVersions is too new', async () => {
    const peer = new Peer()
    peer.oldApiVersionsOnly = true
    const { opened } = setUp(peer)
    expect((await opened).versionOf(listOffsetsApi)).toBe(8)
    expect(peer.requests.map(({ version }) => version)).toEqual([3, 0])
  })

  it('takes answer after answer, longer than its buffer at first', async () => {
    const { peer, opened } = setUp()
    const connection = await opened
    for (let count = 1; count < 300; count += 60) {
      const answer = connection.call(listOffsetsApi, request, 1_000)
      await written()
      const topics = Array.from({ length: count }, (_, n) => ({
        name: `topic-${n}`,
        partitions: [],
        unknownTaggedFields: null,
      }))
      peer.answer(listOffsetsApi, 8, createListOffsetsResponse({ topics }))
      expect((await answer).topics).toHaveLength(count)
    }
  })

  it.each([
    ['an answer to no request', (peer: Peer) => peer.answer(listOffsetsApi, 8, createListOffsetsResponse({}), 4_711)],
    ['an answer that is too long', (peer: Peer) => peer.send(Buffer.from([0x7f, 0xff, 0xff, 0xff, 0]))],
    ['a negative size', (peer: Peer) => peer.send(Buffer.from([0xff, 0xff, 0xff, 0xff]))],
    ['bytes behind the answer', (peer: Peer) => peer.send(Buffer.from([0, 0, 0, 4, 0, 0, 0, 1, 9, 9]), 10)],
    ['an answer that is cut short', (peer: Peer) => peer.send(Buffer.from([0, 0, 0, 5, 0, 0, 0, 1, 0]), 9)],
    ['the end', (peer: Peer) => peer.events!.onEnd()],
    ['an error', (peer: Peer) => peer.events!.onClose(new Error('reset'))],
  ])('closes on %s', async (_, act) => {
    const { peer, opened } = setUp()
    const connection = await opened
    const answer = connection.call(listOffsetsApi, request, 1_000)
    const rejected = expect(answer).rejects.toThrow(BrokerConnectionError)
    await written()
    act(peer)
    await rejected
    expect([connection.isClosed, peer.isDestroyed]).toEqual([true, true])
    await expect(connection.call(listOffsetsApi, request, 1_000)).rejects.toThrow(BrokerConnectionError)
  })

  it('closes when no answer comes in time', async () => {
    const { peer, timers, opened } = setUp()
    const connection = await opened
    const rejected = expect(connection.call(listOffsetsApi, request, 1_000)).rejects.toThrow('no answer to ListOffsets')
    await written()
    timers.advance(1_000)
    await rejected
    expect(peer.isDestroyed).toBe(true)
    expect(timers.pendingCount).toBe(0)
  })

  it('does not wait for a connection for ever, and drops one that comes too late', async () => {
    const timers = new SimulatedTimers(new SimulatedClock())
    const late = Promise.withResolvers<Transport>()
    const opened = BrokerConnection.open(
      { connect: () => late.promise, timers, host: 'h', port: 1, clientId: 'c', maxAnswerBytes: 100, proof: null },
      1_000,
    )
    const rejected = expect(opened).rejects.toThrow('no connection in time')
    timers.advance(1_000)
    await rejected
    const peer = new Peer()
    late.resolve(peer)
    await written()
    expect(peer.isDestroyed).toBe(true)
  })

  it('believes no server that lets everybody in and cannot prove that it is of the cluster, nor one that plays back what it is told', async () => {
    for (const reflects of [false, true]) {
      const peer = new Peer()
      peer.apiVersions = createApiVersionsResponse({
        apiKeys: [saslHandshakeApi, saslAuthenticateApi].map(({ key, minVersion, maxVersion }) =>
          createApiVersion({ apiKey: key, minVersion, maxVersion }),
        ),
      })
      const secret = Buffer.from('what the impostor does not know')
      const { opened } = setUp(peer, { secret, brokerId: 1, targetId: 2, clusterId: 'c', random: new SeededRandom(1) })
      const refused = expect(opened).rejects.toThrow('has another controller.peer.secret')
      const asked = async (apiKey: number, count: number) => {
        while (peer.requests.filter((sent) => sent.apiKey === apiKey).length < count) await written()
      }
      const authenticate = (authBytes: Buffer) =>
        peer.answer(saslAuthenticateApi, 2, createSaslAuthenticateResponse({ authBytes }))
      await asked(saslHandshakeApi.key, 1)
      peer.answer(saslHandshakeApi, 1, createSaslHandshakeResponse())
      await asked(saslAuthenticateApi.key, 1)
      authenticate(encodeBrokerChallenge(Buffer.alloc(32)))
      await asked(saslAuthenticateApi.key, 2)
      authenticate(reflects ? peer.lastFrame.subarray(-33, -1) : Buffer.alloc(32))
      await refused
      expect(peer.isDestroyed).toBe(true)
    }
  })

  it('says who refused it', async () => {
    const timers = new SimulatedTimers(new SimulatedClock())
    const connect = () => Promise.reject(new Error('ECONNREFUSED'))
    const options = { connect, timers, host: 'h', port: 7, clientId: 'c', maxAnswerBytes: 100, proof: null }
    await expect(BrokerConnection.open(options, 1_000)).rejects.toThrow('h:7: ECONNREFUSED')
  })
})
