import {
  ApiKey,
  createShareFetchableTopicResponse,
  createShareFetchResponse,
  createShareFetchResponseLeaderIdAndEpoch,
  createShareFetchResponsePartitionData,
  createShareGroupHeartbeatResponse,
  ErrorCode,
  type ShareAcknowledgeRequest,
  type ShareFetchRequest,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { FakeCluster } from '../testing/fake-cluster.ts'
import { endTransaction, fill, numbered } from '../testing/fake-records.ts'
import { ShareConsumer } from './share-consumer.ts'
import type { AcknowledgementOutcome, ShareConsumerOptions } from './share-options.ts'
import type { ShareRecord } from './share-record.ts'

function clusterOf(count: number, partitions = 1): FakeCluster {
  const cluster = new FakeCluster({ brokers: 2 })
  for (const [slot, partition] of cluster.createTopic('t', partitions).partitions.entries()) {
    fill(partition, numbered(count, slot * 100))
  }
  return cluster
}

function consumerOf(cluster: FakeCluster, options: Partial<ShareConsumerOptions> = {}): ShareConsumer {
  const consumer = new ShareConsumer({
    ...cluster.clientOptions,
    groupId: 's',
    fetchMaxWaitMs: 50,
    retryBackoffMs: 10,
    ...options,
  })
  consumer.subscribe('t')
  return consumer
}

const valuesOf = (records: readonly ShareRecord[]) => records.map(({ value }) => value!.toString())

describe('implicit acknowledgement', () => {
  test('coming back for more accepts what was handed out', async () => {
    const cluster = clusterOf(5)
    const consumer = consumerOf(cluster)
    const work = async () => {
      const first = await consumer.poll()
      expect(valuesOf(first)).toEqual(numbered(5))
      expect(first.every(({ deliveryCount }) => deliveryCount === 1)).toBe(true)
      expect(cluster.shareGroup('s').count('acknowledged')).toBe(0)
      fill(cluster.partition('t'), ['later'])
      expect(valuesOf(await consumer.poll())).toEqual(['later'])
      expect(cluster.shareGroup('s').count('acknowledged')).toBe(5)
    }
    await cluster.world.run(work())
    await cluster.world.run(consumer.close())
    expect(cluster.shareGroup('s').count('acknowledged')).toBe(6)
    expect(cluster.shareGroup('s').members.size).toBe(0)
    expect(cluster.world.clientTimerCount).toBe(0)
  })

  test('an iteration accepts one by one; an early end releases the record at hand and those behind it', async () => {
    const cluster = clusterOf(5)
    const consumer = consumerOf(cluster)
    const work = async () => {
      for await (const record of consumer) if (record.offset === 2n) break
      await consumer.commit()
      expect(cluster.shareGroup('s').count('acknowledged')).toBe(2)
      expect(cluster.shareGroup('s').count('available')).toBe(3)
      const again = await consumer.poll()
      expect(again.map(({ offset, deliveryCount }) => [offset, deliveryCount])).toEqual([
        [2n, 2],
        [3n, 2],
        [4n, 2],
      ])
    }
    await cluster.world.run(work())
    await cluster.world.run(consumer.close())
  })

  test('a commit within an iteration is about the records up to the one at hand', async () => {
    const cluster = clusterOf(5)
    const consumer = consumerOf(cluster)
    const work = async () => {
      for await (const record of consumer) {
        if (record.offset !== 1n) continue
        const outcomes = await consumer.commit()
        expect(outcomes).toEqual([{ topic: 't', partition: 0, offsets: [0n, 1n], error: null }])
        break
      }
    }
    await cluster.world.run(work())
    await cluster.world.run(consumer.close())
    expect(cluster.shareGroup('s').count('acknowledged')).toBe(2)
    expect(cluster.shareGroup('s').count('available')).toBe(3)
  })

  test('two members share a partition without overlap', async () => {
    const cluster = clusterOf(20)
    const members = [0, 1].map(() => consumerOf(cluster, { maxPollRecords: 3 }))
    const seen: string[] = []
    const work = async (consumer: ShareConsumer) => {
      for (let round = 0; round < 8; round++) seen.push(...valuesOf(await consumer.poll({ timeoutMs: 100 })))
    }
    await cluster.world.run(Promise.all(members.map(work)))
    expect(seen.sort()).toEqual(numbered(20).sort())
    await cluster.world.run(Promise.all(members.map((consumer) => consumer.close())))
    expect(cluster.shareGroup('s').count('acknowledged')).toBe(20)
  })

  test('gaps are acknowledged without the application', async () => {
    const cluster = clusterOf(2)
    endTransaction(cluster.partition('t'), 9, true)
    fill(cluster.partition('t'), ['last'])
    const consumer = consumerOf(cluster)
    const work = async () => {
      expect(valuesOf(await consumer.poll())).toEqual(['v0', 'v1', 'last'])
      expect(await consumer.commit()).toEqual([{ topic: 't', partition: 0, offsets: [0n, 1n, 3n], error: null }])
    }
    await cluster.world.run(work())
    expect(cluster.shareGroup('s').count('archived')).toBe(1)
    await cluster.world.run(consumer.close())
  })
})

describe('explicit acknowledgement', () => {
  const explicit = { shareAcknowledgementMode: 'explicit' } as const

  test('each record meets what was said of it', async () => {
    const cluster = clusterOf(4)
    const outcomes: AcknowledgementOutcome[] = []
    const consumer = consumerOf(cluster, { ...explicit, onAcknowledgements: (outcome) => outcomes.push(outcome) })
    const work = async () => {
      const [a, b, c, d] = await consumer.poll()
      consumer.acknowledge(a!)
      consumer.acknowledge(b!, 'release')
      consumer.acknowledge(c!, 'reject')
      await expect(consumer.poll()).rejects.toMatchObject({ code: 'ILLEGAL_STATE' })
      consumer.acknowledge(d!)
      const again = await consumer.poll()
      expect(again.map(({ offset, deliveryCount }) => [offset, deliveryCount])).toEqual([[1n, 2]])
      expect(() => consumer.acknowledge(a!)).toThrow(/not in hand/)
    }
    await cluster.world.run(work())
    expect(outcomes).toEqual([{ topic: 't', partition: 0, offsets: [0n, 1n, 2n, 3n], error: null }])
    const { topics } = cluster
      .requests<ShareFetchRequest>(ApiKey.SHARE_FETCH)
      .map(({ body }) => body)
      .find((body) => body.topics.some(({ partitions }) => partitions[0]!.acknowledgementBatches.length > 0))!
    expect(topics[0]!.partitions[0]!.acknowledgementBatches[0]).toMatchObject({ acknowledgeTypes: [1, 2, 3, 1] })
    await cluster.world.run(consumer.close())
    // Nothing was said of the last: it goes back.
    expect(cluster.shareGroup('s').count('available')).toBe(1)
  })

  test('a renewed record stays locked and is handed out again before others', async () => {
    const cluster = clusterOf(2)
    const consumer = consumerOf(cluster, { ...explicit, maxPollRecords: 1 })
    const work = async () => {
      const [record] = await consumer.poll()
      for (let round = 0; round < 3; round++) {
        await cluster.world.pass(0)
        consumer.acknowledge(record!, 'renew')
        const [renewed] = await consumer.poll()
        expect([renewed!.offset, renewed!.deliveryCount]).toEqual([0n, 1])
        cluster.world.timers.advance(4000)
      }
      consumer.acknowledge(record!)
      expect(await consumer.commit()).toMatchObject([{ offsets: [0n], error: null }])
      expect((await consumer.poll())[0]!.offset).toBe(1n)
    }
    await cluster.world.run(work())
    await cluster.world.run(consumer.close())
  })

  test('an acknowledgement after the lock ran out is refused, and told so', async () => {
    const cluster = clusterOf(1)
    const consumer = consumerOf(cluster, explicit)
    const [record] = await cluster.world.run(consumer.poll())
    await cluster.world.pass(6000, 100)
    consumer.acknowledge(record!)
    const [outcome] = await cluster.world.run(consumer.commit())
    expect(outcome).toMatchObject({ offsets: [0n], error: { errorCode: ErrorCode.INVALID_RECORD_STATE } })
    await cluster.world.run(consumer.close())
  })
})

describe('leaving', () => {
  test.each(['t', 'u'])(
    'an answer on its way when the consumer unsubscribed is nobody’s, then reading %s',
    async (next) => {
      const cluster = clusterOf(0)
      cluster.createTopic('u')
      const consumer = consumerOf(cluster, { fetchMaxWaitMs: 500 })
      // Asks, and does not wait for the answer.
      await cluster.world.run(consumer.poll({ timeoutMs: 100 }))
      expect(cluster.requests(ApiKey.SHARE_FETCH)).toHaveLength(1)
      fill(cluster.partition('t'), numbered(5))
      fill(cluster.partition('u'), ['u0'])
      await cluster.world.run(consumer.unsubscribe())
      // They went back, at once and not when their locks run out.
      expect(cluster.shareGroup('s').count('acquired')).toBe(0)
      expect(cluster.shareGroup('s').members.size).toBe(0)
      consumer.subscribe(next)
      const records = await cluster.world.run(consumer.poll())
      expect(valuesOf(records)).toEqual(next === 't' ? numbered(5) : ['u0'])
      // The answer that nobody wanted had those of t.
      expect(records.every(({ deliveryCount }) => deliveryCount === (next === 't' ? 2 : 1))).toBe(true)
      expect(await cluster.world.run(consumer.poll({ timeoutMs: 1000 }))).toEqual([])
      await cluster.world.run(consumer.close())
    },
  )

  test('records of a topic that is not wanted any more are released, not handed out', async () => {
    const cluster = clusterOf(0)
    fill(cluster.createTopic('u').partitions[0]!, ['u0'])
    const consumer = consumerOf(cluster, { fetchMaxWaitMs: 500 })
    await cluster.world.run(consumer.poll({ timeoutMs: 100 }))
    fill(cluster.partition('t'), numbered(5))
    await cluster.world.pass(600)
    expect(cluster.shareGroup('s').count('acquired')).toBe(5)
    consumer.subscribe('u')
    expect(valuesOf(await cluster.world.run(consumer.poll()))).toEqual(['u0'])
    await cluster.world.run(consumer.commit())
    expect(cluster.shareGroup('s').count('available')).toBe(5)
    await cluster.world.run(consumer.close())
  })

  test('a member that does not poll in time gives back what it has, and may come back', async () => {
    const cluster = clusterOf(3)
    const consumer = consumerOf(cluster, { maxPollIntervalMs: 1000, shareAcknowledgementMode: 'explicit' })
    await cluster.world.run(consumer.poll())
    expect(cluster.shareGroup('s').count('acquired')).toBe(3)
    await cluster.world.pass(2000)
    expect(cluster.shareGroup('s').count('available')).toBe(3)
    expect(cluster.shareGroup('s').members.size).toBe(0)
    const again = await cluster.world.run(consumer.poll())
    expect(again.map(({ deliveryCount }) => deliveryCount)).toEqual([2, 2, 2])
    await cluster.world.run(consumer.close())
  })
})

describe('failures', () => {
  test('with a broken connection the session is gone: its acknowledgements fail, its records come again', async () => {
    const cluster = clusterOf(3)
    const outcomes: AcknowledgementOutcome[] = []
    const consumer = consumerOf(cluster, { onAcknowledgements: (outcome) => outcomes.push(outcome) })
    let breaks = 0
    cluster.intercept(ApiKey.SHARE_FETCH, ({ nodeId, body }) => {
      if ((body as ShareFetchRequest).shareSessionEpoch !== 1 || breaks++ > 0) return null
      cluster.shareGroup('s').endSession(nodeId, (body as ShareFetchRequest).memberId!)
      return 'break'
    })
    const work = async () => {
      await consumer.poll()
      const again = await consumer.poll()
      expect(again.map(({ offset, deliveryCount }) => [offset, deliveryCount])).toEqual([
        [0n, 2],
        [1n, 2],
        [2n, 2],
      ])
      expect(outcomes).toMatchObject([{ offsets: [0n, 1n, 2n], error: { code: 'CONNECTION_CLOSED' } }])
      expect(await consumer.commit()).toMatchObject([{ error: null }])
    }
    await cluster.world.run(work())
    await cluster.world.run(consumer.close())
    expect(cluster.shareGroup('s').count('acknowledged')).toBe(3)
  })

  test('a session that the broker forgot begins anew', async () => {
    const cluster = clusterOf(3)
    const consumer = consumerOf(cluster)
    const work = async () => {
      await consumer.poll()
      const { body, nodeId } = cluster.requests<ShareFetchRequest>(ApiKey.SHARE_FETCH)[0]!
      cluster.shareGroup('s').endSession(nodeId, body.memberId!)
      const again = await consumer.poll()
      expect(again.map(({ deliveryCount }) => deliveryCount)).toEqual([2, 2, 2])
    }
    await cluster.world.run(work())
    await cluster.world.run(consumer.close())
  })

  test.each([
    [ErrorCode.NONE, false],
    [ErrorCode.NOT_LEADER_OR_FOLLOWER, true],
  ])('an answer with error %i that names a leader is believed: %s', async (errorCode, isBelieved) => {
    const cluster = clusterOf(0)
    const consumer = consumerOf(cluster)
    const { topicId } = cluster.topics.get('t')!
    // Brokers fill in the field, with zeros, whenever they answer.
    const currentLeader = createShareFetchResponseLeaderIdAndEpoch({ leaderId: 2, leaderEpoch: 9 })
    const partitions = [createShareFetchResponsePartitionData({ errorCode, currentLeader, records: Buffer.alloc(0) })]
    let answers = 0
    cluster.intercept(ApiKey.SHARE_FETCH, () =>
      answers++ === 0
        ? createShareFetchResponse({ responses: [createShareFetchableTopicResponse({ topicId, partitions })] })
        : null,
    )
    await cluster.world.run(consumer.poll({ timeoutMs: 60 }))
    expect(cluster.brokers.get(2)!.of(ApiKey.SHARE_FETCH).length > 0).toBe(isBelieved)
    await cluster.world.run(consumer.close())
  })

  test('follows leaders and coordinators', async () => {
    const cluster = clusterOf(3, 2)
    const consumer = consumerOf(cluster)
    const seen: string[] = []
    const work = async () => {
      for (let round = 0; round < 12; round++) {
        seen.push(...valuesOf(await consumer.poll({ timeoutMs: 200 })))
        cluster.moveCoordinator(1 + (round % 2))
        if (round === 3) for (const slot of [0, 1]) cluster.partition('t', slot).moveTo(2 - slot)
        if (round === 6) for (const slot of [0, 1]) fill(cluster.partition('t', slot), [`new${slot}`])
      }
    }
    await cluster.world.run(work())
    expect(new Set(seen)).toEqual(new Set([...numbered(3), ...numbered(3, 100), 'new0', 'new1']))
    await cluster.world.run(consumer.close())
  })

  test('keeps the interval that the last answer to a heartbeat named', async () => {
    const cluster = clusterOf(1)
    const group = cluster.shareGroup('s')
    const heartbeatsMs: number[] = []
    cluster.intercept(ApiKey.SHARE_GROUP_HEARTBEAT, () => {
      heartbeatsMs.push(cluster.world.clock.monotonicMs())
      group.heartbeatIntervalMs = [500, 4000, 200][heartbeatsMs.length - 1] ?? 60_000
      return null
    })
    const consumer = consumerOf(cluster)
    await cluster.world.run(consumer.poll())
    await cluster.world.pass(20_000)
    expect(heartbeatsMs.map((timeMs) => Math.round((timeMs - heartbeatsMs[0]!) / 100))).toEqual([0, 5, 45, 47])
    await cluster.world.run(consumer.close())
  })

  test('a member that was thrown out joins again; what cannot be mended reaches the application once', async () => {
    const cluster = clusterOf(1)
    const consumer = consumerOf(cluster)
    await cluster.world.run(consumer.poll())
    cluster.shareGroup('s').members.clear()
    await cluster.world.pass(500)
    expect(cluster.shareGroup('s').members.size).toBe(1)
    let refusals = 1
    cluster.intercept(ApiKey.SHARE_GROUP_HEARTBEAT, () =>
      refusals-- > 0 ? createShareGroupHeartbeatResponse({ errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED }) : null,
    )
    await cluster.world.pass(500)
    await expect(cluster.world.run(consumer.poll({ timeoutMs: 100 }))).rejects.toMatchObject({
      code: 'GROUP_AUTHORIZATION_FAILED',
    })
    fill(cluster.partition('t'), ['more'])
    expect(valuesOf(await cluster.world.run(consumer.poll()))).toEqual(['more'])
    await cluster.world.run(consumer.close())
  })

  test('damaged bytes are rejected and reported; what lies behind them is read', async () => {
    const cluster = clusterOf(0)
    fill(cluster.partition('t'), numbered(4), 2)
    const damaged = cluster.partition('t').batches[0]!.bytes
    damaged[damaged.length - 1]! ^= 0xff
    const consumer = consumerOf(cluster)
    await expect(cluster.world.run(consumer.poll())).rejects.toMatchObject({ code: 'RECORD_UNREADABLE' })
    const poll = async () => {
      for (;;) {
        try {
          return await consumer.poll()
        } catch {
          // The same bytes again, until all of the batch is rejected.
        }
      }
    }
    expect(valuesOf(await cluster.world.run(poll()))).toEqual(['v2', 'v3'])
    await cluster.world.run(consumer.close())
    const closing = cluster.requests<ShareAcknowledgeRequest>(ApiKey.SHARE_ACKNOWLEDGE).at(-1)!
    expect(closing.body.shareSessionEpoch).toBe(-1)
  })
})
