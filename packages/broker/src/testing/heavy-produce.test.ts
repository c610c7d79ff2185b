import { SeededRandom } from '@millrace/base'
import {
  BatchBuilder,
  batchCodecOf,
  CodecId,
  createPartitionProduceData,
  createProduceRequest,
  createTopicProduceData,
  ErrorCode,
  ProduceValidation,
  produceApi,
  validateProduceBatch,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import type { BatchChecks } from '../partition/batch-checks.ts'
import { batchOf, START_MS } from './batches.ts'
import { type ProduceOptions, valuesIn } from './data-client.ts'
import { TestBroker } from './test-broker.ts'

/** Goal: batches that must be expanded are checked beside the loop, and nothing else changes: order, answers, errors. */

const incompressible = (sizeBytes: number): Buffer => new SeededRandom(1).bytes(sizeBytes)

/** Above the size from which a batch is checked elsewhere. */
function heavyBatch(values: readonly string[], producer: { producerId?: number; baseSequence?: number } = {}): Buffer {
  const builder = new BatchBuilder({
    codec: CodecId.LZ4,
    producerEpoch: producer.producerId === undefined ? -1 : 0,
    ...producer,
  })
  builder.append(START_MS, 'filler', incompressible(20_000))
  for (const value of values) builder.append(START_MS, 'k', value)
  return Buffer.from(builder.build())
}

/** Checks that a test lets end. */
class HeldChecks implements BatchChecks {
  readonly #waiting: (() => void)[] = []
  startedCount = 0

  async check(...[batch, rules]: Parameters<BatchChecks['check']>): Promise<ProduceValidation> {
    this.startedCount++
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
    const validation = new ProduceValidation()
    validateProduceBatch(batch, 0, batch.length, rules, validation)
    return validation
  }

  release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  close(): void {
    this.release()
  }
}

/** Partitions of Produce requests that were refused, by the broker's own count. */
const FAILED = /^\S*failedproducerequests\S* (\d+)$/m
/** Bytes of requests that wait for their checks. */
const WAITING = /^millrace_budget_used\{budget="batch-checks",unit="bytes"\} (\d+)$/m

/** What the broker tells of itself. */
async function metricOf(broker: TestBroker, pattern: RegExp): Promise<number> {
  return Number(pattern.exec(await broker.metrics())?.[1])
}

const compacted = { 'cleanup.policy': 'compact' }

describe('a batch that must be expanded', () => {
  it('is stored as any other', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t', 1, compacted)
      expect(await client.produce('t', heavyBatch(['a', 'b']))).toMatchObject({ errorCode: 0, baseOffset: 0 })
      expect(await client.produce('t', heavyBatch(['c']))).toMatchObject({ errorCode: 0, baseOffset: 3 })
      expect(valuesIn((await client.fetchFrom('t', 3)).records).at(-1)).toBe('c')
    })
  })

  it('is stored in the codec of its topic', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t', 1, { 'compression.type': 'zstd' })
      expect(await client.produce('t', heavyBatch(['a']))).toMatchObject({ errorCode: 0, baseOffset: 0 })
      const { records } = await client.fetchFrom('t', 0)
      const stored = Buffer.isBuffer(records) ? records : Buffer.concat(records!)
      expect(batchCodecOf(stored, 0)).toBe(CodecId.ZSTD)
      expect(valuesIn(records).at(-1)).toBe('a')
    })
  })

  it('keeps its place before what its producer sends next', async () => {
    const checks = new HeldChecks()
    await TestBroker.run({ batchChecks: checks }, async (client, broker) => {
      await client.createTopic('t', 1, compacted)
      const producer = { producerId: 7, baseSequence: 0 }
      const first = client.produce('t', heavyBatch(['a'], producer))
      const second = client.produce('t', heavyBatch(['b'], { ...producer, baseSequence: 2 }))
      await broker.idle()
      expect(checks.startedCount).toBe(1)
      checks.release()
      expect(await first).toMatchObject({ errorCode: 0, baseOffset: 0 })
      await broker.idle()
      checks.release()
      expect(await second).toMatchObject({ errorCode: 0, baseOffset: 2 })
    })
  })

  it('does not keep others waiting', async () => {
    const checks = new HeldChecks()
    await TestBroker.run({ batchChecks: checks }, async (client, broker) => {
      await client.createTopic('t', 1, compacted)
      await client.createTopic('other')
      const heavy = client.produce('t', heavyBatch(['a']))
      await broker.idle()
      expect((await broker.connect().produce('other', heavyBatch(['b']))).errorCode).toBe(0)
      checks.release()
      expect((await heavy).errorCode).toBe(0)
    })
  })

  it('whose topic goes meanwhile is not stored', async () => {
    const checks = new HeldChecks()
    await TestBroker.run({ batchChecks: checks }, async (client, broker) => {
      await client.createTopic('t', 1, compacted)
      const heavy = client.produce('t', heavyBatch(['a']))
      await broker.idle()
      const admin = broker.connect()
      expect(await admin.deleteTopic('t')).toBe(0)
      await admin.createTopic('t', 1, compacted)
      checks.release()
      expect((await heavy).errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
      expect((await admin.listOffset('t', -1)).offset).toBe(0)
    })
  })

  it('that is refused tells why, and without acknowledgement costs the connection', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t', 1, compacted)
      const builder = new BatchBuilder({ codec: CodecId.GZIP })
      for (let record = 0; record < 4; record++) builder.append(START_MS, 'k', Buffer.alloc(20_000_000))
      const bomb = Buffer.from(builder.build())
      expect((await client.produce('t', bomb)).errorCode).toBe(ErrorCode.MESSAGE_TOO_LARGE)
      const keyless = new BatchBuilder({ codec: CodecId.LZ4 })
      keyless.append(START_MS, null, incompressible(40_000))
      const { errorCode, recordErrors } = await client.produce('t', Buffer.from(keyless.build()))
      expect([errorCode, recordErrors.length]).toEqual([ErrorCode.INVALID_RECORD, 1])
      const silent = broker.connect()
      silent.post(produceApi, 12, silent.produceRequest('t', bomb, { acks: 0 }))
      await broker.idle()
      expect(silent.socket.isClosed).toBe(true)
    })
  })

  it('whose time is over before its check ends is answered so', async () => {
    const checks = new HeldChecks()
    await TestBroker.run({ batchChecks: checks }, async (client, broker) => {
      await client.createTopic('t', 1, compacted)
      const late = client.produce('t', heavyBatch(['a']), { timeoutMs: 1000 })
      await broker.advance(1500)
      expect((await late).errorCode).toBe(ErrorCode.REQUEST_TIMED_OUT)
      checks.release()
      await broker.idle()
      expect((await client.listOffset('t', -1)).offset).toBe(0)
      expect(await metricOf(broker, FAILED)).toBe(1)
    })
  })

  it('that was answered as too late is not stored after what its producer sent next', async () => {
    const checks = new HeldChecks()
    await TestBroker.run({ batchChecks: checks }, async (client, broker) => {
      await client.createTopic('t', 1, compacted)
      const late = client.produce('t', heavyBatch(['late']), { timeoutMs: 1000 })
      const next = client.produce('t', batchOf([{ key: 'k', value: 'next' }]))
      await broker.advance(1500)
      expect((await late).errorCode).toBe(ErrorCode.REQUEST_TIMED_OUT)
      expect(await next).toMatchObject({ errorCode: 0, baseOffset: 0 })
      checks.release()
      await broker.idle()
      expect(valuesIn((await client.fetchFrom('t', 0)).records)).toEqual(['next'])
      expect((await client.listOffset('t', -1)).offset).toBe(1)
    })
  })

  it('waits for its check without an end when not all must acknowledge it', async () => {
    const checks = new HeldChecks()
    await TestBroker.run({ batchChecks: checks }, async (client, broker) => {
      await client.createTopic('t', 1, compacted)
      client.post(produceApi, 12, client.produceRequest('t', heavyBatch(['a']), { acks: 0, timeoutMs: 1000 }))
      const first = client.produce('t', heavyBatch(['b']), { acks: 1, timeoutMs: 1000 })
      const second = client.produce('t', batchOf([{ key: 'k', value: 'c' }]), { acks: 1, timeoutMs: 1000 })
      await broker.advance(1500)
      checks.release()
      await broker.advance(1500)
      expect(client.outstandingCount).toBe(2)
      checks.release()
      expect(await first).toMatchObject({ errorCode: 0, baseOffset: 2 })
      expect(await second).toMatchObject({ errorCode: 0, baseOffset: 4 })
    })
  })

  it('is refused as a small one is: by its acknowledgements, its topic’s id, and for an internal topic', async () => {
    const checks = new HeldChecks()
    await TestBroker.run({ batchChecks: checks }, async (client) => {
      const id = await client.createTopic('t', 1, compacted)
      await client.createTopic('__consumer_offsets', 1, compacted)
      const produce = async (topic: string, options: ProduceOptions) =>
        (await client.produce(topic, heavyBatch(['a']), options)).errorCode
      expect(await produce('t', { acks: 5 })).toBe(ErrorCode.INVALID_REQUIRED_ACKS)
      expect(await produce('__consumer_offsets', {})).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
      client.topicIds.set('t', id.replace(/^./, (first) => (first === 'A' ? 'B' : 'A')) as typeof id)
      expect(await produce('t', { version: 13 })).toBe(ErrorCode.UNKNOWN_TOPIC_ID)
      expect(checks.startedCount).toBe(0)
      expect((await client.listOffset('t', -1)).offset).toBe(0)
      expect((await client.listOffset('__consumer_offsets', -1)).offset).toBe(0)
    })
  })

  it('beside others in its request is not stored in an internal topic', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t', 1, compacted)
      await client.createTopic('__consumer_offsets', 1, compacted)
      const topicData = ['__consumer_offsets', 't'].map((name) =>
        createTopicProduceData({
          name,
          partitionData: [createPartitionProduceData({ index: 0, records: heavyBatch(['a']) })],
        }),
      )
      const request = createProduceRequest({ acks: -1, timeoutMs: 1000, topicData })
      const { responses } = await client.call(produceApi, 12, request)
      const codes = responses.map(({ partitionResponses }) => partitionResponses[0]?.errorCode)
      expect(codes).toEqual([ErrorCode.INVALID_TOPIC_EXCEPTION, ErrorCode.NONE])
      expect((await client.listOffset('__consumer_offsets', -1)).offset).toBe(0)
    })
  })

  it('whose topic, named by its id, goes meanwhile is told so', async () => {
    const checks = new HeldChecks()
    await TestBroker.run({ batchChecks: checks }, async (client, broker) => {
      await client.createTopic('t', 1, compacted)
      const heavy = client.produce('t', heavyBatch(['a']), { version: 13 })
      await broker.idle()
      expect(await broker.connect().deleteTopic('t')).toBe(0)
      checks.release()
      expect((await heavy).errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_ID)
    })
  })

  it('without acknowledgement is stored, with all of its request, though its client went meanwhile', async () => {
    const checks = new HeldChecks()
    await TestBroker.run({ batchChecks: checks }, async (client, broker) => {
      await client.createTopic('t', 2, compacted)
      const partitionData = [0, 1].map((index) => createPartitionProduceData({ index, records: heavyBatch(['a']) }))
      const topicData = [createTopicProduceData({ name: 't', partitionData })]
      const gone = broker.connect()
      gone.post(produceApi, 12, createProduceRequest({ acks: 0, timeoutMs: 1000, topicData }))
      await broker.idle()
      gone.socket.close()
      await broker.idle()
      checks.release()
      await broker.idle()
      checks.release()
      await broker.idle()
      expect((await client.listOffset('t', -1)).offset).toBe(2)
      expect((await client.listOffset('t', -1, { partition: 1 })).offset).toBe(2)
    })
  })

  it('that is refused without acknowledgement ends the connection after the answers to what came before', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('plain')
      await client.createTopic('t', 1, compacted)
      const synced = Promise.withResolvers<void>()
      broker.disk.settle = (operation) => (operation.startsWith('sync') ? synced.promise : Promise.resolve())
      const before = client.produce('plain', batchOf(['a']))
      const keyless = new BatchBuilder({ codec: CodecId.LZ4 })
      keyless.append(START_MS, null, incompressible(40_000))
      client.post(produceApi, 12, client.produceRequest('t', Buffer.from(keyless.build()), { acks: 0 }))
      client.post(produceApi, 12, client.produceRequest('plain', batchOf(['never']), { acks: 0 }))
      await broker.advance(1000)
      expect(client.socket.isClosed).toBe(false)
      broker.disk.settle = () => Promise.resolve()
      synced.resolve()
      expect(await before).toMatchObject({ errorCode: 0, baseOffset: 0 })
      await broker.advance(1000)
      expect(client.socket.isClosed).toBe(true)
      expect(valuesIn((await broker.connect().fetchFrom('plain', 0)).records)).toEqual(['a'])
    })
  })

  it('is refused as not stored while as many wait as may, and stored when it comes again', async () => {
    const checks = new HeldChecks()
    const settings = { 'queued.max.check.bytes': '30000' }
    await TestBroker.run({ batchChecks: checks, settings }, async (client, broker) => {
      await client.createTopic('t', 1, compacted)
      const first = client.produce('t', heavyBatch(['a']))
      await broker.idle()
      const other = broker.connect()
      expect((await other.produce('t', heavyBatch(['b']))).errorCode).toBe(ErrorCode.REQUEST_TIMED_OUT)
      expect((await other.produce('t', batchOf([{ key: 'k', value: 'small' }]))).baseOffset).toBe(0)
      const silent = broker.connect()
      silent.post(produceApi, 12, silent.produceRequest('t', heavyBatch(['c']), { acks: 0 }))
      await broker.idle()
      expect([silent.socket.isClosed, checks.startedCount]).toEqual([true, 1])
      expect(await metricOf(broker, WAITING)).toBeGreaterThan(20_000)
      checks.release()
      expect(await first).toMatchObject({ errorCode: 0, baseOffset: 1 })
      const again = other.produce('t', heavyBatch(['b']))
      await broker.idle()
      checks.release()
      expect(await again).toMatchObject({ errorCode: 0, baseOffset: 3 })
      expect([await metricOf(broker, WAITING), await metricOf(broker, FAILED)]).toEqual([0, 2])
    })
  })

  it('larger than what may wait is checked alone', async () => {
    await TestBroker.run({ settings: { 'queued.max.check.bytes': '0' } }, async (client, broker) => {
      await client.createTopic('t', 1, compacted)
      expect(await client.produce('t', heavyBatch(['a']))).toMatchObject({ errorCode: 0, baseOffset: 0 })
      expect(await client.produce('t', heavyBatch(['b']))).toMatchObject({ errorCode: 0, baseOffset: 2 })
      expect(await metricOf(broker, WAITING)).toBe(0)
    })
  })

  it('holds nothing any more once its client is gone', async () => {
    const checks = new HeldChecks()
    await TestBroker.run({ batchChecks: checks }, async (client, broker) => {
      await client.createTopic('t', 2, compacted)
      const partitionData = [0, 1].map((index) => createPartitionProduceData({ index, records: heavyBatch(['a']) }))
      const topicData = [createTopicProduceData({ name: 't', partitionData })]
      const gone = broker.connect()
      gone.post(produceApi, 12, createProduceRequest({ acks: 1, timeoutMs: 1000, topicData }))
      await broker.idle()
      gone.socket.close()
      await broker.idle()
      expect(await metricOf(broker, WAITING)).toBeGreaterThan(40_000)
      checks.release()
      await broker.idle()
      expect([await metricOf(broker, WAITING), checks.startedCount]).toEqual([0, 1])
    })
  })

  it('whose check breaks off costs the connection, and nothing is held', async () => {
    const checks: BatchChecks = { check: () => Promise.reject(new Error('no thread')), close: () => undefined }
    const broker = await TestBroker.start({ batchChecks: checks })
    const client = broker.connect()
    await client.createTopic('t', 1, compacted)
    await expect(client.produce('t', heavyBatch(['a']))).rejects.toThrow('connection closed')
    expect(broker.logger.messages('error')).toEqual(['request failed'])
    expect(await metricOf(broker, WAITING)).toBe(0)
    expect((await broker.connect().listOffset('t', -1)).offset).toBe(0)
    await broker.stop()
    expect(broker.fatalErrors).toEqual([])
  })

  it('shares its request with others, each with an answer of its own', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t', 1, compacted)
      await client.createTopic('plain', 2)
      const entry = (name: string, index: number, records: Buffer | null) =>
        createTopicProduceData({ name, partitionData: [createPartitionProduceData({ index, records })] })
      const topicData = [
        entry('plain', 0, heavyBatch(['a'])),
        entry('t', 0, heavyBatch(['b'])),
        entry('plain', 1, null),
        entry('gone', 0, heavyBatch(['c'])),
      ]
      const request = createProduceRequest({ acks: -1, timeoutMs: 1000, topicData })
      const { responses } = await client.call(produceApi, 12, request)
      const codes = responses.flatMap(({ name, partitionResponses }) =>
        partitionResponses.map(({ index, errorCode }) => [name, index, errorCode]),
      )
      expect(codes).toEqual([
        ['plain', 0, ErrorCode.NONE],
        ['t', 0, ErrorCode.NONE],
        ['plain', 1, ErrorCode.INVALID_RECORD],
        ['gone', 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
      ])
    })
  })
})
