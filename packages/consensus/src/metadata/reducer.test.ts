import { AssertionError } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { cluster, contextOf, directoryOf, idOf, imageOf, partition, registration, topic } from '../testing/cluster.ts'
import { createTopics } from './controller/create-topics.ts'
import { ConfigResourceType, configsOf, DirectoryId } from './image.ts'
import type { MetadataRecord } from './records.ts'
import { applyRecord, applyRecords, emptyImage } from './reducer.ts'

const orders = idOf(1)
const orderRecords = [topic('orders', orders), partition(orders, 0, [1, 2]), partition(orders, 1, [2, 1])]

describe('topics and partitions', () => {
  test('a topic is found by name and by id', () => {
    const image = imageOf(...cluster(1, 2), ...orderRecords)
    expect(image.topics.get('orders')).toBe(image.topicsById.get(orders))
    expect(image.topics.get('orders')?.partitions.map((p) => p.leader)).toEqual([1, 2])
  })

  test('any change moves the partition epoch, a named leader also the leader epoch', () => {
    const image = imageOf(...cluster(1, 2), ...orderRecords)
    const change = { type: 'PartitionChangeRecord', topicId: orders, partitionId: 0 } as const
    const shrunk = applyRecord(image, { ...change, isr: [1] }).topics.get('orders')!.partitions[0]!
    expect(shrunk).toMatchObject({ isr: [1], leader: 1, leaderEpoch: 0, partitionEpoch: 1 })
    const led = applyRecord(image, { ...change, leader: 1 }).topics.get('orders')!.partitions[0]!
    expect(led).toMatchObject({ leader: 1, leaderEpoch: 1, partitionEpoch: 1 })
    const leaderless = applyRecord(image, { ...change, leader: -1 }).topics.get('orders')!.partitions[0]!
    expect(leaderless).toMatchObject({ leader: -1, leaderEpoch: 1 })
  })

  test('replicas whose directories nobody told are migrating', () => {
    const image = imageOf(...cluster(1), topic('t'), partition(idOf(1), 0, [1], { directories: [] }))
    expect(image.topics.get('t')?.partitions[0]?.directories).toEqual([DirectoryId.MIGRATING])
  })

  test('removing a topic drops its configuration, and a new topic of that name starts without any', () => {
    const config: MetadataRecord = {
      type: 'ConfigRecord',
      resourceType: ConfigResourceType.TOPIC,
      resourceName: 'orders',
      name: 'retention.ms',
      value: '1',
    }
    const image = imageOf(...cluster(1, 2), ...orderRecords, config)
    const { image: after, delta } = applyRecords(image, [
      { type: 'RemoveTopicRecord', topicId: orders },
      topic('orders', idOf(2)),
      partition(idOf(2), 0, [1]),
    ])
    expect(after.topics.get('orders')?.id).toBe(idOf(2))
    expect(after.topicsById.has(orders)).toBe(false)
    expect(configsOf(after, ConfigResourceType.TOPIC, 'orders').size).toBe(0)
    expect(delta.removedTopics).toEqual([image.topics.get('orders')])
    expect([...delta.changedTopics]).toEqual(['orders'])
    expect([...delta.changedConfigs]).toEqual(['2:orders'])
  })

  test('clearing the eligible replicas touches only partitions that have some', () => {
    const elr = { eligibleLeaderReplicas: [2], lastKnownElr: [3] }
    const image = imageOf(...cluster(1, 2), topic('t'), partition(idOf(1), 0, [1, 2], elr), partition(idOf(1), 1, [1]))
    const after = applyRecord(image, { type: 'ClearElrRecord', topicName: '' }).topics.get('t')!
    expect(after.partitions[0]).toMatchObject({ elr: [], lastKnownElr: [], partitionEpoch: 1 })
    expect(after.partitions[1]).toMatchObject({ partitionEpoch: 0 })
  })

  test('records that contradict the image are a broken log', () => {
    const image = imageOf(...cluster(1, 2), ...orderRecords)
    const broken: MetadataRecord[] = [
      topic('orders', idOf(9)),
      topic('other', orders),
      partition(idOf(9), 0, [1]),
      partition(orders, 3, [1]),
      { type: 'PartitionChangeRecord', topicId: orders, partitionId: 2 },
      { type: 'RemoveTopicRecord', topicId: idOf(9) },
      { type: 'ClearElrRecord', topicName: 'nothing' },
      { type: 'UnregisterBrokerRecord', brokerId: 1, brokerEpoch: 11 },
      { type: 'FenceBrokerRecord', id: 3, epoch: 30 },
    ]
    for (const record of broken) expect(() => applyRecord(image, record), record.type).toThrow(AssertionError)
  })
})

