import {
  ApiKey,
  BatchBuilder,
  CodecId,
  createAbortedTransaction,
  createFetchableTopicResponse,
  createFetchResponse,
  createFetchResponsePartitionData,
  createOffsetFetchResponse,
  createOffsetFetchResponseGroup,
  ErrorCode,
  type FetchRequest,
  type ListOffsetsResponse,
  type MetadataResponse,
  type OffsetCommitRequest,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { FakeCluster } from '../testing/fake-cluster.ts'
import { refusedCommit } from '../testing/fake-group.ts'
import { endTransaction, fill, fillTransaction, numbered } from '../testing/fake-records.ts'
import { Consumer } from './consumer.ts'
import type { ConsumerOptions } from './consumer-options.ts'
import type { ConsumerBatch } from './consumer-record.ts'

function consumerOf(cluster: FakeCluster, options: Partial<ConsumerOptions> = {}): Consumer {
  return new Consumer({ ...cluster.clientOptions, autoOffsetReset: 'earliest', ...options })
}

function valuesOf(batches: readonly ConsumerBatch[]): string[] {
  return batches.flatMap(({ records }) => records.map(({ value }) => value!.toString()))
}

/** Polls until that many records came. */
async function read(cluster: FakeCluster, consumer: Consumer, count: number): Promise<string[]> {
  const values: string[] = []
  while (values.length < count) values.push(...valuesOf(await cluster.world.run(consumer.poll())))
  return values
}

const PLACE = { topic: 't', partition: 0 }

describe('reading assigned partitions', () => {
  test('records come in order with offset, key, value, headers and timestamp', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(25))
    const consumer = consumerOf(cluster)
    consumer.assign([PLACE])
    const batches: ConsumerBatch[] = []
    while (batches.reduce((sum, { records }) => sum + records.length, 0) < 25) {
      batches.push(...(await cluster.world.run(consumer.poll({ maxRecords: 10 }))))
    }
    expect(valuesOf(batches)).toEqual(numbered(25))
    const last = batches.at(-1)!
    expect(last.records.at(-1)).toMatchObject({
      topic: 't',
      partition: 0,
      offset: 24n,
      timestamp: 24_000,
      key: null,
      headers: [],
    })
    expect(last).toMatchObject({ nextOffset: 25n, highWatermark: 25n, logStartOffset: 0n })
    expect(consumer.lag()).toEqual([{ ...PLACE, lag: 0n }])
    await cluster.world.run(consumer.close())
  })

  test('a fetch that begins inside a batch does not hand out the records before', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(20), 20)
    const consumer = consumerOf(cluster)
    consumer.assign([{ ...PLACE, start: 13n }])
    expect(await read(cluster, consumer, 7)).toEqual(numbered(7, 13))
    await cluster.world.run(consumer.close())
  })

  test.each([
    ['earliest' as const, 0],
    [{ timestamp: 12_000 } as const, 10],
    [15, 15],
  ])('assign can begin at %j', async (start, first) => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(20))
    const consumer = consumerOf(cluster, { autoOffsetReset: 'none' })
    consumer.assign([{ ...PLACE, start }])
    expect((await read(cluster, consumer, 1))[0]).toBe(`v${first}`)
    await cluster.world.run(consumer.close())
  })

  test('latest hands out only what comes afterwards', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    fill(partition, numbered(5))
    const consumer = consumerOf(cluster, { autoOffsetReset: 'latest' })
    consumer.assign([PLACE])
    expect(await cluster.world.run(consumer.poll({ timeoutMs: 2000 }))).toEqual([])
    fill(partition, ['new'])
    expect(await read(cluster, consumer, 1)).toEqual(['new'])
    await cluster.world.run(consumer.close())
  })

  test('a poll ends at its time limit, and at once with 0', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const consumer = consumerOf(cluster)
    consumer.assign([PLACE])
    const startMs = cluster.world.clock.monotonicMs()
    expect(await cluster.world.run(consumer.poll({ timeoutMs: 0 }))).toEqual([])
    expect(cluster.world.clock.monotonicMs()).toBe(startMs)
    expect(await cluster.world.run(consumer.poll({ timeoutMs: 700 }))).toEqual([])
    expect(cluster.world.clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(700)
    await cluster.world.run(consumer.close())
  })

  test('an aborted signal ends a poll, a closing consumer too', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const consumer = consumerOf(cluster)
    consumer.assign([PLACE])
    const abort = new AbortController()
    const polled = consumer.poll({ signal: abort.signal })
    await cluster.world.pass(100)
    abort.abort()
    expect(await cluster.world.run(polled)).toEqual([])
    const second = consumer.poll()
    await cluster.world.pass(100)
    const closed = consumer.close()
    expect(await cluster.world.run(second)).toEqual([])
    await cluster.world.run(closed)
    expect(cluster.world.clientTimerCount).toBe(0)
  })

  test('only one poll may wait at a time', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const consumer = consumerOf(cluster)
    consumer.assign([PLACE])
    const first = consumer.poll({ timeoutMs: 100 })
    await expect(consumer.poll()).rejects.toMatchObject({ code: 'ILLEGAL_STATE' })
    await cluster.world.run(first)
    await cluster.world.run(consumer.close())
  })

  test('seeking throws away what was fetched before', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(50))
    const consumer = consumerOf(cluster, { maxPollRecords: 5 })
    consumer.assign([PLACE])
    expect(await read(cluster, consumer, 5)).toEqual(numbered(5))
    consumer.seek(PLACE, 30n)
    expect(await read(cluster, consumer, 5)).toEqual(numbered(5, 30))
    consumer.seekTo([PLACE], 'earliest')
    expect(await read(cluster, consumer, 5)).toEqual(numbered(5))
    consumer.seekTo([PLACE], { timestamp: 40_000 })
    expect(await read(cluster, consumer, 5)).toEqual(numbered(5, 40))
    expect(await consumer.position(PLACE)).toBe(45n)
    await cluster.world.run(consumer.close())
  })

  test('a paused partition hands out nothing and keeps its place, others go on', async () => {
    const cluster = new FakeCluster()
    const { partitions } = cluster.createTopic('t', 2)
    fill(partitions[0]!, numbered(10))
    fill(partitions[1]!, numbered(10, 100))
    const consumer = consumerOf(cluster)
    const other = { topic: 't', partition: 1 }
    consumer.assign([PLACE, other])
    consumer.pause([PLACE])
    expect(await read(cluster, consumer, 10)).toEqual(numbered(10, 100))
    expect(await cluster.world.run(consumer.poll({ timeoutMs: 1500 }))).toEqual([])
    expect(consumer.paused()).toEqual([PLACE])
    consumer.resume([PLACE])
    expect(await read(cluster, consumer, 10)).toEqual(numbered(10))
    await cluster.world.run(consumer.close())
  })

  test('a busy partition does not keep the others waiting', async () => {
    const cluster = new FakeCluster()
    const { partitions } = cluster.createTopic('t', 3)
    for (const [slot, partition] of partitions.entries()) fill(partition, numbered(slot === 0 ? 1000 : 10), 100)
    const consumer = consumerOf(cluster, { maxPollRecords: 10 })
    consumer.assign(partitions.map((_, partition) => ({ topic: 't', partition })))
    const seen: number[] = []
    while (new Set(seen).size < 3) {
      for (const { partition } of await cluster.world.run(consumer.poll())) seen.push(partition)
      expect(seen.length).toBeLessThan(8)
    }
    await cluster.world.run(consumer.close())
  })
})

