import {
  ApiKey,
  ErrorCode,
  type MetadataResponse,
  type ProduceRequest,
  type ProduceResponse,
  partitionForKey,
  RecordReader,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { RecordTooLargeError, TimeoutError } from '../errors/client-errors.ts'
import { FakeCluster } from '../testing/fake-cluster.ts'
import type { FakePartition } from '../testing/fake-partition.ts'
import { refusedProduce } from '../testing/refused-produce.ts'
import { PartialDeliveryError } from './delivery.ts'
import { Producer } from './producer.ts'
import type { ProducerOptions } from './producer-options.ts'

function producerOf(cluster: FakeCluster, options: Partial<ProducerOptions> = {}): Producer {
  return new Producer({ ...cluster.clientOptions, ...options })
}

function recordsOf(partition: FakePartition) {
  const records: { key: string | null; value: string | null; timestamp: number; headers: [string, string | null][] }[] =
    []
  const reader = new RecordReader()
  for (const { bytes } of partition.batches) {
    reader.open(bytes, 0)
    while (reader.next()) {
      records.push({
        key: reader.key()?.toString() ?? null,
        value: reader.value()?.toString() ?? null,
        timestamp: reader.timestamp,
        headers: reader.headers().map(({ key, value }) => [key, value?.toString() ?? null]),
      })
    }
  }
  return records
}

function valuesOf(partition: FakePartition): (string | null)[] {
  return recordsOf(partition).map(({ value }) => value)
}

describe('what a producer stores', () => {
  test('keys, values, headers, timestamps and tombstones arrive as given', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    const producer = producerOf(cluster)
    const sends = [
      producer.send({ topic: 't', key: 'k', value: 'v', timestamp: 1234, headers: { a: 'b', c: ['d', null] } }),
      producer.send({ topic: 't', key: Buffer.from('k2'), value: null }),
      producer.send({
        topic: 't',
        value: new Uint8Array([104, 105]),
        headers: [
          ['x', 'y'],
          ['x', 'z'],
        ],
      }),
    ]
    const stored = await cluster.world.run(Promise.all(sends))
    expect(stored.map(({ offset }) => offset)).toEqual([0n, 1n, 2n])
    expect(stored[0]!.timestamp).toBe(1234)
    const nowMs = cluster.world.clock.wallMs()
    expect(recordsOf(partition)).toEqual([
      {
        key: 'k',
        value: 'v',
        timestamp: 1234,
        headers: [
          ['a', 'b'],
          ['c', 'd'],
          ['c', null],
        ],
      },
      { key: 'k2', value: null, timestamp: nowMs, headers: [] },
      {
        key: null,
        value: 'hi',
        timestamp: nowMs,
        headers: [
          ['x', 'y'],
          ['x', 'z'],
        ],
      },
    ])
    await cluster.world.run(producer.close())
  })

  test.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)(
    'a batch compressed with %s can be read back',
    async (compressionType) => {
      const cluster = new FakeCluster()
      const partition = cluster.createTopic('t').partitions[0]!
      const producer = producerOf(cluster, { compressionType })
      const values = Array.from({ length: 300 }, (_, number) => `value number ${number}`)
      await cluster.world.run(producer.sendMany(values.map((value) => ({ topic: 't', value }))))
      expect(valuesOf(partition)).toEqual(values)
      expect(partition.batches[0]!.bytes.length).toBeLessThan(values.join('').length)
      await cluster.world.run(producer.close())
    },
  )

  test('keys go where the Java client sends them', async () => {
    const cluster = new FakeCluster()
    const { partitions } = cluster.createTopic('t', 7)
    const producer = producerOf(cluster)
    const keys = Array.from({ length: 100 }, (_, number) => `key-${number}`)
    await cluster.world.run(producer.sendMany(keys.map((key) => ({ topic: 't', key, value: '' }))))
    for (const [number, partition] of partitions.entries()) {
      for (const { key } of recordsOf(partition)) expect(partitionForKey(Buffer.from(key!), 7)).toBe(number)
    }
    await cluster.world.run(producer.close())
  })

  test('records without a key stay on a partition for about a batch and use all of them in the long run', async () => {
    const cluster = new FakeCluster()
    const { partitions } = cluster.createTopic('t', 4)
    const producer = producerOf(cluster, { batchSize: 1000 })
    const records = Array.from({ length: 400 }, () => ({ topic: 't', value: 'x'.repeat(70) }))
    await cluster.world.run(producer.sendMany(records))
    for (const partition of partitions) expect(partition.endOffset).toBeGreaterThan(20)
    expect(partitions.flatMap(({ batches }) => batches).length).toBeLessThan(80)
    await cluster.world.run(producer.close())
  })

  test('a partitioner of the application decides, and one that names no partition fails its record', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t', 3)
    const producer = producerOf(cluster, { partitioner: (_topic, key) => Number(key!.toString()) })
    const stored = await cluster.world.run(producer.send({ topic: 't', key: '2', value: '' }))
    expect(stored.partition).toBe(2)
    await expect(cluster.world.run(producer.send({ topic: 't', key: '3', value: '' }))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
    await cluster.world.run(producer.close())
  })
})

