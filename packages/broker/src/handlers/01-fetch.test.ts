import { ZERO_UUID } from '@millrace/base'
import {
  createFetchRequestFetchPartition,
  createFetchRequestFetchTopic,
  createFetchRequestForgottenTopic,
  createFetchRequestReplicaState,
  ErrorCode,
  type FetchRequest,
  type FetchResponse,
  fetchApi,
  MAX_NAME_BYTES,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { batchOf } from '../testing/batches.ts'
import { valuesIn, type WantedPartition } from '../testing/data-client.ts'
import { TestBroker } from '../testing/test-broker.ts'

const VERSIONS = [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]

/** What an answer holds: `topic-partition` or `id-partition`, and the values. */
function contents(response: FetchResponse): Record<string, (string | null)[]> {
  const found: Record<string, (string | null)[]> = {}
  for (const topic of response.responses) {
    for (const partition of topic.partitions) {
      const name = topic.topicId === ZERO_UUID ? topic.topic : topic.topicId
      found[`${name}-${partition.partitionIndex}`] = valuesIn(partition.records)
    }
  }
  return found
}

function errorsOf(response: FetchResponse): number[] {
  return response.responses.flatMap((topic) => topic.partitions.map(({ errorCode }) => errorCode))
}

describe('Fetch', () => {
  it.each(VERSIONS)('version %i gives what is committed, by name or id', async (version) => {
    await TestBroker.run({}, async (client) => {
      const id = await client.createTopic('t', 2)
      await client.produce('t', batchOf(['a']))
      await client.produce('t', batchOf(['b', 'c']))
      const wanted: WantedPartition[] = [
        { topic: 't', fetchOffset: 1 },
        { topic: 't', partition: 1, fetchOffset: 0 },
      ]
      const response = await client.fetch(wanted, { isolationLevel: version % 2 }, version)
      const name = version >= 13 ? id : 't'
      expect(contents(response)).toEqual({ [`${name}-0`]: ['b', 'c'], [`${name}-1`]: [] })
      expect(response.responses).toHaveLength(1)
      expect(response.responses[0]!.partitions[0]).toMatchObject({
        errorCode: 0,
        highWatermark: 3,
        lastStableOffset: 3,
        logStartOffset: version >= 5 ? 0 : -1,
        preferredReadReplica: -1,
        abortedTransactions: version % 2 === 1 ? [] : null,
      })
    })
  })

  it.each([4, 12, 17])(
    'version %i that names a partition twice answers once, in its first place, what it says last',
    async (version) => {
      await TestBroker.run({}, async (client) => {
        await client.createTopic('t', 2)
        await client.produce('t', batchOf(['a']))
        await client.produce('t', batchOf(['b']))
        await client.produce('t', batchOf(['c']), { partition: 1 })
        for (const sessionEpoch of [-1, 0]) {
          const wanted = [
            { topic: 't', fetchOffset: 0 },
            { topic: 't', partition: 1, fetchOffset: 0 },
            { topic: 't', fetchOffset: 1 },
          ]
          const { responses } = await client.fetch(wanted, { sessionEpoch }, version)
          const found = responses.flatMap(({ partitions }) =>
            partitions.map(({ partitionIndex, records }) => [partitionIndex, valuesIn(records)]),
          )
          expect(found).toEqual([
            [0, ['b']],
            [1, ['c']],
          ])
        }
      })
    },
  )

  it('does not wait for min.bytes at the end of a segment that gets no more', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t', 1, { 'segment.bytes': '1048576' })
      await client.produce('t', batchOf(['a'.repeat(600_000)]))
      await client.produce('t', batchOf(['end of the first']))
      await client.produce('t', batchOf(['b'.repeat(600_000)]))
      const limits = { maxWaitMs: 1000, minBytes: 100_000 }
      const atOnce = await client.fetch([{ topic: 't', fetchOffset: 1 }], limits)
      expect(Object.values(contents(atOnce))).toEqual([['end of the first']])
      const waiting = client.fetch([{ topic: 't', fetchOffset: 3 }], limits)
      await broker.advance(500)
      expect(client.outstandingCount).toBe(1)
      await broker.advance(600)
      expect(errorsOf(await waiting)).toEqual([0])
    })
  })

  it('gives the whole batch that holds the offset, as it was stored', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      await client.produce('t', batchOf(['a', 'b', 'c']))
      expect(valuesIn((await client.fetchFrom('t', 2)).records)).toEqual(['a', 'b', 'c'])
    })
  })

  it('waits for records, no longer than asked, and wakes for them', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t', 2)
      const wanted: WantedPartition[] = [{ topic: 't' }, { topic: 't', partition: 1 }]
      const empty = client.fetch(wanted, { maxWaitMs: 500 })
      await broker.advance(499)
      expect(client.outstandingCount).toBe(1)
      await broker.advance(5)
      expect(errorsOf(await empty)).toEqual([0, 0])
      const woken = client.fetch(wanted, { maxWaitMs: 500 })
      await broker.idle()
      await broker.connect().produce('t', batchOf(['x']), { partition: 1 })
      const values = Object.values(contents(await woken))
      expect(values).toEqual([[], ['x']])
      expect(broker.clock.monotonicMs()).toBeLessThan(600)
    })
  })

  it('waits for min.bytes, and gives what there is when the time is over', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const waiting = client.fetch([{ topic: 't' }], { maxWaitMs: 1000, minBytes: 1000 })
      const producer = broker.connect()
      await producer.produce('t', batchOf(['a']))
      await broker.advance(900)
      expect(client.outstandingCount).toBe(1)
      await producer.produce('t', batchOf(['b'.repeat(2000)]))
      expect(valuesIn((await waiting).responses[0]!.partitions[0]!.records)).toHaveLength(2)
      const poor = client.fetch([{ topic: 't', fetchOffset: 2 }], { maxWaitMs: 1000, minBytes: 1000 })
      await broker.idle()
      await producer.produce('t', batchOf(['c']))
      await broker.advance(1004)
      expect(valuesIn((await poor).responses[0]!.partitions[0]!.records)).toEqual(['c'])
      // What cannot be had is not waited for: min bytes are capped by max bytes.
      const capped = await client.fetch([{ topic: 't' }], { maxWaitMs: 9999, minBytes: 1 << 30, maxBytes: 100 })
      expect(valuesIn(capped.responses[0]!.partitions[0]!.records)).toEqual(['a'])
    })
  })

  it('keeps to its limits, but for one batch', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t', 3)
      const sizeBytes = batchOf(['x'.repeat(1000)]).length
      for (let n = 0; n < 9; n++) await client.produce('t', batchOf(['x'.repeat(1000)]), { partition: n % 3 })
      const counts = async (maxBytes: number, partitionMaxBytes: number) => {
        const wanted = [0, 1, 2].map((partition) => ({ topic: 't', partition, partitionMaxBytes }))
        return Object.values(contents(await client.fetch(wanted, { maxBytes }))).map((values) => values.length)
      }
      expect(await counts(1 << 20, 1 << 20)).toEqual([3, 3, 3])
      expect(await counts(1, 1)).toEqual([1, 0, 0])
      expect(await counts(0, 0)).toEqual([1, 0, 0])
      expect(await counts(-1, -1)).toEqual([1, 0, 0])
      expect(await counts(1 << 20, 2 * sizeBytes)).toEqual([2, 2, 2])
      expect(await counts(4 * sizeBytes, 1 << 20)).toEqual([3, 1, 0])
      expect(await counts(1 << 20, 1)).toEqual([1, 0, 0])
      expect(await counts(2147483647, 2147483647)).toEqual([3, 3, 3])
    })
  })

  it('is capped by fetch.max.bytes', async () => {
    await TestBroker.run({ settings: { 'fetch.max.bytes': '1024' } }, async (client) => {
      await client.createTopic('t')
      for (let n = 0; n < 4; n++) await client.produce('t', batchOf(['x'.repeat(400)]))
      expect(valuesIn((await client.fetchFrom('t', 0)).records)).toHaveLength(2)
    })
  })

  it('out of range is told at once, with no offsets; between watermark and end is nothing', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      await client.produce('t', batchOf(['a', 'b', 'c']))
      await client.deleteRecords('t', 1)
      for (const fetchOffset of [0, 4, -1, 2n ** 53n, 2n ** 62n, -(2n ** 62n)]) {
        const { responses } = await client.fetch([{ topic: 't', fetchOffset }], { maxWaitMs: 99_999 })
        expect(responses[0]!.partitions[0]).toMatchObject({
          errorCode: ErrorCode.OFFSET_OUT_OF_RANGE,
          highWatermark: -1,
          lastStableOffset: -1,
          logStartOffset: -1,
        })
      }
      expect(await client.fetchFrom('t', 1)).toMatchObject({ errorCode: 0, logStartOffset: 1 })
      expect(await client.fetchFrom('t', 3)).toMatchObject({ errorCode: 0, highWatermark: 3 })
      const { promise, resolve } = Promise.withResolvers<void>()
      broker.disk.settle = () => promise
      await client.produce('t', batchOf(['d', 'e']), { acks: 1 })
      expect(await client.fetchFrom('t', 4)).toMatchObject({ errorCode: 0, highWatermark: 3 })
      resolve()
    })
  })

  it('fences leader epochs, and tells where a log diverged', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      await client.produce('t', batchOf(['a']))
      const fetch = async (wanted: Partial<WantedPartition>, version = 17) =>
        (await client.fetch([{ topic: 't', ...wanted }], { maxWaitMs: 9999 }, version)).responses[0]!.partitions[0]!
      expect((await fetch({ currentLeaderEpoch: 0 })).errorCode).toBe(0)
      expect((await fetch({ currentLeaderEpoch: 1 })).errorCode).toBe(ErrorCode.UNKNOWN_LEADER_EPOCH)
      // Before version 9 there is no epoch in the request.
      expect((await fetch({ currentLeaderEpoch: 1 }, 8)).errorCode).toBe(0)
      expect((await fetch({ fetchOffset: 0, lastFetchedEpoch: 0 })).errorCode).toBe(0)
      expect((await fetch({ fetchOffset: 1, lastFetchedEpoch: 5 })).errorCode).toBe(ErrorCode.OFFSET_OUT_OF_RANGE)
    })
  })

  it('by an id that is none, or a partition that is none, is told which', async () => {
    await TestBroker.run({}, async (client) => {
      const id = await client.createTopic('t')
      const other = id.replace(/^./, (first) => (first === 'A' ? 'B' : 'A')) as typeof id
      const codes = async (wanted: WantedPartition, version: number) =>
        errorsOf(await client.fetch([wanted], { maxWaitMs: 99_999 }, version))
      expect(await codes({ topic: 't', id: other }, 13)).toEqual([ErrorCode.UNKNOWN_TOPIC_ID])
      expect(await codes({ topic: 't', id: ZERO_UUID }, 18)).toEqual([ErrorCode.UNKNOWN_TOPIC_ID])
      expect(await codes({ topic: 'gone' }, 12)).toEqual([ErrorCode.UNKNOWN_TOPIC_OR_PARTITION])
      for (const partition of [1, -1, 2147483647]) {
        expect(await codes({ topic: 't', partition }, 17)).toEqual([ErrorCode.UNKNOWN_TOPIC_OR_PARTITION])
        expect(await codes({ topic: 't', partition }, 4)).toEqual([ErrorCode.UNKNOWN_TOPIC_OR_PARTITION])
      }
    })
  })

  it('that names an unknown partition beside others still waits for those', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const waiting = client.fetch([{ topic: 'gone' }, { topic: 't' }], { maxWaitMs: 500 }, 12)
      await broker.advance(400)
      expect(client.outstandingCount).toBe(1)
      await broker.advance(104)
      expect(errorsOf(await waiting)).toEqual([ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, 0])
    })
  })

  it('by a client that says it is a replica gets no records, at once', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      const asReplica = async (version: number, init: Partial<FetchRequest>, wanted: Partial<WantedPartition> = {}) =>
        errorsOf(await client.fetch([{ topic: 't', ...wanted }], { maxWaitMs: 99_999, ...init }, version))
      const replicaState = createFetchRequestReplicaState({ replicaId: 1, replicaEpoch: 0 })
      expect(await asReplica(14, { replicaId: 1 })).toEqual([ErrorCode.NOT_LEADER_OR_FOLLOWER])
      expect(await asReplica(17, { replicaState })).toEqual([ErrorCode.NOT_LEADER_OR_FOLLOWER])
      expect(await asReplica(17, { replicaState }, { currentLeaderEpoch: 0 })).toEqual([ErrorCode.UNKNOWN_LEADER_EPOCH])
    })
  })

  it('for debugging reads what consumers read, no more', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const { promise, resolve } = Promise.withResolvers<void>()
      broker.disk.settle = () => promise
      await client.produce('t', batchOf(['uncommitted']), { acks: 1 })
      const response = await client.fetch([{ topic: 't' }], { replicaId: -2 }, 12)
      expect(contents(response)).toEqual({ 't-0': [] })
      resolve()
    })
  })

  it.each([12, 17])('of a topic that is deleted meanwhile is told so at once (version %i)', async (version) => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const waiting = client.fetch([{ topic: 't' }], { maxWaitMs: 99_999 }, version)
      await broker.idle()
      const admin = broker.connect()
      expect(await admin.deleteTopic('t')).toBe(0)
      const unknown = version >= 13 ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      expect(errorsOf(await waiting)).toEqual([unknown])
    })
  })

  it('of a topic that was made anew sees the new one by name, and no topic by the old id', async () => {
    await TestBroker.run({}, async (client) => {
      const oldId = await client.createTopic('t')
      await client.produce('t', batchOf(['old', 'older']))
      await client.deleteTopic('t')
      await client.createTopic('t')
      await client.produce('t', batchOf(['new']))
      expect(errorsOf(await client.fetch([{ topic: 't', id: oldId }]))).toEqual([ErrorCode.UNKNOWN_TOPIC_ID])
      expect(contents(await client.fetch([{ topic: 't' }], {}, 12))).toEqual({ 't-0': ['new'] })
    })
  })

  it('frees what it holds when its client goes away', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const before = broker.timers.pendingCount
      const gone = broker.connect()
      const waiting = gone.fetch([{ topic: 't' }], { maxWaitMs: 99_999 })
      waiting.catch(() => undefined)
      await broker.idle()
      expect(broker.timers.pendingCount).toBeGreaterThan(before)
      gone.close()
      await expect(waiting).rejects.toThrow('closed')
      await broker.idle()
      expect(broker.timers.pendingCount).toBeLessThanOrEqual(before + 1)
      await client.produce('t', batchOf(['a']))
    })
  })

  it('wakes when records below its offset are deleted', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      await client.produce('t', batchOf(['a']))
      const waiting = client.fetch([{ topic: 't', fetchOffset: 0 }], { maxWaitMs: 9999, minBytes: 5000 })
      await broker.idle()
      await broker.connect().deleteRecords('t', 1)
      expect(errorsOf(await waiting)).toEqual([ErrorCode.OFFSET_OUT_OF_RANGE])
    })
  })
})