describe('fetching', () => {
  test('a session sends only what changed', async () => {
    const cluster = new FakeCluster()
    const { partitions } = cluster.createTopic('t', 3)
    const consumer = consumerOf(cluster)
    consumer.assign(partitions.map((_, partition) => ({ topic: 't', partition })))
    await cluster.world.run(consumer.poll({ timeoutMs: 1200 }))
    fill(partitions[1]!, ['x'])
    await read(cluster, consumer, 1)
    await cluster.world.run(consumer.poll({ timeoutMs: 600 }))
    const requests = cluster.requests<FetchRequest>(ApiKey.FETCH).map(({ body }) => body)
    const sent = requests.map(({ topics }) =>
      topics.flatMap((topic) => topic.partitions.map(({ partition }) => partition)),
    )
    expect(sent[0]!.sort()).toEqual([0, 1, 2])
    expect(sent[1]).toEqual([])
    expect(sent.at(-1)).toEqual([])
    expect(sent.slice(1).flat()).toEqual([1])
    await cluster.world.run(consumer.close())
  })

  test('a session that the broker forgot begins anew without an error', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    const consumer = consumerOf(cluster)
    consumer.assign([PLACE])
    await cluster.world.run(consumer.poll({ timeoutMs: 600 }))
    let forget = true
    cluster.intercept(ApiKey.FETCH, () => {
      if (!forget) return null
      forget = false
      return createFetchResponse({ errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND })
    })
    fill(partition, numbered(3))
    expect(await read(cluster, consumer, 3)).toEqual(numbered(3))
    await cluster.world.run(consumer.close())
  })

  test('it follows a partition to its new leader', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    const partition = cluster.createTopic('t').partitions[0]!
    fill(partition, numbered(3))
    const consumer = consumerOf(cluster)
    consumer.assign([PLACE])
    expect(await read(cluster, consumer, 3)).toEqual(numbered(3))
    partition.moveTo(2)
    cluster.intercept(ApiKey.OFFSET_FOR_LEADER_EPOCH, ({ body }) => ({
      throttleTimeMs: 0,
      unknownTaggedFields: null,
      topics: (body as { topics: { topic: string }[] }).topics.map(({ topic }) => ({
        topic,
        unknownTaggedFields: null,
        partitions: [{ errorCode: 0, partition: 0, leaderEpoch: 0, endOffset: 3, unknownTaggedFields: null }],
      })),
    }))
    fill(partition, numbered(3, 3))
    expect(await read(cluster, consumer, 3)).toEqual(numbered(3, 3))
    await cluster.world.run(consumer.close())
  })

  test('what was fetched ahead stays within its budget', async () => {
    const cluster = new FakeCluster()
    fill(
      cluster.createTopic('t').partitions[0]!,
      Array.from({ length: 200 }, () => 'x'.repeat(1000)),
      1,
    )
    const consumer = consumerOf(cluster, { maxBufferedBytes: 20_000, fetchMaxBytes: 10_000, maxPollRecords: 1 })
    consumer.assign([PLACE])
    await cluster.world.run(consumer.poll())
    await cluster.world.pass(2000)
    expect(cluster.requests(ApiKey.FETCH).length).toBeLessThanOrEqual(4)
    await cluster.world.run(consumer.close())
  })

  test('a position outside the log is reset as the policy says', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    fill(partition, numbered(30))
    partition.logStartOffset = 20
    const consumer = consumerOf(cluster)
    consumer.assign([{ ...PLACE, start: 5n }])
    expect(await read(cluster, consumer, 10)).toEqual(numbered(10, 20))
    await cluster.world.run(consumer.close())
  })

  test('with autoOffsetReset none the application hears of it and may seek', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(3))
    const consumer = consumerOf(cluster, { autoOffsetReset: 'none' })
    consumer.assign([{ ...PLACE, start: 99n }])
    await expect(cluster.world.run(consumer.poll())).rejects.toMatchObject({
      code: 'NO_OFFSET',
      topic: 't',
      partition: 0,
    })
    consumer.seek(PLACE, 1n)
    expect(await read(cluster, consumer, 2)).toEqual(['v1', 'v2'])
    await cluster.world.run(consumer.close())
  })

  test('damaged bytes reject with their place, again and again, until the application passes over them', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    fill(partition, numbered(9), 3)
    partition.batches[1]!.bytes[70]! ^= 0xff
    const consumer = consumerOf(cluster)
    consumer.assign([PLACE])
    expect(await read(cluster, consumer, 3)).toEqual(numbered(3))
    for (let turn = 0; turn < 2; turn++) {
      await expect(cluster.world.run(consumer.poll())).rejects.toMatchObject({ code: 'RECORD_UNREADABLE', offset: 3n })
    }
    consumer.seek(PLACE, 6n)
    expect(await read(cluster, consumer, 3)).toEqual(numbered(3, 6))
    await cluster.world.run(consumer.close())
  })

  test('a damaged partition does not keep the others waiting', async () => {
    const cluster = new FakeCluster()
    const { partitions } = cluster.createTopic('t', 2)
    fill(partitions[0]!, numbered(3))
    partitions[0]!.batches[0]!.bytes[70]! ^= 0xff
    fill(partitions[1]!, numbered(3, 100))
    const consumer = consumerOf(cluster)
    consumer.assign(partitions.map((_, partition) => ({ topic: 't', partition })))
    const values: string[] = []
    let failureCount = 0
    for (let turn = 0; turn < 6; turn++) {
      const batches = await cluster.world.run(
        consumer.poll({ timeoutMs: 1000 }).catch(() => {
          failureCount++
          return []
        }),
      )
      values.push(...valuesOf(batches))
    }
    expect(failureCount).toBeGreaterThan(1)
    expect(values).toEqual(numbered(3, 100))
    await cluster.world.run(consumer.close())
  })

  test('a partition that was without a leader for a while is read without anybody asking', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    fill(partition, numbered(3))
    partition.leaderId = -1
    const consumer = consumerOf(cluster)
    consumer.assign([PLACE])
    const polled = consumer.poll()
    await cluster.world.pass(3000)
    partition.moveTo(1)
    await cluster.world.pass(3000)
    expect(valuesOf(await polled)).toEqual(numbered(3))
    await cluster.world.run(consumer.close())
  })

  test('no broker waits for the long poll of another', async () => {
    const cluster = new FakeCluster({ brokers: 5 })
    const { partitions } = cluster.createTopic('t', 5)
    fill(partitions[4]!, numbered(3))
    const consumer = consumerOf(cluster)
    consumer.assign(partitions.map((_, partition) => ({ topic: 't', partition })))
    const startMs = cluster.world.clock.monotonicMs()
    expect(await read(cluster, consumer, 3)).toEqual(numbered(3))
    expect(cluster.world.clock.monotonicMs() - startMs).toBeLessThan(400)
    await cluster.world.run(consumer.close())
  })

  test('a nearer replica that cannot be reached is given up for the leader', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    const topic = cluster.createTopic('t')
    fill(topic.partitions[0]!, numbered(3))
    cluster.brokers.get(2)!.stop()
    let isNamed = false
    cluster.intercept(ApiKey.FETCH, () => {
      if (isNamed) return null
      isNamed = true
      const partitions = [createFetchResponsePartitionData({ preferredReadReplica: 2, records: Buffer.alloc(0) })]
      return createFetchResponse({
        responses: [createFetchableTopicResponse({ topic: 't', topicId: topic.topicId, partitions })],
      })
    })
    const consumer = consumerOf(cluster, { clientRack: 'near' })
    consumer.assign([PLACE])
    const startMs = cluster.world.clock.monotonicMs()
    expect(await read(cluster, consumer, 3)).toEqual(numbered(3))
    expect(cluster.world.clock.monotonicMs() - startMs).toBeLessThan(5000)
    await cluster.world.run(consumer.close())
  })

  test('a batch may expand a thousandfold, but not beyond maxExpandedBatchBytes', async () => {
    const cluster = new FakeCluster()
    const builder = new BatchBuilder({ codec: CodecId.GZIP })
    builder.append(0, null, Buffer.alloc(5_000_000))
    cluster.createTopic('t').partitions[0]!.append(builder.build())
    const consumer = consumerOf(cluster)
    consumer.assign([PLACE])
    const [batch] = await cluster.world.run(consumer.poll())
    expect(batch!.records[0]!.value).toHaveLength(5_000_000)
    await cluster.world.run(consumer.close())
    const careful = consumerOf(cluster, { maxExpandedBatchBytes: 4_000_000 })
    careful.assign([PLACE])
    await expect(cluster.world.run(careful.poll())).rejects.toMatchObject({ code: 'RECORD_UNREADABLE' })
    await cluster.world.run(careful.close())
  })

  test('an end of the log that is nowhere is asked for again with pauses', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    fill(partition, numbered(3))
    let isWrong = true
    cluster.intercept(ApiKey.LIST_OFFSETS, async (request) => {
      const answer = (await cluster.answer(request)) as ListOffsetsResponse
      if (isWrong) answer.topics[0]!.partitions[0]!.offset = -1
      return answer
    })
    const consumer = consumerOf(cluster)
    consumer.assign([PLACE])
    expect(await cluster.world.run(consumer.poll({ timeoutMs: 3000 }))).toEqual([])
    expect(cluster.requests(ApiKey.LIST_OFFSETS).length).toBeLessThan(12)
    isWrong = false
    expect(await read(cluster, consumer, 3)).toEqual(numbered(3))
    await cluster.world.run(consumer.close())
  })

  test('a topic that may not be read rejects the poll', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    cluster.intercept(ApiKey.METADATA, async (request) => {
      const answer = (await cluster.answer(request)) as MetadataResponse
      for (const topic of answer.topics) topic.errorCode = ErrorCode.TOPIC_AUTHORIZATION_FAILED
      return answer
    })
    const consumer = consumerOf(cluster)
    consumer.assign([PLACE])
    await expect(cluster.world.run(consumer.poll({ timeoutMs: 5000 }))).rejects.toMatchObject({
      code: 'TOPIC_AUTHORIZATION_FAILED',
      topic: 't',
    })
    await cluster.world.run(consumer.close())
  })

  test.each([-1, 1.5, Number.NaN, 2n ** 63n])('%s is no offset to seek or commit', async (offset) => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const consumer = consumerOf(cluster, { groupId: 'g' })
    consumer.assign([PLACE])
    expect(() => consumer.seek(PLACE, offset)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    await expect(consumer.commit([{ ...PLACE, offset }])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await cluster.world.run(consumer.close())
  })

  test('a broker that goes away and comes back is read on from the same place', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    fill(partition, numbered(3))
    const consumer = consumerOf(cluster)
    consumer.assign([PLACE])
    await read(cluster, consumer, 3)
    cluster.brokers.get(1)!.stop()
    fill(partition, numbered(3, 3))
    const polled = consumer.poll()
    await cluster.world.pass(5000)
    cluster.brokers.get(1)!.start()
    expect(valuesOf(await cluster.world.run(polled))).toEqual(numbered(3, 3))
    await cluster.world.run(consumer.close())
  })
})