describe('how a producer batches', () => {
  test('records sent in one turn travel in one request', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const producer = producerOf(cluster)
    await cluster.world.run(producer.send({ topic: 't', value: 'first' }))
    await cluster.world.run(
      Promise.all(Array.from({ length: 100 }, (_, n) => producer.send({ topic: 't', value: `${n}` }))),
    )
    expect(cluster.requests(ApiKey.PRODUCE)).toHaveLength(2)
    await cluster.world.run(producer.close())
  })

  test('lingerMs holds a batch back until it is full or the time is over', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const producer = producerOf(cluster, { lingerMs: 100, batchSize: 1000 })
    await cluster.world.run(producer.partitionCount('t'))
    const sent = producer.send({ topic: 't', value: 'a' })
    await cluster.world.pass(90)
    expect(cluster.requests(ApiKey.PRODUCE)).toHaveLength(0)
    await cluster.world.pass(20)
    await cluster.world.run(sent)
    void producer.send({ topic: 't', value: 'x'.repeat(990) })
    await cluster.world.pass(10)
    expect(cluster.requests(ApiKey.PRODUCE)).toHaveLength(2)
    await cluster.world.run(producer.close())
  })

  test('flush does not wait for lingerMs and resolves when everything is stored', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    const producer = producerOf(cluster, { lingerMs: 60_000 })
    const sent = producer.send({ topic: 't', value: 'a' })
    const startMs = cluster.world.clock.monotonicMs()
    await cluster.world.run(producer.flush())
    expect(cluster.world.clock.monotonicMs() - startMs).toBeLessThan(1000)
    expect(valuesOf(partition)).toEqual(['a'])
    await sent
    await cluster.world.run(producer.close())
  })

  test('a request holds one batch of each partition at most and no more than maxRequestSize', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t', 8)
    const producer = producerOf(cluster, { batchSize: 1000, maxRequestSize: 2500 })
    const records = Array.from({ length: 200 }, (_, n) => ({ topic: 't', partition: n % 8, value: 'x'.repeat(200) }))
    await cluster.world.run(producer.sendMany(records))
    for (const { body } of cluster.requests<ProduceRequest>(ApiKey.PRODUCE)) {
      const sizes = body.topicData.flatMap(({ partitionData }) =>
        partitionData.map(({ records: batch }) => batch!.length),
      )
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(2500)
      const indexes = body.topicData.flatMap(({ partitionData }) => partitionData.map(({ index }) => index))
      expect(new Set(indexes).size).toBe(indexes.length)
    }
    await cluster.world.run(producer.close())
  })

  test('a full buffer makes send wait, post refuse, and both go on when records are stored', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    const producer = producerOf(cluster, { bufferMemory: 4000, batchSize: 1000, maxRequestSize: 2000 })
    await cluster.world.run(producer.ready('t'))
    let taken = 0
    while (producer.post({ topic: 't', value: 'x'.repeat(100) })) taken++
    expect(taken).toBeGreaterThan(10)
    const late = producer.send({ topic: 't', value: 'late' })
    await cluster.world.run(producer.ready('t'))
    await cluster.world.run(late)
    expect(valuesOf(partition)).toHaveLength(taken + 1)
    expect(valuesOf(partition).at(-1)).toBe('late')
    await cluster.world.run(producer.close())
  })

  test('records wait for their topic in the order they were sent', async () => {
    const cluster = new FakeCluster()
    cluster.autoCreatePartitions = 0
    const producer = producerOf(cluster)
    const sends = Array.from({ length: 20 }, (_, n) => producer.send({ topic: 'late', value: `${n}` }))
    await cluster.world.pass(1000)
    const partition = cluster.createTopic('late').partitions[0]!
    await cluster.world.run(Promise.all(sends))
    expect(valuesOf(partition)).toEqual(Array.from({ length: 20 }, (_, n) => `${n}`))
    await cluster.world.run(producer.close())
  })

  test('a topic that never comes fails all its records when maxBlockMs is over', async () => {
    const cluster = new FakeCluster()
    cluster.autoCreatePartitions = 0
    const producer = producerOf(cluster, { maxBlockMs: 2000 })
    const startMs = cluster.world.clock.monotonicMs()
    const results = await cluster.world.run(
      Promise.allSettled(Array.from({ length: 50 }, () => producer.send({ topic: 'none', value: '' }))),
    )
    for (const result of results) expect(result).toMatchObject({ status: 'rejected', reason: { code: 'TIMEOUT' } })
    expect(cluster.world.clock.monotonicMs() - startMs).toBeLessThan(6000)
    await cluster.world.run(producer.close())
  })
})

