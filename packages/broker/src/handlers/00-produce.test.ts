import { ZERO_UUID } from '@millrace/base'
import {
  batchCodecOf,
  buildEndTxnMarker,
  CodecId,
  ControlRecordType,
  createPartitionProduceData,
  createProduceRequest,
  createTopicProduceData,
  ErrorCode,
  encodeMessageSet,
  produceApi,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { batchOf, START_MS, sequencedBatch } from '../testing/batches.ts'
import { type DataClient, recordsIn, valuesIn } from '../testing/data-client.ts'
import { TestBroker } from '../testing/test-broker.ts'

const VERSIONS = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
const HOUR_MS = 3_600_000

async function valuesOf(client: DataClient, topic: string): Promise<(string | null)[]> {
  return valuesIn((await client.fetchFrom(topic, 0)).records)
}

/** Syncs that end when told. */
function heldSyncs(broker: TestBroker): () => void {
  const { promise, resolve } = Promise.withResolvers<void>()
  broker.disk.settle = (operation) => (operation.startsWith('sync') ? promise : Promise.resolve())
  return () => {
    broker.disk.settle = () => Promise.resolve()
    resolve()
  }
}

describe('Produce', () => {
  it.each(VERSIONS)('version %i stores a batch that Fetch gives back', async (version) => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const answer = await client.produce('t', batchOf(['a', 'b']), { version })
      expect(answer).toMatchObject({ errorCode: 0, baseOffset: 0, logAppendTimeMs: -1 })
      expect(answer.logStartOffset).toBe(version >= 5 ? 0 : -1)
      expect((await client.produce('t', batchOf(['c']), { version, acks: 1 })).baseOffset).toBe(2)
      await broker.idle()
      expect(await valuesOf(client, 't')).toEqual(['a', 'b', 'c'])
    })
  })

  it('with acks=all is answered only when the records survive a loss of power', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const release = heldSyncs(broker)
      const answer = client.produce('t', batchOf(['a']))
      await broker.idle()
      expect(client.outstandingCount).toBe(1)
      const reader = broker.connect()
      expect((await reader.fetchFrom('t', 0)).records).toHaveLength(0)
      release()
      expect(await answer).toMatchObject({ errorCode: 0, baseOffset: 0 })
      expect(await valuesOf(reader, 't')).toEqual(['a'])
    })
  })

  it('with acks=1 is answered after the append, and with write caching so is acks=all', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      await client.createTopic('cached', 1, { 'write.caching': 'true' })
      const release = heldSyncs(broker)
      expect((await client.produce('t', batchOf(['a']), { acks: 1 })).errorCode).toBe(0)
      expect((await client.produce('cached', batchOf(['a']), { acks: -1 })).errorCode).toBe(0)
      release()
    })
  })

  it('with acks=0 gets no answer at all, and stores the records', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      client.post(produceApi, 12, client.produceRequest('t', batchOf(['a']), { acks: 0 }))
      expect((await client.produce('t', batchOf(['b']))).baseOffset).toBe(1)
      await broker.idle()
      expect(await valuesOf(client, 't')).toEqual(['a', 'b'])
    })
  })

  it('with acks=0 that fails closes the connection, after what came before was answered', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const before = client.produce('t', batchOf(['a']))
      client.post(produceApi, 12, client.produceRequest('absent', batchOf(['b']), { acks: 0 }))
      expect((await before).errorCode).toBe(0)
      await client.socket.closed
      expect(await valuesOf(broker.connect(), 't')).toEqual(['a'])
    })
  })

  it.each([2, -2, 32767, -32768])('with acks=%i is refused as a whole', async (acks) => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      expect((await client.produce('t', batchOf(['a']), { acks })).errorCode).toBe(ErrorCode.INVALID_REQUIRED_ACKS)
      expect(await valuesOf(client, 't')).toEqual([])
    })
  })

  it('to several topics and partitions answers each by itself, in order', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('a', 2)
      await client.createTopic('b', 1)
      const partition = (index: number, value: string) =>
        createPartitionProduceData({ index, records: batchOf([value]) })
      const request = createProduceRequest({
        acks: -1,
        timeoutMs: 1000,
        topicData: [
          createTopicProduceData({
            name: 'a',
            partitionData: [partition(1, 'one'), partition(2, 'two'), partition(0, 'zero'), partition(-1, 'minus')],
          }),
          createTopicProduceData({ name: 'gone', partitionData: [partition(0, 'lost')] }),
          createTopicProduceData({ name: 'b', partitionData: [partition(0, 'b'), partition(2147483647, 'far')] }),
        ],
      })
      const { responses } = await client.call(produceApi, 12, request)
      const unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      expect(
        responses.map(({ name, partitionResponses }) => [
          name,
          partitionResponses.map(({ index, errorCode }) => [index, errorCode]),
        ]),
      ).toEqual([
        ['a', [[1, 0], [2, unknown], [0, 0], [-1, unknown]]], // biome-ignore format: a table
        ['gone', [[0, unknown]]],
        ['b', [[0, 0], [2147483647, unknown]]], // biome-ignore format: a table
      ])
      expect(await valuesOf(client, 'b')).toEqual(['b'])
    })
  })

  it.each([3, 8, 12, 13])(
    'version %i that names a partition twice stores and answers the last of it',
    async (version) => {
      await TestBroker.run({}, async (client) => {
        const topicId = await client.createTopic('t', 2)
        const name = version >= 13 ? '' : 't'
        const absent = version >= 13 ? topicId.replace(/^./, (first) => (first === 'A' ? 'B' : 'A')) : 'absent'
        const partition = (index: number, value: string) =>
          createPartitionProduceData({ index, records: batchOf([value]) })
        const topic = (...partitionData: ReturnType<typeof partition>[]) =>
          createTopicProduceData({ name, topicId: version >= 13 ? topicId : ZERO_UUID, partitionData })
        const unknown = createTopicProduceData({
          name: version >= 13 ? '' : absent,
          topicId: version >= 13 ? (absent as typeof topicId) : ZERO_UUID,
          partitionData: [partition(0, 'x'), partition(0, 'y')],
        })
        const request = createProduceRequest({
          acks: -1,
          timeoutMs: 1000,
          topicData: [
            topic(partition(0, 'first'), partition(1, 'other'), partition(0, 'second'), partition(7, 'x')),
            unknown,
            topic(partition(0, 'third'), partition(7, 'y')),
          ],
        })
        const { responses } = await client.call(produceApi, version, request)
        const answers = responses.flatMap(({ partitionResponses }) =>
          partitionResponses.map(({ index, errorCode, baseOffset }) => [index, errorCode, baseOffset]),
        )
        const unknownTopic = version >= 13 ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        expect(answers).toEqual([
          [1, 0, 0],
          [0, unknownTopic, -1],
          [0, 0, 0],
          [7, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1],
        ])
        expect(await valuesOf(client, 't')).toEqual(['third'])
      })
    },
  )

  it('by an unknown topic id, or none, is told so', async () => {
    await TestBroker.run({}, async (client) => {
      const id = await client.createTopic('t')
      client.topicIds.set('t', id.replace(/^./, (first) => (first === 'A' ? 'B' : 'A')) as typeof id)
      const produce = () => client.produce('t', batchOf(['a']), { version: 13 })
      expect((await produce()).errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_ID)
      client.topicIds.set('t', ZERO_UUID)
      expect((await produce()).errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_ID)
    })
  })

  it('of an internal topic is for nobody but the administrator’s client', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('__consumer_offsets', 1, { 'cleanup.policy': 'compact' })
      const records = batchOf([{ key: 'k', value: 'v' }])
      const { errorCode } = await client.produce('__consumer_offsets', records)
      expect(errorCode).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
      expect((await client.fetchFrom('__consumer_offsets', 0)).highWatermark).toBe(0)
    })
  })

  it('times out when the disk does not answer in time; the records stay', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const release = heldSyncs(broker)
      const answer = client.produce('t', batchOf(['a']), { timeoutMs: 300 })
      await broker.advance(250)
      expect(client.outstandingCount).toBe(1)
      await broker.advance(300)
      expect(await answer).toMatchObject({ errorCode: ErrorCode.REQUEST_TIMED_OUT, baseOffset: -1 })
      release()
      await broker.idle()
      expect(await valuesOf(client, 't')).toEqual(['a'])
    })
  })

  it('is answered with the storage error when the sync fails, and the broker does not go on', async () => {
    const broker = await TestBroker.start()
    const client = broker.connect()
    await client.createTopic('t')
    broker.disk.fault = (operation) => (operation.startsWith('sync') ? 'DISK_OTHER' : null)
    const answer = client.produce('t', batchOf(['a']))
    await broker.idle()
    expect((await answer).errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
    expect(broker.fatalErrors).toHaveLength(1)
  })
})