describe('transactions', () => {
  function transactions(): FakeCluster {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    fillTransaction(partition, 1, 0, ['a0', 'a1'])
    fillTransaction(partition, 2, 0, ['b0'])
    endTransaction(partition, 1, false)
    fillTransaction(partition, 1, 2, ['a2'])
    endTransaction(partition, 2, true)
    endTransaction(partition, 1, true)
    fill(partition, ['plain'])
    partition.abortedTransactions = [createAbortedTransaction({ producerId: 1, firstOffset: 0 })]
    return cluster
  }

  test('read_committed leaves out aborted records and markers', async () => {
    const cluster = transactions()
    const consumer = consumerOf(cluster, { isolationLevel: 'read_committed' })
    consumer.assign([PLACE])
    expect(await read(cluster, consumer, 3)).toEqual(['b0', 'a2', 'plain'])
    await cluster.world.run(consumer.close())
  })

  test('read_uncommitted leaves out markers only', async () => {
    const cluster = transactions()
    const consumer = consumerOf(cluster)
    consumer.assign([PLACE])
    expect(await read(cluster, consumer, 5)).toEqual(['a0', 'a1', 'b0', 'a2', 'plain'])
    await cluster.world.run(consumer.close())
  })
})

describe('iterations', () => {
  test('records ends when the application breaks off, and the next iteration goes on behind', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(20))
    const consumer = consumerOf(cluster)
    consumer.assign([PLACE])
    const take = async (count: number) => {
      const values: string[] = []
      for await (const record of consumer.records()) {
        values.push(record.value!.toString())
        if (values.length === count) break
      }
      return values
    }
    expect(await cluster.world.run(take(3))).toEqual(numbered(3))
    expect(await cluster.world.run(take(4))).toEqual(numbered(4, 3))
    await cluster.world.run(consumer.close())
  })

  test('an iteration ends when the consumer closes', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(5))
    const consumer = consumerOf(cluster)
    consumer.assign([PLACE])
    let count = 0
    const iteration = (async () => {
      for await (const batch of consumer) count += batch.records.length
    })()
    await cluster.world.pass(1000)
    await cluster.world.run(consumer.close())
    await cluster.world.run(iteration)
    expect(count).toBe(5)
  })
})

