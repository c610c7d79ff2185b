import { describe, expect, test } from 'vitest'
import { idOf } from '../testing/cluster.ts'
import { isRepeatable } from './repeatable.ts'

describe('what may have been done is asked again only if that does no harm', () => {
  const creation = { name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }
  const alteration = (configOperation: number) => ({
    validateOnly: false,
    resources: [{ resourceType: 2, resourceName: 't', configs: [{ name: 'a', configOperation, value: 'b' }] }],
  })
  const move = (replicas: number[] | null) => ({
    allowReplicationFactorChange: true,
    topics: [{ name: 't', partitions: [{ partitionIndex: 0, replicas }] }],
  })

  test('a creation would fail on itself, a check of one does not', () => {
    expect(isRepeatable('createTopics', { topics: [creation], validateOnly: false })).toBe(false)
    expect(isRepeatable('createTopics', { topics: [creation], validateOnly: true })).toBe(true)
    expect(isRepeatable('deleteTopics', { topics: [{ name: 't', topicId: idOf(1) }] })).toBe(false)
  })

  test('values that are set, not values that are added to', () => {
    expect([0, 1, 2, 3].map((operation) => isRepeatable('incrementalAlterConfigs', alteration(operation)))).toEqual([
      true,
      true,
      false,
      false,
    ])
  })

  test('a target, not its cancellation', () => {
    expect(isRepeatable('alterPartitionReassignments', move([1, 2]))).toBe(true)
    expect(isRepeatable('alterPartitionReassignments', move(null))).toBe(false)
  })

  test('ACLs that may be there already, not the list of those that went', () => {
    expect(isRepeatable('createAcls', { creations: [] })).toBe(true)
    expect(isRepeatable('deleteAcls', { filters: [] })).toBe(false)
  })

  test('what compares before it sets, and what only reads', () => {
    expect(isRepeatable('alterPartition', { brokerId: 1, brokerEpoch: 1, partitions: [] })).toBe(true)
    expect(isRepeatable('readBarrier', {})).toBe(true)
    expect(isRepeatable('unregisterBroker', { brokerId: 1 })).toBe(false)
  })
})