describe('a produced batch', () => {
  it('that is none, several, damaged or of an old format is refused and changes nothing', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      const good = batchOf(['a'])
      const damaged = Buffer.from(good)
      damaged[damaged.length - 1]! ^= 1
      const old = encodeMessageSet(1, [{ offset: 0, timestamp: START_MS, key: null, value: Buffer.from('x') }])
      const marker = buildEndTxnMarker({
        type: ControlRecordType.COMMIT,
        coordinatorEpoch: 0,
        producerId: 1,
        producerEpoch: 0,
        timestamp: START_MS,
      })
      const cases: [Buffer | null, number][] = [
        [null, ErrorCode.INVALID_RECORD],
        [Buffer.alloc(0), ErrorCode.INVALID_RECORD],
        [Buffer.concat([good, good]), ErrorCode.INVALID_RECORD],
        [old, ErrorCode.INVALID_RECORD],
        [marker, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED],
        [damaged, ErrorCode.CORRUPT_MESSAGE],
      ]
      for (const [records, errorCode] of cases) {
        for (const version of VERSIONS) {
          expect((await client.produce('t', records, { version })).errorCode).toBe(errorCode)
        }
      }
      expect((await client.produce('t', good)).baseOffset).toBe(0)
    })
  })

  it('in zstd needs version 7', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      const records = batchOf(['a'], { codec: CodecId.ZSTD })
      for (const version of VERSIONS) {
        const { errorCode } = await client.produce('t', records, { version })
        expect(errorCode).toBe(version < 7 ? ErrorCode.UNSUPPORTED_COMPRESSION_TYPE : 0)
      }
    })
  })

  it('beyond max.message.bytes or a segment is refused by its own error', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('small', 1, { 'max.message.bytes': '200' })
      await client.createTopic('segment', 1, { 'max.message.bytes': '3000000', 'segment.bytes': '1048576' })
      const large = await client.produce('small', batchOf(['x'.repeat(200)]))
      expect(large).toMatchObject({ errorCode: ErrorCode.MESSAGE_TOO_LARGE, baseOffset: -1, logStartOffset: -1 })
      const list = await client.produce('segment', batchOf(['x'.repeat(2_000_000)]))
      expect(list.errorCode).toBe(ErrorCode.RECORD_LIST_TOO_LARGE)
      expect((await client.produce('small', batchOf(['x'.repeat(100)]))).errorCode).toBe(0)
      expect(await client.alterTopic('small', { 'max.message.bytes': '100' })).toBe(0)
      expect((await client.produce('small', batchOf(['x'.repeat(100)]))).errorCode).toBe(ErrorCode.MESSAGE_TOO_LARGE)
    })
  })

  it.each(VERSIONS)('with bad timestamps lists each of them from version 8 on (version %i)', async (version) => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t', 1, {
        'message.timestamp.before.max.ms': String(HOUR_MS),
        'message.timestamp.after.max.ms': String(HOUR_MS),
      })
      const records = [{ timestamp: START_MS }, { timestamp: START_MS - HOUR_MS - 1 }, { timestamp: START_MS * 2 }]
      const answer = await client.produce('t', batchOf(records), { version })
      expect(answer).toMatchObject({ errorCode: ErrorCode.INVALID_TIMESTAMP, baseOffset: -1 })
      expect(answer.recordErrors.map(({ batchIndex }) => batchIndex)).toEqual(version >= 8 ? [1, 2] : [])
      expect(answer.errorMessage === null).toBe(version < 8)
      expect(answer.logStartOffset).toBe(version >= 5 ? 0 : -1)
    })
  })

  it('gets the leader’s time where the topic says so, in the answer too', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t', 1, { 'message.timestamp.type': 'LogAppendTime' })
      await broker.advance(5000)
      const records = batchOf([{ value: 'a', timestamp: 17 }, 'b'], { codec: CodecId.LZ4 })
      const answer = await client.produce('t', records, { version: 9 })
      expect(answer).toMatchObject({ errorCode: 0, logAppendTimeMs: START_MS + 5000 })
      const { records: stored } = await client.fetchFrom('t', 0)
      expect(recordsIn(stored as Buffer).map(({ timestamp }) => timestamp)).toEqual([START_MS + 5000, START_MS + 5000])
      expect(await client.listOffset('t', START_MS + 5000)).toMatchObject({ offset: 0, timestamp: START_MS + 5000 })
      expect(await client.alterTopic('t', { 'message.timestamp.type': 'CreateTime' })).toBe(0)
      expect((await client.produce('t', batchOf([{ value: 'c', timestamp: 17 }]))).logAppendTimeMs).toBe(-1)
    })
  })

  it('is stored in the codec that the topic asks for, from the change on', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t', 1, { 'compression.type': 'gzip' })
      await client.produce('t', batchOf(['a', 'b'], { codec: CodecId.ZSTD }))
      await client.alterTopic('t', { 'compression.type': 'uncompressed' })
      await client.produce('t', batchOf(['c', 'd'], { codec: CodecId.SNAPPY }))
      await client.alterTopic('t', { 'compression.type': 'producer' })
      await client.produce('t', batchOf(['e', 'f'], { codec: CodecId.LZ4 }))
      const codecs: number[] = []
      const values: (string | null)[] = []
      for (const offset of [0, 2, 4]) {
        const { records } = await client.fetchFrom('t', offset)
        codecs.push(batchCodecOf(records as Buffer, 0))
        values.push(...valuesIn(records).slice(0, 2))
      }
      expect(codecs).toEqual([CodecId.GZIP, CodecId.NONE, CodecId.LZ4])
      expect(values).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
    })
  })

  it('needs a key per record on a compacted topic', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t', 1, { 'cleanup.policy': 'compact' })
      const answer = await client.produce('t', batchOf([{ key: 'k', value: '1' }, 'keyless', { key: 'k' }]))
      expect(answer.errorCode).toBe(ErrorCode.INVALID_RECORD)
      expect(answer.recordErrors.map(({ batchIndex }) => batchIndex)).toEqual([1])
      expect(answer.errorMessage).not.toBeNull()
      expect(await client.alterTopic('t', { 'cleanup.policy': 'delete' })).toBe(0)
      expect((await client.produce('t', batchOf(['keyless']))).errorCode).toBe(0)
    })
  })

  it('of a transaction is refused, since no transaction can be open', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      const records = batchOf(['a'], { producerId: 5, producerEpoch: 0, baseSequence: 0, transactional: true })
      for (const version of [3, 10, 12, 13]) {
        expect((await client.produce('t', records, { version })).errorCode).not.toBe(0)
      }
      expect(await valuesOf(client, 't')).toEqual([])
    })
  })
})

