import {
  createFetchRequest,
  createFetchRequestFetchPartition,
  createFetchRequestFetchTopic,
  createFetchRequestReplicaState,
  ErrorCode,
  fetchApi,
} from '@millrace/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { brokerRecord, idOf, partitionRecord, topicRecords } from '../handlers/testing/images.ts'
import { batchOf } from '../testing/batches.ts'
import type { DataClient } from '../testing/data-client.ts'
import { TestBroker } from '../testing/test-broker.ts'
import { ScriptedController } from './testing/scripted-controller.ts'

/** Broker 1 leads a partition with two committed records; the test is broker 2, which follows and has both. */

const TOPIC = idOf(1)

let controller: ScriptedController
let broker: TestBroker
let client: DataClient
let follower: DataClient

beforeEach(async () => {
  controller = new ScriptedController()
  broker = await TestBroker.start({ cluster: { port: controller, clusterId: 'cluster-1' } })
  controller.commit(brokerRecord(2), ...topicRecords('t', TOPIC, [1, 2]))
  client = broker.connect()
  follower = broker.connect()
  await client.produce('t', batchOf(['a']), { acks: 1 })
  await client.produce('t', batchOf(['b']), { acks: 1 })
  await followerFetch(2, 0)
})

afterEach(async () => {
  await broker.stop()
  broker.assertSound()
})

async function followerFetch(
  fetchOffset: number,
  logStartOffset: number,
  session: { sessionId?: number; sessionEpoch?: number; maxWaitMs?: number } = {},
) {
  const partitions = [createFetchRequestFetchPartition({ fetchOffset, logStartOffset, partitionMaxBytes: 1_000 })]
  const request = createFetchRequest({
    replicaState: createFetchRequestReplicaState({ replicaId: 2, replicaEpoch: 1 }),
    maxBytes: 1_000,
    minBytes: 1,
    maxWaitMs: 0,
    sessionEpoch: -1,
    topics: [createFetchRequestFetchTopic({ topicId: TOPIC, partitions })],
    ...session,
  })
  return follower.call(fetchApi, 17, request)
}

describe('DeleteRecords of a leader', () => {
  test('is answered once the follower has deleted them too; a fetch of it that waits brings the news at once', async () => {
    const { sessionId } = await followerFetch(2, 0, { sessionEpoch: 0 })
    const waiting = followerFetch(2, 0, { sessionId, sessionEpoch: 1, maxWaitMs: 500 })
    await broker.idle()
    const deleted = client.deleteRecords('t', 2)
    await broker.idle()
    expect((await waiting).responses[0]!.partitions[0]).toMatchObject({ errorCode: 0, logStartOffset: 2 })
    expect(client.outstandingCount).toBe(1)
    await followerFetch(2, 1)
    expect(client.outstandingCount).toBe(1)
    await followerFetch(2, 2)
    expect(await deleted).toMatchObject({ errorCode: ErrorCode.NONE, lowWatermark: 2 })
  })

  test('ends with the time of the request, and tells how far it has come', async () => {
    const deleted = client.deleteRecords('t', -1)
    await broker.idle()
    await followerFetch(2, 1)
    await broker.advance(999)
    expect(client.outstandingCount).toBe(1)
    await broker.advance(1)
    expect(await deleted).toMatchObject({ errorCode: ErrorCode.REQUEST_TIMED_OUT, lowWatermark: 1 })
    expect((await client.listOffset('t', -2)).offset).toBe(2)
  })

  test('does not wait for a broker that is not alive', async () => {
    controller.commit(brokerRecord(2, { fenced: true }))
    expect(await client.deleteRecords('t', 2)).toMatchObject({ errorCode: ErrorCode.NONE, lowWatermark: 2 })
  })

  test('is told that the leadership is over', async () => {
    const deleted = client.deleteRecords('t', 2)
    await broker.idle()
    expect(client.outstandingCount).toBe(1)
    controller.commit(partitionRecord(TOPIC, 0, [1, 2], { leader: 2, leaderEpoch: 4, partitionEpoch: 6 }))
    expect(await deleted).toMatchObject({ errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER, lowWatermark: -1 })
  })

  test('forgets a client that goes away', async () => {
    client.deleteRecords('t', 2).catch(() => undefined)
    await broker.idle()
    client.socket.close()
    await broker.idle()
    await followerFetch(2, 2)
    expect(await broker.connect().deleteRecords('t', 2)).toMatchObject({ errorCode: ErrorCode.NONE })
  })
})
