import { SimulatedDisk } from '@millrace/base'
import {
  apis,
  apiVersionsApi,
  createApiVersionsRequest,
  createMetadataRequest,
  createMetadataRequestTopic,
  decodeApiVersionsResponse,
  ErrorCode,
  metadataApi,
  produceApi,
  Reader,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { servedApis } from '../handlers/served-apis.ts'
import { batchOf } from './batches.ts'
import { valuesIn } from './data-client.ts'
import { TestBroker } from './test-broker.ts'
import { ConnectionClosedError, requestFrame } from './test-client.ts'

/** Goal: what a broker does with bytes that no client should send, and that it harms nobody else. Rules: `reliability.md`, 6.1 and 6.2. */

function frameOf(body: Buffer): Buffer {
  const frame = Buffer.alloc(4 + body.length)
  frame.writeInt32BE(body.length, 0)
  body.copy(frame, 4)
  return frame
}

function header(apiKey: number, apiVersion: number, rest: readonly number[] = []): Buffer {
  const bytes = Buffer.alloc(10)
  bytes.writeInt16BE(apiKey, 0)
  bytes.writeInt16BE(apiVersion, 2)
  bytes.writeInt32BE(77, 4)
  bytes.writeInt16BE(-1, 8)
  return Buffer.concat([bytes, Buffer.from(rest)])
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value, 0)
  return bytes
}

async function expectClosedWithoutAnswer(broker: TestBroker, bytes: Buffer): Promise<void> {
  const client = broker.connect()
  client.socket.send(bytes)
  await client.socket.closed
  expect(client.frames).toEqual([])
}

const apiVersionsRequest = createApiVersionsRequest({ clientSoftwareName: 'test', clientSoftwareVersion: '1.0' })