describe('brokers, features, producer ids', () => {
  test('registration changes touch only what they name', () => {
    const image = imageOf(...cluster(1))
    const change = { type: 'BrokerRegistrationChangeRecord', brokerId: 1, brokerEpoch: 10 } as const
    expect(applyRecord(image, { ...change, fenced: true }).brokers.get(1)).toMatchObject({
      fenced: true,
      inControlledShutdown: false,
      directories: [directoryOf(1)],
    })
    const lost = applyRecord(image, { ...change, logDirs: [] }).brokers.get(1)!
    expect(lost).toMatchObject({ fenced: false, directories: [] })
  })

  test('the older fence records and the removal of a broker apply to the registered epoch', () => {
    const image = imageOf(...cluster(1))
    const fenced = applyRecord(image, { type: 'FenceBrokerRecord', id: 1, epoch: 10 })
    expect(fenced.brokers.get(1)?.fenced).toBe(true)
    expect(applyRecord(fenced, { type: 'UnfenceBrokerRecord', id: 1, epoch: 10 }).brokers.get(1)?.fenced).toBe(false)
    expect(applyRecord(image, { type: 'UnregisterBrokerRecord', brokerId: 1, brokerEpoch: 10 }).brokers.size).toBe(0)
  })

  test('a feature at level 0 is gone', () => {
    const image = imageOf({ type: 'FeatureLevelRecord', name: 'group.version', featureLevel: 1 })
    expect(image.features.get('group.version')).toBe(1)
    const off = applyRecord(image, { type: 'FeatureLevelRecord', name: 'group.version', featureLevel: 0 })
    expect(off.features.has('group.version')).toBe(false)
  })

  test('producer ids only grow', () => {
    const block = { type: 'ProducerIdsRecord', brokerId: 1, brokerEpoch: 10 } as const
    const image = imageOf({ ...block, nextProducerId: 1000 })
    expect(image.nextProducerId).toBe(1000)
    expect(() => applyRecord(image, { ...block, nextProducerId: 1000 })).toThrow(AssertionError)
  })

  test('configuration that loses its last key is gone', () => {
    const config = { type: 'ConfigRecord', resourceType: ConfigResourceType.GROUP, resourceName: 'g' } as const
    const set = imageOf({ ...config, name: 'a', value: '1' }, { ...config, name: 'b', value: '2' })
    expect(configsOf(set, ConfigResourceType.GROUP, 'g')).toEqual(
      new Map([
        ['a', '1'],
        ['b', '2'],
      ]),
    )
    const one = applyRecord(set, { ...config, name: 'a', value: null })
    expect(configsOf(one, ConfigResourceType.GROUP, 'g').size).toBe(1)
    expect(applyRecord(one, { ...config, name: 'b', value: null }).configs.size).toBe(0)
    expect(set.configs.size).toBe(1)
  })
})

test('images are never changed, and the offset counts records', () => {
  const before = imageOf(...cluster(1, 2), ...orderRecords)
  const frozen = JSON.stringify([...before.topics])
  const { image } = applyRecords(before, [
    { type: 'PartitionChangeRecord', topicId: orders, partitionId: 0, isr: [2], leader: 2 },
    registration(3),
    { type: 'NoOpRecord' },
  ])
  expect(JSON.stringify([...before.topics])).toBe(frozen)
  expect(before.brokers.size).toBe(2)
  expect(image.offset).toBe(before.offset + 3)
})

test('ten thousand partitions in one topic are applied together', () => {
  const context = contextOf(imageOf(...cluster(1)))
  const request = { name: 'wide', numPartitions: 9999, replicationFactor: 1, assignments: [], configs: [] }
  const { records, response } = createTopics(context, { topics: [request], validateOnly: false })
  expect(response[0]?.errorCode).toBe(0)
  const { image } = applyRecords(context.image, records)
  expect(image.topics.get('wide')?.partitions.length).toBe(9999)
})

test('an empty image has the cluster id and nothing else', () => {
  expect(emptyImage('abc')).toMatchObject({ clusterId: 'abc', offset: 0, nextProducerId: 0 })
  expect(emptyImage('abc').topics.size).toBe(0)
})
