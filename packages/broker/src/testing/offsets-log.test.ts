import type { SimulatedDisk } from '@millrace/base'
import {
  BatchBuilder,
  createFindCoordinatorRequest,
  createOffsetCommitRequest,
  createOffsetCommitRequestPartition,
  createOffsetCommitRequestTopic,
  createOffsetFetchRequest,
  createOffsetFetchRequestGroup,
  createOffsetFetchRequestTopics,
  ErrorCode,
  findCoordinatorApi,
  offsetCommitApi,
  offsetFetchApi,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { START_MS } from './batches.ts'
import type { DataClient } from './data-client.ts'
import { TestBroker } from './test-broker.ts'

/** Goal: what a broker finds in the log of its groups' offsets at a start, from garbage to damage, costs as little as it can. */

const LOG = '/data/__consumer_offsets-0/00000000000000000000.log'

async function commit(client: DataClient, topic: string, committedOffset: number): Promise<number> {
  const partitions = [createOffsetCommitRequestPartition({ partitionIndex: 0, committedOffset })]
  const topics = [createOffsetCommitRequestTopic({ name: topic, partitions })]
  const request = createOffsetCommitRequest({ groupId: 'g', generationIdOrMemberEpoch: -1, topics })
  return (await client.call(offsetCommitApi, 8, request)).topics[0]!.partitions[0]!.errorCode
}

/** The group's error, or its offsets of `t` and `u`. */
async function offsets(client: DataClient): Promise<number | (number | bigint)[]> {
  const topics = ['t', 'u'].map((name) => createOffsetFetchRequestTopics({ name, partitionIndexes: [0] }))
  const request = createOffsetFetchRequest({ groups: [createOffsetFetchRequestGroup({ groupId: 'g', topics })] })
  const group = (await client.call(offsetFetchApi, 8, request)).groups[0]!
  return group.errorCode || group.topics.map(({ partitions }) => partitions[0]!.committedOffset)
}

/** A broker that has committed an offset of `t`, then one of `u`, and whatever `more` does. */
async function committed(more: (broker: TestBroker) => Promise<void> = async () => undefined): Promise<SimulatedDisk> {
  const broker = await TestBroker.start()
  const client = broker.connect()
  await client.createTopic('t')
  await client.createTopic('u')
  await client.call(findCoordinatorApi, 4, createFindCoordinatorRequest({ coordinatorKeys: ['g'] }))
  await broker.idle()
  expect(await commit(client, 't', 5)).toBe(0)
  expect(await commit(client, 'u', 9)).toBe(0)
  await more(broker)
  await broker.stop()
  broker.assertSound()
  return broker.disk.killed()
}

describe('the log of committed offsets', () => {
  it('may hold what no coordinator wrote: everything else is served', async () => {
    const disk = await committed(async (broker) => {
      const admin = broker.connect()
      // The one name under which a client may write there.
      admin.clientId = '__admin_client'
      const garbage = new BatchBuilder()
      for (const key of ['x', 'garbage', '\0\u0001']) garbage.append(START_MS, key, 'no value of ours')
      expect((await admin.produce('__consumer_offsets', Buffer.from(garbage.build()))).errorCode).toBe(0)
    })
    await TestBroker.run({ disk }, async (client, broker) => {
      await broker.idle()
      expect(await offsets(client)).toEqual([5, 9])
      expect(await commit(client, 't', 6)).toBe(0)
      expect(await offsets(client)).toEqual([6, 9])
      const line = broker.logger.lines.find(({ message }) => message.startsWith('coordinator skipped records'))
      expect(line?.fields).toMatchObject({ partition: 0, count: 2, firstOffset: 2, lastOffset: 4 })
    })
  })

  it('with a damaged batch serves no group, until that is accepted', async () => {
    const disk = await committed()
    disk.corrupt(LOG, 70, 1)
    const broker = await TestBroker.start({ disk })
    const client = broker.connect()
    await broker.idle()
    expect(await offsets(client)).toBe(ErrorCode.NOT_COORDINATOR)
    expect(broker.logger.messages('error')).toEqual(['damaged batches found', 'coordinator failed to load'])
    expect(await client.alterTopic('__consumer_offsets', { 'unclean.leader.election.enable': 'true' })).toBe(0)
    await broker.idle()
    expect(await offsets(client)).toEqual([-1, 9])
    expect(broker.logger.messages('error').at(-1)).toBe('coordinator goes on without what its log has lost')
    await broker.stop()
    expect(broker.fatalErrors).toEqual([])
  })
})