describe('what a producer does about failures', () => {
  test('a record that can never be sent is refused at once', async () => {
    const cluster = new FakeCluster()
    const producer = producerOf(cluster, { maxRequestSize: 1000 })
    await expect(producer.send({ topic: 't', value: 'x'.repeat(1000) })).rejects.toThrow(RecordTooLargeError)
    await cluster.world.run(producer.close())
  })

  test('it follows a partition to its new leader', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    const partition = cluster.createTopic('t').partitions[0]!
    const producer = producerOf(cluster)
    await cluster.world.run(producer.send({ topic: 't', value: 'a' }))
    partition.moveTo(2)
    await cluster.world.run(producer.send({ topic: 't', value: 'b' }))
    expect(valuesOf(partition)).toEqual(['a', 'b'])
    await cluster.world.run(producer.close())
  })

  test('a leader named in the answer is asked without a pause', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    const partition = cluster.createTopic('t').partitions[0]!
    const producer = producerOf(cluster, { retryBackoffMs: 5000, retryBackoffMaxMs: 5000 })
    await cluster.world.run(producer.send({ topic: 't', value: 'a' }))
    partition.moveTo(2)
    cluster.intercept(ApiKey.PRODUCE, (request) =>
      request.nodeId === 2
        ? null
        : refusedProduce(request, ErrorCode.NOT_LEADER_OR_FOLLOWER, {
            currentLeader: { leaderId: 2, leaderEpoch: 1, unknownTaggedFields: null },
          }),
    )
    const startMs = cluster.world.clock.monotonicMs()
    await cluster.world.run(producer.send({ topic: 't', value: 'b' }))
    expect(cluster.world.clock.monotonicMs() - startMs).toBeLessThan(1000)
    await cluster.world.run(producer.close())
  })

  test('an answer that got lost does not store a record twice', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    const producer = producerOf(cluster)
    let lose = true
    cluster.intercept(ApiKey.PRODUCE, (request) => {
      if (!lose) return null
      lose = false
      cluster.answer(request)
      return 'break'
    })
    const stored = await cluster.world.run(producer.send({ topic: 't', value: 'once' }))
    expect(stored.offset).toBe(0n)
    expect(valuesOf(partition)).toEqual(['once'])
    expect(cluster.requests(ApiKey.PRODUCE)).toHaveLength(2)
    await cluster.world.run(producer.close())
  })

  test('nor when the new leader remembers only the last of several batches whose answers got lost', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    const partition = cluster.createTopic('t').partitions[0]!
    const producer = producerOf(cluster, { retryBackoffMs: 10 })
    let lost = 0
    cluster.intercept(ApiKey.PRODUCE, async (request) => {
      if (lost >= 3) return null
      await cluster.answer(request)
      if (++lost < 3) return 'drop'
      partition.restoreAt(2)
      return 'break'
    })
    const sends: Promise<{ offset: bigint }>[] = []
    for (let number = 0; number < 3; number++) {
      sends.push(producer.send({ topic: 't', partition: 0, value: String(number) }))
      await cluster.world.pass(20)
    }
    const stored = await cluster.world.run(Promise.all(sends))
    expect(stored.map(({ offset }) => offset)).toEqual([-1n, -1n, 2n])
    expect(valuesOf(partition)).toEqual(['0', '1', '2'])
    await cluster.world.run(producer.close())
  })

  test('records that cannot be delivered fail when deliveryTimeoutMs is over, and the producer goes on', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    const producer = producerOf(cluster, { deliveryTimeoutMs: 3000, requestTimeoutMs: 1000 })
    let refusing = true
    cluster.intercept(ApiKey.PRODUCE, (request) =>
      refusing ? refusedProduce(request, ErrorCode.NOT_ENOUGH_REPLICAS) : null,
    )
    const error = await cluster.world.run(producer.send({ topic: 't', value: 'a' }).catch((reason: unknown) => reason))
    expect(error).toBeInstanceOf(TimeoutError)
    expect((error as TimeoutError).cause).toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' })
    refusing = false
    await cluster.world.run(producer.send({ topic: 't', value: 'b' }))
    expect(valuesOf(partition)).toEqual(['b'])
    await cluster.world.run(producer.close())
  })

  test('an error that trying again cannot mend rejects at once and does not stop later records', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    const producer = producerOf(cluster)
    let refusing = true
    cluster.intercept(ApiKey.PRODUCE, (request) =>
      refusing ? refusedProduce(request, ErrorCode.INVALID_TIMESTAMP) : null,
    )
    await expect(cluster.world.run(producer.send({ topic: 't', value: 'a' }))).rejects.toMatchObject({
      code: 'INVALID_TIMESTAMP',
      retriable: false,
      topic: 't',
      partition: 0,
    })
    refusing = false
    const stored = await cluster.world.run(producer.sendMany(['b', 'c'].map((value) => ({ topic: 't', value }))))
    expect(stored.map(({ offset }) => offset)).toEqual([0n, 1n])
    expect(valuesOf(partition)).toEqual(['b', 'c'])
    await cluster.world.run(producer.close())
  })

  test('sendMany tells which records were stored when others were refused', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t', 2)
    const producer = producerOf(cluster)
    cluster.intercept(ApiKey.PRODUCE, async (request) => {
      const answer = (await cluster.answer(request)) as ProduceResponse
      for (const topic of answer.responses) {
        for (const partition of topic.partitionResponses)
          if (partition.index === 1) partition.errorCode = ErrorCode.INVALID_RECORD
      }
      return answer
    })
    const records = [0, 1, 0].map((partition) => ({ topic: 't', partition, value: 'v' }))
    const error = await cluster.world.run(producer.sendMany(records).catch((reason: unknown) => reason))
    expect(error).toBeInstanceOf(PartialDeliveryError)
    const { delivered, errors } = error as PartialDeliveryError
    expect(delivered.map((metadata) => metadata?.offset ?? null)).toEqual([0n, null, 1n])
    expect(errors).toMatchObject([{ code: 'INVALID_RECORD', partition: 1 }])
    await cluster.world.run(producer.close())
  })

  test('a batch that is too large for the broker is halved until it fits, in order', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    partition.maxMessageBytes = 300
    const producer = producerOf(cluster)
    const values = Array.from({ length: 40 }, (_, n) => `value-${String(n).padStart(20, '0')}`)
    const stored = await cluster.world.run(producer.sendMany(values.map((value) => ({ topic: 't', value }))))
    expect(valuesOf(partition)).toEqual(values)
    expect(stored.map(({ offset }) => Number(offset))).toEqual(values.map((_, n) => n))
    await cluster.world.run(producer.close())
  })

  test('acks 0 resolves without an answer and knows no offset', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    const producer = producerOf(cluster, { acks: 0 })
    const stored = await cluster.world.run(producer.sendMany(['a', 'b'].map((value) => ({ topic: 't', value }))))
    expect(stored.map(({ offset }) => offset)).toEqual([-1n, -1n])
    await cluster.world.settle()
    expect(valuesOf(partition)).toEqual(['a', 'b'])
    await cluster.world.run(producer.close())
  })

  test('posted records that fail are told to onDeliveryError', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const failures: unknown[] = []
    const producer = producerOf(cluster, {
      onDeliveryError: (error, topic, partition, recordCount) =>
        failures.push([(error as Error).name, topic, partition, recordCount]),
    })
    cluster.intercept(ApiKey.PRODUCE, (request) => refusedProduce(request, ErrorCode.TOPIC_AUTHORIZATION_FAILED))
    await cluster.world.run(producer.ready('t'))
    for (let n = 0; n < 3; n++) producer.post({ topic: 't', value: '' })
    await cluster.world.run(producer.flush())
    expect(failures).toEqual([['ProtocolError', 't', 0, 3]])
    await cluster.world.run(producer.close())
  })

  test('an attempt that is made again is told to onRetry', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    const retried: unknown[] = []
    const producer = producerOf(cluster, { onRetry: (error) => retried.push((error as { code: string }).code) })
    let requestCount = 0
    cluster.intercept(ApiKey.PRODUCE, (request) =>
      requestCount++ === 0 ? refusedProduce(request, ErrorCode.NOT_ENOUGH_REPLICAS) : null,
    )
    await cluster.world.run(producer.send({ topic: 't', value: 'a' }))
    expect(retried).toEqual(['NOT_ENOUGH_REPLICAS'])
    expect(valuesOf(partition)).toEqual(['a'])
    await cluster.world.run(producer.close())
  })

  test('a cluster that gives no producer id fails every record with the reason', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const producer = producerOf(cluster)
    cluster.intercept(ApiKey.INIT_PRODUCER_ID, () => ({
      throttleTimeMs: 0,
      errorCode: ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
      producerId: -1,
      producerEpoch: -1,
      ongoingTxnProducerId: -1,
      ongoingTxnProducerEpoch: -1,
      unknownTaggedFields: null,
    }))
    const results = await cluster.world.run(
      Promise.allSettled([1, 2].map(() => producer.send({ topic: 't', value: '' }))),
    )
    for (const result of results) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'CLUSTER_AUTHORIZATION_FAILED' } })
    }
    await cluster.world.run(producer.close())
  })

  test('close delivers what is buffered, refuses what comes later and leaves no timer', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    const producer = producerOf(cluster, { lingerMs: 60_000 })
    const sent = producer.send({ topic: 't', value: 'a' })
    await cluster.world.run(producer.close())
    await sent
    expect(valuesOf(partition)).toEqual(['a'])
    await expect(producer.send({ topic: 't', value: 'b' })).rejects.toMatchObject({ code: 'CLIENT_CLOSED' })
    expect(cluster.world.clientTimerCount).toBe(0)
  })

  test('close gives up at its limit and fails what is left', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const producer = producerOf(cluster)
    cluster.intercept(ApiKey.PRODUCE, () => 'drop')
    const sent = producer.send({ topic: 't', value: 'a' }).catch((reason: unknown) => reason)
    await cluster.world.run(producer.close({ timeoutMs: 500 }))
    expect(await sent).toMatchObject({ code: 'CLIENT_CLOSED' })
    expect(cluster.world.clientTimerCount).toBe(0)
  })

  test('records that wait for memory when it closes are refused like the others', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const producer = producerOf(cluster, { bufferMemory: 1000, batchSize: 500, maxRequestSize: 1000 })
    await cluster.world.run(producer.partitionCount('t'))
    cluster.intercept(ApiKey.PRODUCE, () => 'drop')
    const sends = Array.from({ length: 20 }, () =>
      producer.send({ topic: 't', value: 'x'.repeat(300) }).catch((reason: unknown) => reason),
    )
    await cluster.world.run(producer.close({ timeoutMs: 500 }))
    for (const reason of await cluster.world.run(Promise.all(sends))) {
      expect(reason).toMatchObject({ code: 'CLIENT_CLOSED' })
    }
  })

  test('a record that cannot be written is refused alone, also by the batch that it would have joined', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    const producer = producerOf(cluster)
    await cluster.world.run(producer.partitionCount('t'))
    const sends = [
      producer.send({ topic: 't', value: 'a' }),
      producer.send({ topic: 't', value: '', timestamp: Number.NaN }),
      producer.send({ topic: 't', value: '', timestamp: 1.5 }),
      producer.send({ topic: 't', value: '', timestamp: -2 }),
      producer.send({ topic: '', value: '' }),
      producer.send({ value: '' } as never),
      producer.send({ topic: 't', value: 'b' }),
    ]
    const results = await cluster.world.run(Promise.allSettled(sends))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', ...Array(5).fill('rejected'), 'fulfilled'])
    for (const result of results.slice(1, -1)) expect(result).toMatchObject({ reason: { code: 'INVALID_ARGUMENT' } })
    expect(valuesOf(partition)).toEqual(['a', 'b'])
    await cluster.world.run(producer.close())
  })

  test('a broker whose address cannot even be tried fails its own records only', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    cluster.createTopic('t', 2)
    cluster.network.impossible.add(9002)
    const producer = producerOf(cluster, { deliveryTimeoutMs: 2000, requestTimeoutMs: 1000 })
    const lost = producer.send({ topic: 't', partition: 1, value: '' }).catch((reason: unknown) => reason)
    expect(await cluster.world.run(lost)).toBeInstanceOf(TimeoutError)
    const stored = await cluster.world.run(producer.send({ topic: 't', partition: 0, value: '' }))
    expect(stored.offset).toBe(0n)
    await cluster.world.run(producer.close())
  })

  test('a batch behind one that was given up in flight fails at its own limit', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const producer = producerOf(cluster, { requestTimeoutMs: 10_000, deliveryTimeoutMs: 10_000 })
    const { clock } = cluster.world
    await cluster.world.run(producer.partitionCount('t'))
    const startMs = clock.monotonicMs()
    cluster.intercept(ApiKey.PRODUCE, (request) =>
      clock.monotonicMs() - startMs < 8000 ? refusedProduce(request, ErrorCode.NOT_ENOUGH_REPLICAS) : 'drop',
    )
    const failedAtMs = async () => {
      await producer.send({ topic: 't', value: '' }).catch(() => undefined)
      return clock.monotonicMs() - startMs
    }
    const first = failedAtMs()
    await cluster.world.pass(5000)
    const second = failedAtMs()
    expect(await cluster.world.run(first)).toBeCloseTo(10_000, -2)
    expect(await cluster.world.run(second)).toBeCloseTo(15_000, -2)
    await cluster.world.run(producer.close())
  })

  test('with acks 0 no more is handed to the network than it takes', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    const producer = producerOf(cluster, { acks: 0, bufferMemory: 4000, batchSize: 1000, maxRequestSize: 2000 })
    await cluster.world.run(producer.ready('t'))
    cluster.network.isStalled = true
    let taken = 0
    for (let turn = 0; turn < 50; turn++) {
      while (producer.post({ topic: 't', value: 'x'.repeat(100) })) taken++
      await cluster.world.settle()
    }
    expect(taken).toBeGreaterThan(20)
    expect(cluster.network.keptBytes).toBeLessThan(6000)
    cluster.network.resume()
    await cluster.world.run(producer.flush())
    await cluster.world.settle()
    expect(valuesOf(partition)).toHaveLength(taken)
    await cluster.world.run(producer.close())
  })

  test('who waits for memory does not wait for lingerMs', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const producer = producerOf(cluster, {
      lingerMs: 50_000,
      bufferMemory: 1000,
      batchSize: 900,
      maxRequestSize: 900,
    })
    await cluster.world.run(producer.partitionCount('t'))
    const sent = producer.send({ topic: 't', value: 'x'.repeat(300) })
    await cluster.world.pass(100)
    const startMs = cluster.world.clock.monotonicMs()
    await cluster.world.run(producer.ready('t'))
    expect(cluster.world.clock.monotonicMs() - startMs).toBeLessThan(1000)
    await cluster.world.run(sent)
    await cluster.world.run(producer.close())
  })

  test('one answer refuses all records that wait for a topic which may not be used', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const producer = producerOf(cluster)
    cluster.intercept(ApiKey.METADATA, async (request) => {
      const answer = (await cluster.answer(request)) as MetadataResponse
      for (const topic of answer.topics) topic.errorCode = ErrorCode.TOPIC_AUTHORIZATION_FAILED
      return answer
    })
    const sends = Array.from({ length: 50 }, () => producer.send({ topic: 't', value: '' }))
    const results = await cluster.world.run(Promise.allSettled(sends))
    for (const result of results) expect(result).toMatchObject({ reason: { code: 'TOPIC_AUTHORIZATION_FAILED' } })
    expect(cluster.requests(ApiKey.METADATA).length).toBeLessThan(5)
    await cluster.world.run(producer.close())
  })
})