describe('an idempotent producer', () => {
  it('is answered with the first offsets when it repeats one of its last five batches', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      for (let n = 0; n < 6; n++) {
        expect((await client.produce('t', sequencedBatch([`${n}a`, `${n}b`], n * 2))).baseOffset).toBe(n * 2)
      }
      for (const n of [5, 3, 1, 4, 2]) {
        const answer = await client.produce('t', sequencedBatch([`${n}a`, `${n}b`], n * 2), { version: 3 + n })
        expect(answer).toMatchObject({ errorCode: 0, baseOffset: n * 2 })
      }
      const forgotten = await client.produce('t', sequencedBatch(['0a', '0b'], 0))
      expect(forgotten.errorCode).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
      expect((await client.fetchFrom('t', 0)).highWatermark).toBe(12)
    })
  })

  it('sends its batches and repeats of them in one write, and each gets its own answer', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      const sequences = [0, 1, 1, 2, 0, 3]
      const answers = await Promise.all(sequences.map((n) => client.produce('t', sequencedBatch([`${n}`], n))))
      expect(answers.map(({ baseOffset }) => baseOffset)).toEqual(sequences)
      expect(await valuesOf(client, 't')).toEqual(['0', '1', '2', '3'])
    })
  })

  it('that repeats a batch with acks=all waits for the original', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const release = heldSyncs(broker)
      await client.produce('t', sequencedBatch(['a'], 0), { acks: 1 })
      const repeated = client.produce('t', sequencedBatch(['a'], 0))
      await broker.idle()
      expect(client.outstandingCount).toBe(1)
      release()
      expect(await repeated).toMatchObject({ errorCode: 0, baseOffset: 0 })
    })
  })

  it('must go on at the next sequence, and start an epoch at 0', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      const produce = async (baseSequence: number, producerEpoch: number, values = ['x']) =>
        (await client.produce('t', sequencedBatch(values, baseSequence, { producerEpoch }))).errorCode
      const disorder = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
      expect(await produce(40, 3)).toBe(0) // an unknown producer may begin anywhere
      expect(await produce(42, 3)).toBe(disorder)
      expect(await produce(40, 3, ['x', 'y'])).toBe(disorder)
      expect(await produce(41, 3)).toBe(0)
      expect(await produce(42, 2)).toBe(ErrorCode.INVALID_PRODUCER_EPOCH)
      expect(await produce(42, 4)).toBe(disorder)
      expect(await produce(0, 4)).toBe(0)
      expect(await produce(42, 3)).toBe(ErrorCode.INVALID_PRODUCER_EPOCH)
      expect(await produce(1, 4)).toBe(0)
    })
  })

  it('wraps its sequence from 2147483647 to 0, also within a batch', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      const across = sequencedBatch(['a', 'b', 'c'], 2147483646)
      expect((await client.produce('t', across)).baseOffset).toBe(0)
      expect((await client.produce('t', sequencedBatch(['d'], 1))).baseOffset).toBe(3)
      expect((await client.produce('t', across)).baseOffset).toBe(0)
      expect((await client.produce('t', sequencedBatch(['e'], 3))).errorCode).toBe(
        ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
      )
      await client.createTopic('edge')
      expect((await client.produce('edge', sequencedBatch(['a'], 2147483647))).baseOffset).toBe(0)
      expect((await client.produce('edge', sequencedBatch(['b'], 0))).baseOffset).toBe(1)
    })
  })

  it('is remembered per partition', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t', 2)
      expect((await client.produce('t', sequencedBatch(['a'], 0), { partition: 0 })).errorCode).toBe(0)
      expect((await client.produce('t', sequencedBatch(['b'], 5), { partition: 1 })).errorCode).toBe(0)
      expect((await client.produce('t', sequencedBatch(['c'], 1), { partition: 0 })).errorCode).toBe(0)
      expect((await client.produce('t', sequencedBatch(['d'], 6), { partition: 1 })).errorCode).toBe(0)
    })
  })

  it('is forgotten after producer.id.expiration.ms', async () => {
    await TestBroker.run({ settings: { 'producer.id.expiration.ms': '60000' } }, async (client, broker) => {
      await client.createTopic('t')
      await client.produce('t', sequencedBatch(['a'], 0))
      expect((await client.produce('t', sequencedBatch(['b'], 9))).errorCode).not.toBe(0)
      for (let minute = 0; minute < 15; minute++) await broker.advance(60_000)
      expect((await broker.connect().produce('t', sequencedBatch(['b'], 9))).errorCode).toBe(0)
    })
  })
})
