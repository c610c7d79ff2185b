import type { Uuid } from '@millrace/base'
import {
  createFindCoordinatorRequest,
  createShareFetchRequestAcknowledgementBatch,
  createShareFetchRequestFetchPartition,
  createShareFetchRequestFetchTopic,
  createShareFetchRequestForgottenTopic,
  ErrorCode,
  findCoordinatorApi,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { batchOf } from '../testing/batches.ts'
import type { DataClient } from '../testing/data-client.ts'
import { TestBroker } from '../testing/test-broker.ts'
import { alterGroup, initializeShares, ShareClient, storedSummary } from './testing/share-client.ts'
import { AcknowledgeType } from './window/acknowledge.ts'

const GROUP = 'queue'
const LOCK_MS = 30_000

interface Scene {
  readonly broker: TestBroker
  readonly client: DataClient
  readonly topicId: Uuid
  member(memberId: string): ShareClient
}

/** A broker with a topic that has these batches, and a share group at its beginning. */
async function withShares(
  batches: readonly (readonly string[])[],
  body: (scene: Scene) => Promise<void>,
  settings: Readonly<Record<string, string>> = {},
): Promise<void> {
  const numPartitions = { 'share.coordinator.state.topic.num.partitions': '2' }
  await TestBroker.run({ settings: { ...numPartitions, ...settings } }, async (client, broker) => {
    const topicId = await client.createTopic('work')
    await createStateTopic(client, broker, topicId)
    await initializeShares(broker, client, GROUP, topicId)
    await load(broker, topicId)
    for (const values of batches) await client.produce('work', batchOf([...values]))
    await body({ broker, client, topicId, member: (id) => new ShareClient(broker.connect(), GROUP, id) })
  })
}

/** A session that has the share partition loaded, and kept. */
async function load(broker: TestBroker, topicId: Uuid): Promise<void> {
  const loaded = new ShareClient(broker.connect(), GROUP, 'keeper').fetch(topicId, { maxWaitMs: 1, maxRecords: 1 })
  await broker.advance(2)
  expect(await loaded).toMatchObject({ errorCode: 0, held: [] })
}

/** Whoever looks for the coordinator has its topic made. */
async function createStateTopic(client: DataClient, broker: TestBroker, topicId: Uuid): Promise<void> {
  const request = createFindCoordinatorRequest({ keyType: 2, coordinatorKeys: [`${GROUP}:${topicId}:0`] })
  const first = await client.call(findCoordinatorApi, 6, request)
  expect(first.coordinators[0]!.errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
  await broker.idle()
  const second = await client.call(findCoordinatorApi, 6, request)
  expect(second.coordinators[0]).toMatchObject({ errorCode: 0, nodeId: broker.broker.nodeId })
}

describe('members', () => {
  test('get records that nobody else holds, and those that were released once more', () =>
    withShares([['a', 'b'], ['c']], async ({ topicId, member }) => {
      const [first, second] = [member('first'), member('second')]
      expect(await first.fetch(topicId, { maxRecords: 1 })).toMatchObject({ values: ['a', 'b'], held: ['0-1×1'] })
      expect(await second.fetch(topicId)).toMatchObject({ values: ['c'], held: ['2-2×1'] })
      expect(await first.acknowledge(topicId, 0, 1, [AcknowledgeType.RELEASE, AcknowledgeType.ACCEPT])).toBe(0)
      expect(await second.fetch(topicId)).toMatchObject({ held: ['0-0×2'] })
      expect(await second.acknowledge(topicId, 0, 0, [AcknowledgeType.ACCEPT])).toBe(0)
      expect(await second.acknowledge(topicId, 2, 2, [AcknowledgeType.ACCEPT])).toBe(0)
    }))

  test('are stored as far as they have acknowledged', () =>
    withShares([['a', 'b', 'c', 'd']], async ({ client, topicId, member }) => {
      const one = member('one')
      await one.fetch(topicId)
      await one.acknowledge(topicId, 1, 2, [AcknowledgeType.ACCEPT])
      expect(await storedSummary(client, GROUP, topicId)).toMatchObject({ startOffset: 0, deliveryCompleteCount: 2 })
      await one.acknowledge(topicId, 0, 0, [AcknowledgeType.ACCEPT])
      expect(await storedSummary(client, GROUP, topicId)).toMatchObject({ startOffset: 3, deliveryCompleteCount: 0 })
    }))

  test('lose what they hold for too long', () =>
    withShares([['a', 'b']], async ({ broker, topicId, member }) => {
      const [slow, quick] = [member('slow'), member('quick')]
      await slow.fetch(topicId)
      await broker.advance(LOCK_MS + 100)
      expect(await quick.fetch(topicId)).toMatchObject({ held: ['0-1×2'] })
      expect(await slow.acknowledge(topicId, 0, 1, [AcknowledgeType.ACCEPT])).toBe(ErrorCode.INVALID_RECORD_STATE)
      expect(await quick.acknowledge(topicId, 0, 1, [AcknowledgeType.ACCEPT])).toBe(0)
    }))

  test('keep what they renew', () =>
    withShares([['a']], async ({ broker, topicId, member }) => {
      const [slow, other] = [member('slow'), member('other')]
      await slow.fetch(topicId)
      await broker.advance(LOCK_MS - 1000)
      expect(await slow.acknowledge(topicId, 0, 0, [AcknowledgeType.RENEW], true)).toBe(0)
      await broker.advance(LOCK_MS - 1000)
      expect(await other.fetch(topicId)).toMatchObject({ held: [] })
      expect(await slow.acknowledge(topicId, 0, 0, [AcknowledgeType.ACCEPT])).toBe(0)
    }))

  test('that go give back what they hold, whether they say so or not', () =>
    withShares([['a']], async ({ broker, topicId, member }) => {
      const polite = member('polite')
      await polite.fetch(topicId)
      expect(await polite.close()).toBe(0)
      const rude = broker.connect()
      expect(await new ShareClient(rude, GROUP, 'rude').fetch(topicId)).toMatchObject({ held: ['0-0×2'] })
      rude.close()
      await broker.idle()
      expect(await member('last').fetch(topicId)).toMatchObject({ held: ['0-0×3'] })
    }))

  test('wait for records, and those who came first get them first', () =>
    withShares([], async ({ broker, client, topicId, member }) => {
      const waiting = [member('a'), member('b')].map((one) => one.fetch(topicId, { maxWaitMs: 5000, maxRecords: 1 }))
      await broker.idle()
      await client.produce('work', batchOf(['x']))
      expect(await waiting[0]).toMatchObject({ values: ['x'], held: ['0-0×1'] })
      await client.produce('work', batchOf(['y']))
      expect(await waiting[1]).toMatchObject({ values: ['y'], held: ['1-1×1'] })
    }))

  test('get so many records and no more where they ask for that', () =>
    withShares([['a', 'b', 'c', 'd']], async ({ topicId, member }) => {
      expect(await member('one').fetch(topicId, { maxRecords: 2, shareAcquireMode: 1 })).toMatchObject({
        held: ['0-1×1'],
      })
      expect(await member('two').fetch(topicId, { maxRecords: 5, shareAcquireMode: 1 })).toMatchObject({
        held: ['2-3×1'],
      })
    }))
})

describe('records', () => {
  test('are given up after so many deliveries, and stay so', () =>
    withShares([['bad', 'good']], async ({ client, topicId, member }) => {
      await alterGroup(client, GROUP, { 'share.delivery.count.limit': '2' })
      const one = member('one')
      await one.fetch(topicId)
      await one.acknowledge(topicId, 0, 1, [AcknowledgeType.RELEASE, AcknowledgeType.ACCEPT])
      expect(await one.fetch(topicId)).toMatchObject({ held: ['0-0×2'] })
      await one.acknowledge(topicId, 0, 0, [AcknowledgeType.RELEASE])
      expect(await one.fetch(topicId)).toMatchObject({ held: [] })
      expect(await storedSummary(client, GROUP, topicId)).toMatchObject({ startOffset: 2, deliveryCompleteCount: 0 })
    }))

  test('wait for their next delivery where the group says so', () =>
    withShares([['a']], async ({ broker, client, topicId, member }) => {
      await alterGroup(client, GROUP, { 'share.redelivery.delay.ms': '1000', 'share.redelivery.max.delay.ms': '1500' })
      const one = member('one')
      await one.fetch(topicId)
      await one.acknowledge(topicId, 0, 0, [AcknowledgeType.RELEASE])
      expect(await one.fetch(topicId)).toMatchObject({ held: [] })
      const later = one.fetch(topicId, { maxWaitMs: 5000 })
      await broker.advance(1100)
      expect(await later).toMatchObject({ held: ['0-0×2'] })
      await one.acknowledge(topicId, 0, 0, [AcknowledgeType.RELEASE])
      await broker.advance(1300)
      expect(await one.fetch(topicId)).toMatchObject({ held: [] })
      await broker.advance(300)
      expect(await one.fetch(topicId)).toMatchObject({ held: ['0-0×3'] })
    }))

  test('that are deleted while members hold them, or wait, move the group on', () =>
    withShares([['a', 'b', 'c']], async ({ broker, client, topicId, member }) => {
      const [holder, waiter] = [member('holder'), member('waiter')]
      await holder.fetch(topicId, { maxRecords: 3 })
      const waiting = waiter.fetch(topicId, { maxWaitMs: 10_000 })
      await broker.idle()
      await client.deleteRecords('work', 3)
      await broker.idle()
      expect(await holder.acknowledge(topicId, 0, 2, [AcknowledgeType.ACCEPT])).toBe(0)
      await client.produce('work', batchOf(['d']))
      expect(await waiting).toMatchObject({ errorCode: 0, values: ['d'], held: ['3-3×1'] })
      expect(await storedSummary(client, GROUP, topicId)).toMatchObject({ startOffset: 3 })
    }))

  test('are no more in flight than the group may have', () =>
    withShares(
      Array.from({ length: 60 }, (_, slot) => [`${slot}a`, `${slot}b`]),
      async ({ topicId, member }) => {
        const one = member('one')
        let held = 0
        for (let count = 0; count < 5; count++) {
          const given = await one.fetch(topicId, { maxRecords: 40 })
          held += given.values.length
        }
        expect(held).toBe(100)
        await one.acknowledge(topicId, 0, 9, [AcknowledgeType.ACCEPT])
        expect((await one.fetch(topicId, { maxRecords: 40 })).values).toHaveLength(10)
      },
      { 'group.share.partition.max.record.locks': '100' },
    ))
})

describe('sessions', () => {
  test('have epochs', () =>
    withShares([['a']], async ({ topicId, member }) => {
      const one = member('one')
      expect(await one.acknowledge(topicId, 0, 0, [1])).toBe(ErrorCode.INVALID_SHARE_SESSION_EPOCH)
      one.epoch = 3
      expect(await one.fetch(topicId)).toMatchObject({ errorCode: ErrorCode.SHARE_SESSION_NOT_FOUND })
      one.epoch = 0
      await one.fetch(topicId)
      one.epoch = 5
      expect(await one.fetch(topicId)).toMatchObject({ errorCode: ErrorCode.INVALID_SHARE_SESSION_EPOCH })
      one.epoch = 0
      expect(await one.fetchAnd(topicId, 0, 0, 1)).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST })
    }))

  test('are bounded', () =>
    withShares(
      [['a']],
      async ({ broker, topicId, member }) => {
        await member('one').fetch(topicId)
        const refused = member('two').fetch(topicId, { maxWaitMs: 500 })
        await broker.advance(501)
        expect(await refused).toMatchObject({ errorCode: ErrorCode.SHARE_SESSION_LIMIT_REACHED })
      },
      { 'group.share.max.share.sessions': '1' },
    ))

  test('lose a partition that is given up in the request that acknowledges its last records', () =>
    withShares([['a'], ['b']], async ({ topicId, member }) => {
      const one = member('one')
      await one.fetch(topicId, { maxRecords: 1 })
      const batch = { firstOffset: 0, lastOffset: 0, acknowledgeTypes: [AcknowledgeType.ACCEPT] }
      const acknowledgementBatches = [createShareFetchRequestAcknowledgementBatch(batch)]
      const partitions = [createShareFetchRequestFetchPartition({ partitionIndex: 0, acknowledgementBatches })]
      const given = await one.fetch(topicId, {
        topics: [createShareFetchRequestFetchTopic({ topicId, partitions })],
        forgottenTopicsData: [createShareFetchRequestForgottenTopic({ topicId, partitions: [0] })],
      })
      expect(given).toMatchObject({ errorCode: 0, acknowledgeErrorCode: 0, held: [] })
      expect((await one.fetchAll(topicId, { topics: [] })).responses).toEqual([])
      expect(await member('two').fetch(topicId)).toMatchObject({ held: ['1-1×1'] })
    }))

  test('acknowledge with a fetch, and hear of each', () =>
    withShares([['a'], ['b']], async ({ topicId, member }) => {
      const one = member('one')
      await one.fetch(topicId, { maxRecords: 1 })
      expect(await one.fetchAnd(topicId, 0, 0, AcknowledgeType.ACCEPT)).toMatchObject({
        acknowledgeErrorCode: 0,
        held: ['1-1×1'],
      })
      expect(await one.fetchAnd(topicId, 0, 5, AcknowledgeType.ACCEPT)).toMatchObject({
        acknowledgeErrorCode: ErrorCode.INVALID_REQUEST,
      })
    }))
})

test('a restarted broker goes on where members have acknowledged', async () => {
  const settings = { 'share.coordinator.state.topic.num.partitions': '1' }
  const first = await TestBroker.start({ settings })
  const client = first.connect()
  const topicId = await client.createTopic('work')
  await createStateTopic(client, first, topicId)
  await initializeShares(first, client, GROUP, topicId)
  await load(first, topicId)
  await client.produce('work', batchOf(['a', 'b', 'c', 'd']))
  const one = new ShareClient(client, GROUP, 'one')
  await one.fetch(topicId)
  const { ACCEPT, RELEASE, REJECT } = AcknowledgeType
  expect(await one.acknowledge(topicId, 0, 2, [ACCEPT, RELEASE, REJECT])).toBe(0)
  const second = await TestBroker.start({ settings, disk: first.kill(), seed: 2 })
  const other = new ShareClient(second.connect(), GROUP, 'other')
  const given = other.fetch(topicId, { maxWaitMs: 1000 })
  await second.advance(100)
  expect(await given).toMatchObject({ held: ['1-1×2', '3-3×1'] })
  await second.stop()
  second.assertSound()
})
