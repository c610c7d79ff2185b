import {
  CodecId,
  createListOffsetsPartition,
  createListOffsetsRequest,
  createListOffsetsTopic,
  ErrorCode,
  listOffsetsApi,
  sealBatch,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { batchOf, START_MS } from '../testing/batches.ts'
import { TestBroker } from '../testing/test-broker.ts'

const VERSIONS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
const LATEST = -1
const EARLIEST = -2
const MAX_TIMESTAMP = -3

describe('ListOffsets', () => {
  it.each(VERSIONS)('version %i finds ends and times', async (version) => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      await client.produce('t', batchOf(['a', 'b'].map((value) => ({ value, timestamp: START_MS }))))
      await client.produce('t', batchOf([{ value: 'c', timestamp: START_MS + 10 }]))
      await client.produce('t', batchOf([{ value: 'd', timestamp: START_MS + 5 }]))
      const epoch = version >= 4 ? 0 : -1
      const at = (timestamp: number | bigint) => client.listOffset('t', timestamp, { version })
      expect(await at(LATEST)).toMatchObject({ errorCode: 0, offset: 4, timestamp: -1, leaderEpoch: epoch })
      expect(await at(EARLIEST)).toMatchObject({ errorCode: 0, offset: 0, timestamp: -1, leaderEpoch: epoch })
      expect(await at(0)).toMatchObject({ offset: 0, timestamp: START_MS, leaderEpoch: epoch })
      expect(await at(START_MS + 1)).toMatchObject({ offset: 2, timestamp: START_MS + 10, leaderEpoch: epoch })
      expect(await at(START_MS + 11)).toMatchObject({ errorCode: 0, offset: -1, timestamp: -1 })
      expect(await at(2n ** 62n)).toMatchObject({ errorCode: 0, offset: -1, timestamp: -1 })
    })
  })

  it.each(VERSIONS)('version %i knows the special times that it may know', async (version) => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      await client.produce('t', batchOf([{ value: 'a', timestamp: START_MS + 7 }]))
      await client.produce('t', batchOf([{ value: 'b', timestamp: START_MS }]))
      const at = async (timestamp: number | bigint) => {
        const { errorCode, offset } = await client.listOffset('t', timestamp, { version })
        return errorCode === 0 ? offset : errorCode
      }
      const unsupported = ErrorCode.UNSUPPORTED_VERSION
      expect(await at(MAX_TIMESTAMP)).toBe(version >= 7 ? 0 : unsupported)
      expect(await at(-4)).toBe(version >= 8 ? 0 : unsupported)
      expect(await at(-5)).toBe(version >= 9 ? -1 : unsupported)
      expect(await at(-6)).toBe(version >= 11 ? -1 : unsupported)
      for (const timestamp of [-7, -1000, -(2n ** 63n)]) expect(await at(timestamp)).toBe(unsupported)
    })
  })

  it('of an empty log finds its ends and no time', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      expect(await client.listOffset('t', LATEST)).toMatchObject({ errorCode: 0, offset: 0 })
      expect(await client.listOffset('t', EARLIEST)).toMatchObject({ errorCode: 0, offset: 0 })
      for (const timestamp of [MAX_TIMESTAMP, 0]) {
        expect(await client.listOffset('t', timestamp)).toMatchObject({ errorCode: 0, offset: -1, timestamp: -1 })
      }
    })
  })

  it('waits until what was acknowledged before is committed, and tells nothing earlier', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      await client.produce('t', batchOf([{ value: 'a', timestamp: START_MS }]))
      const { promise, resolve } = Promise.withResolvers<void>()
      broker.disk.settle = (operation) => (operation.startsWith('sync') ? promise : Promise.resolve())
      await client.produce('t', batchOf([{ value: 'b', timestamp: START_MS + 9 }]), { acks: 1 })
      expect((await client.listOffset('t', EARLIEST)).offset).toBe(0)
      let answeredCount = 0
      const asked = [LATEST, START_MS + 1, MAX_TIMESTAMP].map(async (timestamp) => {
        const { offset } = await broker.connect().listOffset('t', timestamp)
        answeredCount++
        return offset
      })
      await broker.idle()
      expect(answeredCount).toBe(0)
      resolve()
      expect(await Promise.all(asked)).toEqual([2, 1, 1])
    })
  })

  it('sees the log start move', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      await client.produce('t', batchOf(['a', 'b', 'c']))
      await client.deleteRecords('t', 2)
      expect((await client.listOffset('t', EARLIEST)).offset).toBe(2)
      expect((await client.listOffset('t', 0)).offset).toBe(2)
    })
  })

  it('refuses unknown partitions, wrong epochs and partitions asked for twice, each by itself', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t', 2)
      const codeOf = async (topic: string, options: { partition?: number; currentLeaderEpoch?: number }) =>
        (await client.listOffset(topic, LATEST, options)).errorCode
      expect(await codeOf('gone', {})).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
      expect(await codeOf('t', { partition: 2 })).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
      expect(await codeOf('t', { partition: -1 })).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
      expect(await codeOf('t', { currentLeaderEpoch: 1 })).toBe(ErrorCode.UNKNOWN_LEADER_EPOCH)
      expect(await codeOf('t', { currentLeaderEpoch: 0 })).toBe(0)
      // What cannot be asked for is told before it is looked for.
      expect((await client.listOffset('gone', -9)).errorCode).toBe(ErrorCode.UNSUPPORTED_VERSION)
      const partitions = [0, 1, 0].map((partitionIndex) =>
        createListOffsetsPartition({ partitionIndex, timestamp: -1 }),
      )
      const topics = [createListOffsetsTopic({ name: 't', partitions })]
      const request = createListOffsetsRequest({ replicaId: -1, topics })
      const answer = await client.call(listOffsetsApi, 11, request)
      const codes = answer.topics[0]!.partitions.map(({ errorCode }) => errorCode)
      expect(codes).toEqual([ErrorCode.INVALID_REQUEST, 0, ErrorCode.INVALID_REQUEST])
    })
  })

  it('of a time in a batch that cannot be expanded fails for good, and costs nobody the connection', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      const values = Array.from({ length: 50 }, (_, n) => ({
        value: `value ${n}`,
        timestamp: START_MS + (n === 0 ? 0 : 5),
      }))
      const batch = batchOf(values, { codec: CodecId.GZIP })
      // The stream breaks off; such a batch is stored as it was sent, since nothing needed to look into it.
      batch.fill(0xff, batch.length - 20)
      sealBatch(batch, 0)
      expect((await client.produce('t', batch)).errorCode).toBe(0)
      expect((await client.listOffset('t', START_MS + 1)).errorCode).toBe(ErrorCode.UNKNOWN_SERVER_ERROR)
      expect((await client.listOffset('t', LATEST)).offset).toBe(50)
    })
  })
})