describe('commits', () => {
  test('automatic commits cover what was dealt with, not what was only handed out', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(30))
    const consumer = consumerOf(cluster, { groupId: 'g', maxPollRecords: 10, autoCommitIntervalMs: 1000 })
    consumer.assign([PLACE])
    await read(cluster, consumer, 10)
    await cluster.world.pass(3000)
    expect(cluster.committed.get('g')?.get('t-0')).toBe(0)
    await read(cluster, consumer, 10)
    await cluster.world.pass(3000)
    expect(cluster.committed.get('g')?.get('t-0')).toBe(10)
    await cluster.world.run(consumer.close())
    expect(cluster.committed.get('g')?.get('t-0')).toBe(20)
  })

  test('after a break in the middle only records before the last one count as dealt with', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(30))
    const consumer = consumerOf(cluster, { groupId: 'g' })
    consumer.assign([PLACE])
    const iteration = (async () => {
      for await (const record of consumer.records()) if (record.offset === 7n) break
    })()
    await cluster.world.run(iteration)
    await cluster.world.run(consumer.close())
    expect(cluster.committed.get('g')?.get('t-0')).toBe(7)
  })

  test('an automatic commit within a batch has the epoch that its records have', async () => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    partition.leaderEpoch = 3
    fill(partition, numbered(10))
    const consumer = consumerOf(cluster, { groupId: 'g', autoCommitIntervalMs: 100 })
    consumer.assign([PLACE])
    const iteration = (async () => {
      for await (const record of consumer.records()) {
        if (record.offset !== 5n) continue
        await new Promise<void>((resolve) => {
          cluster.world.timers.setTimer(1000, resolve)
        })
        break
      }
    })()
    await cluster.world.run(iteration)
    const { topics } = cluster.requests<OffsetCommitRequest>(ApiKey.OFFSET_COMMIT).at(-1)!.body
    expect(topics[0]!.partitions[0]).toMatchObject({ committedOffset: 5, committedLeaderEpoch: 3 })
    await cluster.world.run(consumer.close())
  })

  test('a seek in the middle of a batch is not taken back by the records after it', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(30))
    const consumer = consumerOf(cluster, { groupId: 'g' })
    consumer.assign([PLACE])
    const iteration = (async () => {
      for await (const record of consumer.records()) {
        if (record.offset === 3n) consumer.seek(PLACE, 20n)
        if (record.offset === 6n) break
      }
    })()
    await cluster.world.run(iteration)
    await cluster.world.run(consumer.close())
    expect(cluster.committed.get('g')?.get('t-0')).toBe(20)
  })

  test('assigning other partitions commits what was dealt with in those that go', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t', 2).partitions[0]!, numbered(30))
    const consumer = consumerOf(cluster, { groupId: 'g', maxPollRecords: 10, autoCommitIntervalMs: 60_000 })
    consumer.assign([PLACE])
    await read(cluster, consumer, 20)
    consumer.assign([{ topic: 't', partition: 1 }])
    await cluster.world.pass(1000)
    expect(cluster.committed.get('g')?.get('t-0')).toBe(10)
    await cluster.world.run(consumer.close())
  })

  test('unsubscribing does not count a batch as dealt with that an iteration was broken off in', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(30))
    const consumer = consumerOf(cluster, { groupId: 'g' })
    consumer.subscribe('t')
    const iteration = (async () => {
      for await (const batch of consumer.batches({ maxRecords: 10 })) if (batch.nextOffset === 20n) break
    })()
    await cluster.world.run(iteration)
    await cluster.world.run(consumer.unsubscribe())
    expect(cluster.committed.get('g')?.get('t-0')).toBe(10)
    await cluster.world.run(consumer.close())
  })

  test('an answer that says nothing of a partition is no permission to skip to the end', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(30))
    cluster.committed.set('g', new Map([['t-0', 12]]))
    let silences = 2
    cluster.intercept(ApiKey.OFFSET_FETCH, () =>
      silences-- > 0
        ? createOffsetFetchResponse({ groups: [createOffsetFetchResponseGroup({ groupId: 'g', topics: [] })] })
        : null,
    )
    const consumer = consumerOf(cluster, { groupId: 'g', autoOffsetReset: 'latest' })
    consumer.assign([PLACE])
    expect((await read(cluster, consumer, 1))[0]).toBe('v12')
    await cluster.world.run(consumer.close())
  })

  test('a commit by hand is not taken back by an automatic one', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(30))
    const consumer = consumerOf(cluster, { groupId: 'g', autoCommitIntervalMs: 500 })
    consumer.assign([PLACE])
    const iteration = (async () => {
      for await (const batch of consumer.batches({ maxRecords: 10 })) if (batch.nextOffset === 20n) break
    })()
    await cluster.world.run(iteration)
    await cluster.world.run(consumer.commit())
    await cluster.world.pass(2000)
    await cluster.world.run(consumer.close())
    expect(cluster.committed.get('g')?.get('t-0')).toBe(20)
  })

  test('commits are sent one after the other, so that the last one asked for wins', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const consumer = consumerOf(cluster, { groupId: 'g', enableAutoCommit: false })
    consumer.assign([PLACE])
    let failures = 3
    cluster.intercept(ApiKey.OFFSET_COMMIT, ({ body }) => {
      if (failures-- <= 0) return null
      return refusedCommit(body as OffsetCommitRequest, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    })
    const commits = [5n, 6n, 7n].map((offset) => consumer.commit([{ ...PLACE, offset }]))
    await cluster.world.run(Promise.all(commits))
    expect(cluster.committed.get('g')?.get('t-0')).toBe(7)
    await cluster.world.run(consumer.close())
  })

  test('a consumer goes on where its group was', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(30))
    cluster.committed.set('g', new Map([['t-0', 12]]))
    const consumer = consumerOf(cluster, { groupId: 'g' })
    consumer.assign([PLACE])
    expect((await read(cluster, consumer, 1))[0]).toBe('v12')
    expect(await cluster.world.run(consumer.committed([PLACE]))).toMatchObject([{ ...PLACE, offset: 12n }])
    await cluster.world.run(consumer.close())
  })
})