describe('a fetch session', () => {
  const all: WantedPartition[] = [{ topic: 't' }, { topic: 't', partition: 1 }]

  function incremental(sessionId: number, sessionEpoch: number, init: Partial<FetchRequest> = {}) {
    return { sessionId, sessionEpoch, ...init }
  }

  // Found by fuzzing: the answer could not be encoded, and the connection was closed without a reason.
  it('that began with a version that knows of divergence goes on with one that does not', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      await client.produce('t', batchOf(['a']))
      const wanted: WantedPartition[] = [{ topic: 't', fetchOffset: 9, lastFetchedEpoch: 0 }]
      const full = await client.fetch(wanted, { sessionEpoch: 0 }, 12)
      const [told] = full.responses[0]!.partitions
      expect(told).toMatchObject({ errorCode: 0, divergingEpoch: { epoch: 0, endOffset: 1 } })
      const { responses } = await client.fetch([], incremental(full.sessionId, 1), 7)
      expect(responses[0]!.partitions[0]).toMatchObject({ errorCode: ErrorCode.OFFSET_OUT_OF_RANGE })
    })
  })

  it.each([7, 12, 13, 18])('tells afterwards only what is new (version %i)', async (version) => {
    await TestBroker.run({}, async (client) => {
      const id = await client.createTopic('t', 2)
      const name = version >= 13 ? id : 't'
      const full = await client.fetch(all, { sessionEpoch: 0 }, version)
      expect(full.sessionId).toBeGreaterThan(0)
      expect(contents(full)).toEqual({ [`${name}-0`]: [], [`${name}-1`]: [] })
      const quiet = await client.fetch([], incremental(full.sessionId, 1), version)
      expect([quiet.sessionId, quiet.responses]).toEqual([full.sessionId, []])
      await client.produce('t', batchOf(['a']), { partition: 1 })
      const news = await client.fetch([], incremental(full.sessionId, 2), version)
      expect(contents(news)).toEqual({ [`${name}-1`]: ['a'] })
      const moved = [{ topic: 't', partition: 1, fetchOffset: 1 }]
      expect((await client.fetch(moved, incremental(full.sessionId, 3), version)).responses).toEqual([])
      // A log start that moved is news, also where there are no records.
      await client.deleteRecords('t', -1)
      await client.produce('t', batchOf(['b']))
      await client.deleteRecords('t', 1)
      const started = await client.fetch([{ topic: 't', fetchOffset: 1 }], incremental(full.sessionId, 4), version)
      expect(contents(started)).toEqual({ [`${name}-0`]: [] })
    })
  })

  it('must be known, at the right epoch, and speak in names or ids throughout', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t', 2)
      const { sessionId } = await client.fetch(all, { sessionEpoch: 0 })
      const codeOf = async (id: number, epoch: number, version = 17) =>
        (await client.fetch([], incremental(id, epoch), version)).errorCode
      expect(await codeOf(sessionId + 1, 1)).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
      expect(await codeOf(0, 1)).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
      expect(await codeOf(sessionId, 2)).toBe(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
      expect(await codeOf(sessionId, -5)).toBe(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
      expect(await codeOf(sessionId, 1, 12)).toBe(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
      expect(await codeOf(sessionId, 1)).toBe(0)
      expect(await codeOf(sessionId, 1)).toBe(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
      expect(await codeOf(sessionId, 2)).toBe(0)
    })
  })

  it('is closed by epoch -1, replaced by epoch 0, and by forgetting everything', async () => {
    await TestBroker.run({}, async (client) => {
      const topicId = await client.createTopic('t', 2)
      const open = async () => (await client.fetch(all, { sessionEpoch: 0 })).sessionId
      const isOpen = async (id: number, epoch = 1) => (await client.fetch([], incremental(id, epoch))).errorCode === 0
      const first = await open()
      expect((await client.fetch([], incremental(first, -1))).sessionId).toBe(0)
      expect(await isOpen(first)).toBe(false)
      const second = await open()
      const third = (await client.fetch(all, incremental(second, 0))).sessionId
      expect(third).not.toBe(0)
      expect([await isOpen(second), await isOpen(third)]).toEqual([false, true])
      const forgottenTopicsData = [createFetchRequestForgottenTopic({ topic: 't', topicId, partitions: [0, 1] })]
      const emptied = await client.fetch([], incremental(third, 2, { forgottenTopicsData }))
      expect([emptied.sessionId, emptied.errorCode]).toEqual([0, 0])
      expect(await isOpen(third, 3)).toBe(false)
    })
  })

  it('keeps no name that no topic can have, nor does a fetch that waits', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      const wanted = [{ topic: 't' }, { topic: 'x'.repeat(MAX_NAME_BYTES) }]
      // Nobody lets the time pass.
      const full = await client.fetch(wanted, { sessionEpoch: 0, maxWaitMs: 60_000 }, 12)
      expect(errorsOf(full)).toEqual([0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION])
      expect(full.sessionId).toBe(0)
      const { sessionId } = await client.fetch([{ topic: 't' }], { sessionEpoch: 0 }, 12)
      expect(sessionId).not.toBe(0)
      const grown = await client.fetch(wanted, incremental(sessionId, 1), 12)
      expect(grown).toMatchObject({ sessionId: 0, errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND })
      expect((await client.fetch([], incremental(sessionId, 2), 12)).errorCode).toBe(
        ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
      )
    })
  })

  it('repeats an error until it is gone, then tells the offsets again', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t', 1)
      await client.createTopic('u', 1)
      const wanted = [{ topic: 't', fetchOffset: 1 }, { topic: 'u' }]
      const full = await client.fetch(wanted, { sessionEpoch: 0 })
      const outOfRange = ErrorCode.OFFSET_OUT_OF_RANGE
      expect(errorsOf(full)).toEqual([outOfRange, 0])
      for (const epoch of [1, 2]) {
        const again = await client.fetch([], incremental(full.sessionId, epoch))
        expect(errorsOf(again)).toEqual([outOfRange])
      }
      await client.produce('t', batchOf(['a']))
      const healed = await client.fetch([], incremental(full.sessionId, 3))
      expect(errorsOf(healed)).toEqual([0])
      expect((await client.fetch([], incremental(full.sessionId, 4))).responses).toEqual([])
    })
  })

  it('serves first what had no records the last time', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t', 3)
      for (const partition of [0, 1, 2]) await client.produce('t', batchOf([`${partition}`]), { partition })
      const wanted = [0, 1, 2].map((partition) => ({ topic: 't', partition, partitionMaxBytes: 1 }))
      const full = await client.fetch(wanted, { sessionEpoch: 0, maxBytes: 1 })
      expect(Object.values(contents(full))).toEqual([['0'], [], []])
      const orders: (string | null)[] = []
      for (let epoch = 1; epoch <= 6; epoch++) {
        const answer = await client.fetch([], incremental(full.sessionId, epoch, { maxBytes: 1 }))
        orders.push(Object.values(contents(answer)).flat()[0]!)
      }
      expect(orders).toEqual(['0', '1', '2', '0', '1', '2'])
    })
  })

  it('grows by partitions that are added, and by ones that do not exist yet', async () => {
    await TestBroker.run({}, async (client) => {
      const topicId = await client.createTopic('t', 1)
      const full = await client.fetch([{ topic: 't' }, { topic: 'late' }], { sessionEpoch: 0 }, 12)
      expect(errorsOf(full)).toEqual([0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION])
      await client.createTopic('late')
      await client.produce('late', batchOf(['x']))
      expect(contents(await client.fetch([], incremental(full.sessionId, 1), 12))).toEqual({ 'late-0': ['x'] })
      const topics = [
        createFetchRequestFetchTopic({
          topic: 't',
          topicId,
          partitions: [createFetchRequestFetchPartition({ partition: 5, partitionMaxBytes: 100 })],
        }),
      ]
      const grown = await client.call(
        fetchApi,
        12,
        client.fetchRequest([], { ...incremental(full.sessionId, 2), topics }),
      )
      expect(contents(grown)).toEqual({ 'late-0': ['x'], 't-5': [] })
      const changed = await client.fetch([{ topic: 'late', fetchOffset: 1 }], incremental(full.sessionId, 3), 12)
      expect(errorsOf(changed)).toEqual([ErrorCode.UNKNOWN_TOPIC_OR_PARTITION])
    })
  })

  it('is not given where the cache is full or switched off', async () => {
    await TestBroker.run({ settings: { 'max.incremental.fetch.session.cache.slots': '2' } }, async (client, broker) => {
      await client.createTopic('t', 2)
      const open = async () => (await client.fetch(all, { sessionEpoch: 0 })).sessionId
      const first = await open()
      expect(await open()).not.toBe(0)
      expect(await open()).toBe(0)
      await broker.advance(121_000)
      expect(await open()).not.toBe(0)
      const { errorCode } = await client.fetch([], incremental(first, 1))
      expect(errorCode).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    })
    await TestBroker.run({ settings: { 'max.incremental.fetch.session.cache.slots': '0' } }, async (client) => {
      await client.createTopic('t', 2)
      expect((await client.fetch(all, { sessionEpoch: 0 })).sessionId).toBe(0)
    })
  })
})
