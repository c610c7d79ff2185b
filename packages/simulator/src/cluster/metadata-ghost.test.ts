import { type ControllerEvents, DirectoryId, type MetadataImage } from '@millrace/consensus'
import { beforeEach, describe, expect, it } from 'vitest'
import { World } from '../world/world.ts'
import { MetadataGhost } from './metadata-ghost.ts'

/** As much of a partition as the ghost looks at. */
interface FakePartition {
  replicas: number[]
  isr: number[]
  elr: number[]
  lastKnownElr: number[]
  addingReplicas: number[]
  removingReplicas: number[]
  directories: string[]
  leader: number
  leaderEpoch: number
  partitionEpoch: number
}

const IN_SYNC: FakePartition = {
  replicas: [0, 1],
  isr: [0, 1],
  elr: [],
  lastKnownElr: [],
  addingReplicas: [],
  removingReplicas: [],
  directories: ['a', 'b'],
  leader: 0,
  leaderEpoch: 1,
  partitionEpoch: 1,
}

let world: World
let ghost: MetadataGhost
let removed: string[]
let offset: number
let partition: FakePartition

beforeEach(() => {
  world = new World(1)
  removed = []
  ghost = new MetadataGhost(world, (node, topic, id) => removed.push(`${node} ${topic}-${id}`))
  offset = 0
  partition = IN_SYNC
  tell({}, 1)
})

/** Node 1 is told of a newer image. */
function tell(change: Partial<FakePartition>, brokerEpoch: number): void {
  partition = { ...partition, ...change, partitionEpoch: partition.partitionEpoch + 1 }
  const topic = { id: 'id', name: 'orders', partitions: [partition] }
  const brokers = new Map([[1, { id: 1, epoch: brokerEpoch }]])
  const image = { offset: ++offset, topics: new Map([['orders', topic]]), brokers }
  const ignored = { onImage: () => undefined } as unknown as ControllerEvents
  ghost.watch(1, ignored, () => null).onImage(image as unknown as MetadataImage)
}

describe('MetadataGhost', () => {
  it('tells of replicas that the metadata does not name any more, and marks how moves end', () => {
    tell({ replicas: [0, 1, 2], addingReplicas: [2] }, 1)
    tell({ replicas: [0, 1], addingReplicas: [] }, 1)
    expect(removed).toEqual(['2 orders-0'])
    expect([...world.marks.keys()]).toEqual(['reassignment called off'])
    tell({ replicas: [0, 1, 2], addingReplicas: [2] }, 1)
    tell({ addingReplicas: [] }, 1)
    tell({ replicas: [0, 2], isr: [0], directories: ['a', 'c'] }, 1)
    expect(removed).toEqual(['2 orders-0', '1 orders-0'])
    expect(world.marks.get('replica added by a reassignment')).toBe(1)
    expect(world.marks.get('replica removed by a reassignment')).toBe(1)
  })

  it('R10: objects to a replica that counts without its log while somebody leads, and marks one that has it again', () => {
    const lost = ['a', DirectoryId.LOST_LOG]
    expect(() => tell({ isr: [0], elr: [1], directories: lost }, 1)).toThrow(/R10.*has a leader/)
    expect(() => tell({ isr: [], elr: [1], leader: -1, leaderEpoch: 2 }, 1)).not.toThrow()
    expect(world.marks.get('lost log counts again')).toBeUndefined()
    tell({ directories: ['a', 'b'] }, 1)
    expect(world.marks.get('lost log counts again')).toBe(1)
  })

  it('knows the newest epoch that a partition has come to', () => {
    expect(ghost.leaderEpochOf('orders', 0)).toBe(1)
    tell({ leader: 1, leaderEpoch: 2 }, 1)
    expect([ghost.leaderEpochOf('orders', 0), ghost.leaderEpochOf('others', 0)]).toEqual([2, -1])
  })

  it('R11: objects to a replica that is eligible although its directory was lost', () => {
    ghost.onDiskLost(1, 'b')
    tell({ isr: [0], elr: [1] }, 1)
    expect(() => tell({}, 2)).toThrow('R11')
  })

  it('R11: expects nothing of a replica in another directory than the one that was lost', () => {
    ghost.onDiskLost(1, 'c')
    expect(() => tell({ isr: [0], elr: [1] }, 2)).not.toThrow()
    ghost.onDiskLost(1)
    expect(() => tell({}, 3)).toThrow('R11')
  })

  it('R11: lets it lead at once where its coming into sync ends a reassignment, and else not', () => {
    ghost.onDiskLost(1)
    tell({ isr: [0], removingReplicas: [0] }, 2)
    expect(() => tell({ isr: [1], leader: 1, leaderEpoch: 2, removingReplicas: [] }, 2)).not.toThrow()
    ghost.onDiskLost(1)
    expect(() => tell({}, 3)).toThrow('R11')
  })

  it('R11: judges a lost directory only as long as the metadata has the replica there', () => {
    ghost.onDiskLost(1, 'b')
    tell({ directories: ['a', 'c'] }, 1)
    expect(() => tell({ isr: [0], elr: [1] }, 2)).not.toThrow()
  })

  it('R11: is content once the replica has come into sync again', () => {
    ghost.onDiskLost(1)
    tell({ isr: [0] }, 2)
    tell({ isr: [0, 1] }, 2)
    expect(() => tell({ isr: [0], elr: [1] }, 2)).not.toThrow()
  })
})
