import { applyRecords, emptyImage, type MetadataRecord } from '@millrace/consensus'
import { describe, expect, it } from 'vitest'
import { fakePartition, TEST_BROKER_EPOCH } from '../partition/testing/fake-partition.ts'
import { replicaInRack } from './replica-selector.ts'
import { TestController } from './testing/test-controller.ts'

/** Node 1 leads, in rack a; 2 and 3 are in b, 4 in c. */
function setUp() {
  const controller = new TestController()
  for (const id of [1, 2, 3, 4]) {
    controller.register(id)
    controller.unfence(id)
  }
  const rackOf = (id: number): string => (id === 1 ? 'a' : id === 4 ? 'c' : 'b')
  const { brokers } = controller.image
  const image = {
    ...controller.image,
    brokers: new Map([...brokers].map(([id, b]) => [id, { ...b, rack: rackOf(id) }])),
  }
  const { partition, log } = fakePartition({ image: { replicas: [1, 2, 3, 4], isr: [1, 2, 3] } })
  log.fill(20)
  const fetched = (id: number, offset: number): void => {
    partition.onFollowerFetch(id, TEST_BROKER_EPOCH, offset, 0)
  }
  return {
    partition,
    fetched,
    choose: (offset: number, rack: string) => replicaInRack(partition, offset, rack, 1, image),
  }
}

describe('the replica for a consumer', () => {
  it('is the in-sync one of its rack that is furthest', () => {
    const { fetched, choose } = setUp()
    fetched(2, 10)
    fetched(3, 12)
    expect(choose(5, 'b')).toBe(3)
    fetched(2, 14)
    expect(choose(5, 'b')).toBe(2)
  })

  it('is the leader in its own rack, and where nobody else is', () => {
    const { fetched, choose } = setUp()
    fetched(2, 10)
    expect(choose(5, 'a')).toBe(-1)
    expect(choose(5, 'z')).toBe(-1)
  })

  it('is none that lacks the offset or is not in sync', () => {
    const { fetched, choose } = setUp()
    fetched(2, 10)
    fetched(4, 20)
    expect(choose(11, 'b')).toBe(-1)
    expect(choose(5, 'c')).toBe(-1)
  })
})

describe('the controller of these tests', () => {
  it('is of the same mind as the records that it commits', () => {
    const controller = new TestController()
    const records: MetadataRecord[] = []
    controller.onCommitted = (committed) => records.push(...committed)
    controller.register(1)
    controller.unfence(1)
    expect(applyRecords(emptyImage('cluster'), records).image.brokers.get(1)).toEqual(controller.image.brokers.get(1))
  })
})
