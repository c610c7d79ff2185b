import { ZERO_UUID } from '@millrace/base'
import { applyRecords, emptyImage, type MetadataImage, type MetadataRecord } from '@millrace/consensus'
import { expect, test } from 'vitest'
import { topicId } from '../../testing/group-driver.ts'
import { TopicDirectory } from './topic-directory.ts'

function broker(brokerId: number, rack: string | null): MetadataRecord {
  return {
    type: 'RegisterBrokerRecord',
    brokerId,
    incarnationId: topicId('incarnation'),
    brokerEpoch: 1,
    endPoints: [{ listener: 'PLAINTEXT', host: 'broker.test', port: 9092, securityProtocol: 'PLAINTEXT' }],
    features: {},
    rack,
    fenced: false,
    inControlledShutdown: false,
    logDirs: [],
  }
}

function partition(topic: string, partitionId: number, replicas: number[]): MetadataRecord {
  return {
    type: 'PartitionRecord',
    topicId: topicId(topic),
    partitionId,
    replicas,
    directories: replicas.map(() => ZERO_UUID),
    isr: replicas,
    removingReplicas: [],
    addingReplicas: [],
    leader: replicas[0]!,
    leaderRecoveryState: 0,
    leaderEpoch: 0,
    partitionEpoch: 0,
    eligibleLeaderReplicas: [],
    lastKnownElr: [],
  }
}

const topic = (name: string): MetadataRecord => ({ type: 'TopicRecord', name, topicId: topicId(name) })

class World {
  image: MetadataImage = emptyImage('cluster')
  readonly directory = new TopicDirectory(() => this.image)

  apply(...records: MetadataRecord[]): void {
    this.image = applyRecords(this.image, records).image
  }
}

test('a hash tells of other topics, partitions and racks, not of leaders, nor of the order of names', () => {
  const world = new World()
  const { directory } = world
  world.apply(broker(1, 'a'), broker(2, 'b'), topic('x'), partition('x', 0, [1]), topic('y'), partition('y', 0, [2]))
  const hash = directory.hashOf(['x', 'y'])
  expect(hash).not.toBe(0n)
  // It stands in records.
  expect(hash).toBe(-3794047050695473978n)
  expect(directory.hashOf(['y', 'missing', 'x'])).toBe(hash)
  expect(directory.hashOf(['x'])).not.toBe(hash)
  expect(directory.hashOf(['missing'])).toBe(0n)

  const before = directory.version
  const changed = { ...(partition('x', 0, [1]) as object), leaderEpoch: 3 } as MetadataRecord
  world.apply(changed)
  expect(TopicDirectory.isSame(before, directory.version)).toBe(false)
  expect(directory.hashOf(['x', 'y'])).toBe(hash)

  world.apply(broker(2, 'c'))
  expect(directory.hashOf(['x', 'y'])).not.toBe(hash)
  world.apply(broker(2, 'b'))
  expect(directory.hashOf(['x', 'y'])).toBe(hash)
  world.apply(partition('x', 1, [1]))
  expect(directory.hashOf(['x', 'y'])).not.toBe(hash)
})

test('topics are found by name and by id, and described with the racks of their replicas', () => {
  const world = new World()
  const { directory } = world
  world.apply(broker(1, null), topic('x'), partition('x', 0, [1]))
  expect(directory.describe(topicId('x'))).toEqual({ id: topicId('x'), partitionCount: 1, racks: null })
  world.apply(broker(2, 'b'), partition('x', 1, [2, 1]))
  expect(directory.describe(topicId('x'))).toEqual({ id: topicId('x'), partitionCount: 2, racks: [[], ['b']] })
  expect(directory.describe(topicId('y'))).toBeNull()
  expect(directory.idsOf(['x', 'y'])).toEqual(new Set([topicId('x')]))
  expect([directory.nameOf(topicId('x')), directory.nameOf(topicId('y'))]).toEqual(['x', null])
  expect([directory.idOf('x'), directory.idOf('y')]).toEqual([topicId('x'), null])
  expect(directory.partitionCountOf(topicId('x'))).toBe(2)
})