describe('a broker on the wire', () => {
  it('closes on lengths that no frame has', async () => {
    await TestBroker.run({ settings: { 'socket.request.max.bytes': '100000' } }, async (client, broker) => {
      for (const size of [0, 1, 7, 100_001, 0x15ffffff]) {
        await expectClosedWithoutAnswer(broker, Buffer.concat([int32(size), Buffer.alloc(20)]))
      }
      for (const size of [-1, -2147483648]) await expectClosedWithoutAnswer(broker, int32(size))
      expect((await client.call(apiVersionsApi, 3, apiVersionsRequest)).errorCode).toBe(0)
    })
  })

  it.each([
    ['a TLS hello', Buffer.from('16030100c8010000c40303', 'hex')],
    ['a PROXY header in binary', Buffer.from('0d0a0d0a000d0a515549540a', 'hex')],
    ['SSH', Buffer.from('ssh-2.0-x\r\n')],
    ['zeros', Buffer.alloc(64)],
    ['0xff', Buffer.alloc(64, 0xff)],
  ])('closes on %s', async (_name, bytes) => {
    await TestBroker.run({}, async (client, broker) => {
      await expectClosedWithoutAnswer(broker, bytes)
      expect((await client.call(apiVersionsApi, 3, apiVersionsRequest)).errorCode).toBe(0)
    })
  })

  it('closes on API keys and versions that are not served', async () => {
    await TestBroker.run({}, async (_client, broker) => {
      for (const key of [-1, 4, 5, 6, 7, 17, 24, 52, 58, 95, 9999, 32767]) {
        await expectClosedWithoutAnswer(broker, frameOf(header(key, 0, [0, 0, 0, 0])))
      }
      for (const { key, minVersion, maxVersion } of servedApis()) {
        if (key === apiVersionsApi.key) continue
        for (const version of [minVersion - 1, maxVersion + 1, 99, 32767, -32768]) {
          await expectClosedWithoutAnswer(broker, frameOf(header(key, version, Array(64).fill(0))))
        }
      }
    })
  })

  it.each([6, 99, 32767, -1, -32768])('answers ApiVersions version %i in version 0', async (version) => {
    await TestBroker.run({}, async (client) => {
      client.socket.send(frameOf(header(apiVersionsApi.key, version, [1, 2, 3])))
      const again = client.call(apiVersionsApi, 0, createApiVersionsRequest())
      again.catch(() => undefined)
      // The client takes the first frame for the answer to its own request; what matters is what it holds.
      await again.catch(() => undefined)
      const reader = new Reader(client.frames[0]!)
      expect(reader.int32()).toBe(77)
      const answer = decodeApiVersionsResponse(reader, 0)
      reader.expectEnd()
      expect(answer.errorCode).toBe(ErrorCode.UNSUPPORTED_VERSION)
      expect(answer.apiKeys).toMatchObject([{ apiKey: 18, minVersion: 0, maxVersion: apiVersionsApi.maxVersion }])
    })
  })

  it('advertises exactly what it serves, Produce from 0', async () => {
    await TestBroker.run({}, async (client) => {
      const { apiKeys } = await client.call(apiVersionsApi, 4, apiVersionsRequest)
      expect(apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, minVersion, maxVersion])).toEqual(
        servedApis().map(({ key, minVersion, maxVersion }) => [key, key === 0 ? 0 : minVersion, maxVersion]),
      )
      for (const { apiKey } of apiKeys) expect(apis[apiKey]).toBeDefined()
    })
  })

  it('closes on a body that is cut, or has bytes after its end', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const produce = client.produceRequest('t', batchOf(['a']))
      for (const version of [3, 8, 9, 12]) {
        const frame = requestFrame(produceApi, version, produce)
        for (let size = 8; size < frame.length - 4; size++) {
          const cut = Buffer.concat([int32(size), frame.subarray(4, 4 + size)])
          await expectClosedWithoutAnswer(broker, cut)
        }
        const longer = Buffer.concat([int32(frame.length - 3), frame.subarray(4), Buffer.alloc(1)])
        await expectClosedWithoutAnswer(broker, longer)
      }
      const versions = requestFrame(apiVersionsApi, 3, apiVersionsRequest)
      const padded = Buffer.concat([int32(versions.length - 3), versions.subarray(4), Buffer.alloc(1)])
      await expectClosedWithoutAnswer(broker, padded)
      expect((await client.fetchFrom('t', 0)).highWatermark).toBe(0)
    })
  })

  it('closes on counts that the frame cannot hold, before it makes room for them', async () => {
    await TestBroker.run({}, async (_client, broker) => {
      // Metadata 1: an array of 2^31 - 1 topics; 12: the same in varints; Produce 3: topics; Fetch 4: topics.
      const huge = [0x7f, 0xff, 0xff, 0xff]
      await expectClosedWithoutAnswer(broker, frameOf(header(3, 1, huge)))
      await expectClosedWithoutAnswer(broker, frameOf(header(3, 1, [0xff, 0xff, 0xff, 0xfe])))
      await expectClosedWithoutAnswer(broker, frameOf(header(3, 12, [0, 0xff, 0xff, 0xff, 0xff, 0x0f])))
      await expectClosedWithoutAnswer(broker, frameOf(header(3, 12, [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])))
      await expectClosedWithoutAnswer(broker, frameOf(header(0, 3, [0xff, 0xff, 0, 1, 0, 0, 0, 0, ...huge])))
      await expectClosedWithoutAnswer(broker, frameOf(header(1, 4, [...Array(17).fill(0), ...huge])))
    })
  })

  it('understands requests however they are cut', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const frames = [
        requestFrame(apiVersionsApi, 3, apiVersionsRequest, 1),
        requestFrame(produceApi, 9, client.produceRequest('t', batchOf(['a']), { version: 9 }), 2),
        requestFrame(metadataApi, 9, createMetadataRequest({ topics: null }), 3),
      ]
      const sent = Buffer.concat(frames)
      for (let cut = 1; cut < sent.length; cut++) {
        const probe = broker.connect()
        probe.socket.send(sent.subarray(0, cut))
        if (cut % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
        probe.socket.send(sent.subarray(cut))
        for (let turn = 0; turn < 100 && probe.frames.length < 3; turn++) {
          await new Promise((resolve) => setImmediate(resolve))
        }
        expect(probe.frames.map((frame) => frame.readInt32BE(0))).toEqual([1, 2, 3])
        probe.close()
      }
    })
  })

  it('answers requests that were sent ahead in their order, whatever each takes', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const order: string[] = []
      const calls = [
        client.fetch([{ topic: 't' }], { maxWaitMs: 300 }).then(() => order.push('fetch')),
        client.produce('t', batchOf(['a'])).then(() => order.push('produce')),
        client.produce('t', batchOf(['b']), { acks: 1 }).then(() => order.push('produce')),
        client.listOffset('t', -1).then(({ offset }) => order.push(`offset ${offset}`)),
        client.call(metadataApi, 12, createMetadataRequest({ topics: null })).then(() => order.push('metadata')),
      ]
      await broker.advance(100)
      // A request waits until the one before it is answered, as in Kafka: the produces have not begun.
      expect([order, client.outstandingCount]).toEqual([[], 5])
      await broker.advance(300)
      await Promise.all(calls)
      expect(order).toEqual(['fetch', 'produce', 'produce', 'offset 2', 'metadata'])
    })
  })

  it('answers a thousand requests that were sent ahead in one piece', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      const answers = Array.from({ length: 1000 }, (_, n) =>
        client.produce('t', batchOf([`${n}`]), { acks: n % 2 ? 1 : -1 }),
      )
      const offsets = (await Promise.all(answers)).map(({ baseOffset }) => baseOffset)
      expect(offsets).toEqual(Array.from({ length: 1000 }, (_, n) => n))
    })
  })

  it('holds back a client that does not read, not the others', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      for (let n = 0; n < 10; n++) await client.produce('t', batchOf(['x'.repeat(1_000_000)]))
      const deaf = broker.connect()
      deaf.socket.stopReading()
      const answers = Array.from({ length: 20 }, () => deaf.fetch([{ topic: 't', partitionMaxBytes: 1 << 23 }]))
      await broker.idle()
      expect(deaf.socket.unreadBytes).toBeLessThan(32 * 1024 * 1024)
      expect((await client.listOffset('t', -1)).offset).toBe(10)
      deaf.socket.resumeReading()
      for (let turn = 0; turn < 200 && deaf.outstandingCount > 0; turn++) await broker.idle()
      const all = await Promise.all(answers)
      for (const answer of all) expect(valuesIn(answer.responses[0]!.partitions[0]!.records)).toHaveLength(8)
    })
  })

  it('closes a connection that trickles a frame, one that says nothing, and none that waits for an answer', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const trickle = broker.openSocket()
      const mute = broker.openSocket()
      const idle = broker.connect()
      const waiting = broker.connect()
      await idle.call(apiVersionsApi, 0, createApiVersionsRequest())
      const parked = waiting.fetch([{ topic: 't' }], { maxWaitMs: 1_500_000 })
      trickle.send(int32(5000))
      for (let second = 0; second < 44; second++) {
        trickle.send(Buffer.alloc(1))
        await broker.advance(1000)
      }
      expect(trickle.isClosed).toBe(true)
      expect([mute.isClosed, idle.socket.isClosed, waiting.socket.isClosed]).toEqual([false, false, false])
      for (let minute = 0; minute < 11; minute++) await broker.advance(60_000)
      expect([mute.isClosed, idle.socket.isClosed, waiting.socket.isClosed]).toEqual([true, true, false])
      await broker.advance(900_000)
      expect((await parked).errorCode).toBe(0)
      expect(client.socket.isClosed).toBe(true)
    })
  })

  it('answers a topic that has neither name nor id, and the others beside it', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      const topics = [createMetadataRequestTopic({ name: null }), createMetadataRequestTopic({ name: 't' })]
      const answer = await client.call(metadataApi, 12, createMetadataRequest({ topics }))
      expect(answer.topics.map(({ name, errorCode }) => [name, errorCode])).toEqual([
        [null, ErrorCode.INVALID_REQUEST],
        ['t', 0],
      ])
    })
  })

  it('does not close a connection that sends small frames without end, slowly', async () => {
    await TestBroker.run({}, async (_client, broker) => {
      const slow = broker.connect()
      const frame = requestFrame(apiVersionsApi, 3, apiVersionsRequest)
      const bytes = Buffer.concat(Array.from({ length: 8 }, () => frame))
      const half = Math.floor(frame.length / 2)
      for (let start = -half; start < bytes.length - frame.length; start += frame.length) {
        slow.socket.send(bytes.subarray(Math.max(0, start), start + frame.length))
        await broker.advance(5000)
        await broker.advance(5000)
      }
      expect(slow.socket.isClosed).toBe(false)
      expect(slow.frames.length).toBeGreaterThan(5)
    })
  })

  it('refuses connections above its limit and takes them again when others went', async () => {
    await TestBroker.run({ settings: { 'max.connections.per.ip': '4' } }, async (client, broker) => {
      const others = [broker.openSocket(), broker.openSocket(), broker.openSocket()]
      const refused = broker.connect()
      const call = refused.call(apiVersionsApi, 0, createApiVersionsRequest())
      await expect(call).rejects.toThrow(ConnectionClosedError)
      const elsewhere = broker.connect('10.0.0.1')
      expect((await elsewhere.call(apiVersionsApi, 0, createApiVersionsRequest())).errorCode).toBe(0)
      others[0]!.close()
      others[1]!.send(int32(-1))
      await broker.idle()
      for (const again of [broker.connect(), broker.connect()]) {
        expect((await again.call(apiVersionsApi, 0, createApiVersionsRequest())).errorCode).toBe(0)
      }
      await client.createTopic('t')
    })
  })

  it('lets its directories go when it cannot start', async () => {
    const listeners = 'PLAINTEXT://127.0.0.1:9092'
    const first = await TestBroker.start({ settings: { listeners } })
    const disk = new SimulatedDisk()
    const second = TestBroker.start({ network: first.network, disk, settings: { listeners } })
    await expect(second).rejects.toThrow('in use')
    await TestBroker.run({ disk }, async (client) => {
      await client.createTopic('t')
    })
    await first.stop()
    first.assertSound()
  })
})
