import {
  createFindCoordinatorRequest,
  createOffsetCommitRequest,
  createOffsetCommitRequestPartition,
  createOffsetCommitRequestTopic,
  createOffsetFetchRequest,
  createOffsetFetchRequestGroup,
  ErrorCode,
  findCoordinatorApi,
  offsetCommitApi,
  offsetFetchApi,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { GROUP_METADATA_TOPIC } from '../../metadata/internal-topics.ts'
import type { DataClient } from '../../testing/data-client.ts'
import { TestBroker } from '../../testing/test-broker.ts'

const GROUP_ID = 'by-hand'

async function find(client: DataClient): Promise<number> {
  const request = createFindCoordinatorRequest({ keyType: 0, coordinatorKeys: [GROUP_ID] })
  return (await client.call(findCoordinatorApi, 6, request)).coordinators[0]!.errorCode
}

async function commit(client: DataClient, committedOffset: number): Promise<number> {
  const partitions = [createOffsetCommitRequestPartition({ partitionIndex: 0, committedOffset })]
  const topics = [createOffsetCommitRequestTopic({ name: 't', partitions })]
  const request = createOffsetCommitRequest({ groupId: GROUP_ID, topics })
  return (await client.call(offsetCommitApi, 9, request)).topics[0]!.partitions[0]!.errorCode
}

/** What is committed, or the error. */
async function fetch(client: DataClient): Promise<number[] | number> {
  const groups = [createOffsetFetchRequestGroup({ groupId: GROUP_ID, topics: null })]
  const { errorCode, topics } = (await client.call(offsetFetchApi, 9, createOffsetFetchRequest({ groups }))).groups[0]!
  if (errorCode !== 0) return errorCode
  return topics.flatMap((topic) => topic.partitions.map((partition) => Number(partition.committedOffset)))
}

describe('the offsets topic', () => {
  test('that no disk could take when it was made serves its groups once there is room', async () => {
    const broker = await TestBroker.start()
    const client = broker.connect()
    await client.createTopic('t')
    broker.disk.fault = (operation, path) =>
      operation === 'create' && path.includes(GROUP_METADATA_TOPIC) ? 'DISK_FULL' : null
    await client.createTopic(GROUP_METADATA_TOPIC, 1, { 'cleanup.policy': 'compact' })
    expect(await commit(client, 1)).toBe(ErrorCode.NOT_COORDINATOR)
    broker.disk.fault = () => null
    for (let second = 0; second < 70; second++) await broker.advance(1000)
    const later = broker.connect()
    expect(await commit(later, 2)).toBe(0)
    expect(await fetch(later)).toEqual([2])
    await broker.stop()
    expect(broker.fatalErrors).toEqual([])
  })

  test('that was compacted gives a restarted broker what was committed last', async () => {
    const broker = await TestBroker.start()
    const client = broker.connect()
    const topicId = await client.createTopic('t')
    const configs = { 'internal.segment.bytes': '1000', 'min.cleanable.dirty.ratio': '0.01' }
    await client.createTopic(GROUP_METADATA_TOPIC, 1, { 'cleanup.policy': 'compact', ...configs })
    await broker.idle()
    for (let offset = 0; offset < 60; offset++) expect(await commit(client, offset)).toBe(0)
    const sizeBytes = () => folderBytes(broker, `/data/${GROUP_METADATA_TOPIC}-0`)
    const before = sizeBytes()
    await broker.advance(2_000)
    await broker.advance(16_000)
    for (let count = 0; count < 60; count++) await broker.advance(10)
    expect(sizeBytes()).toBeLessThan(before / 2)
    const again = await TestBroker.start({ disk: broker.kill() })
    again.topicIds.set('t', topicId)
    await again.idle()
    expect(await fetch(again.connect())).toEqual([59])
    await again.stop()
    expect(again.fatalErrors).toEqual([])
  })

  test('that was deleted takes its groups with it, and made again it serves new ones', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      expect(await find(client)).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
      await broker.idle()
      expect(await find(client)).toBe(0)
      expect(await commit(client, 5)).toBe(0)
      expect(await fetch(client)).toEqual([5])
      expect(await client.deleteTopic(GROUP_METADATA_TOPIC)).toBe(0)
      expect(await commit(client, 6)).toBe(ErrorCode.NOT_COORDINATOR)
      expect(await fetch(client)).toBe(ErrorCode.NOT_COORDINATOR)
      expect(await find(client)).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
      await broker.idle()
      expect(await find(client)).toBe(0)
      expect(await fetch(client)).toEqual([])
      expect(await commit(client, 7)).toBe(0)
      expect(await fetch(client)).toEqual([7])
    })
  })
})

function folderBytes({ disk }: TestBroker, path: string): number {
  const logs = disk.listDirectory(path).filter((name) => name.endsWith('.log'))
  return logs.reduce((sum, name) => sum + disk.stat(`${path}/${name}`)!.sizeBytes, 0)
}
