import type { Partition } from '@millrace/broker'
import { beforeEach, describe, expect, it } from 'vitest'
import { World } from '../world/world.ts'
import { ReplicaGhost } from './replica-ghost.ts'

/** As much of a replica as the ghost looks at. */
interface FakeReplica {
  log: { highWatermark: number; durableOffset: number; logEndOffset: number; logStartOffset: number; failed: boolean }
  leaderEpoch: number
  isr: number[] | null
  /** Epoch of each offset; those beyond the list are of the last one. */
  epochs: number[]
}

class FakeNode {
  readonly id: number
  isUp = true
  serves = true
  hosts = true
  replica: FakeReplica = {
    log: { highWatermark: 0, durableOffset: 0, logEndOffset: 0, logStartOffset: 0, failed: false },
    leaderEpoch: 1,
    isr: null,
    epochs: [1],
  }

  constructor(id: number) {
    this.id = id
  }

  get broker(): { partitions(): Iterable<Partition> } | null {
    if (!this.isUp || !this.serves) return null
    const { log, leaderEpoch, isr, epochs } = this.replica
    const epochOf = (offset: number): number => epochs[offset] ?? epochs.at(-1)!
    const partition = {
      topic: 'orders',
      partition: 0,
      // The same object each time, as a log is.
      log: Object.assign(log, { epochOf }),
      leaderEpoch,
      leading: isr === null ? null : { isr, proposal: null, leaderEpoch },
      isHighWatermarkCurrent: true,
    }
    return { partitions: () => (this.hosts ? [partition as unknown as Partition] : []) }
  }

  holds(endOffset: number, durableOffset = endOffset): void {
    this.replica.log.logEndOffset = endOffset
    this.replica.log.durableOffset = durableOffset
  }
}

let nodes: FakeNode[]
let ghost: ReplicaGhost
/** Nodes that the metadata has as in sync, eligible or leading. */
let counted: Set<number>

beforeEach(() => {
  counted = new Set([0, 1, 2])
  nodes = [new FakeNode(0), new FakeNode(1), new FakeNode(2)]
  ghost = new ReplicaGhost(
    new World(1),
    { name: 'orders', partitionCount: 1, minIsr: 2 },
    () => nodes,
    (node) => counted.has(node),
  )
  nodes[0]!.replica.isr = [0, 1, 2]
})

/** The first node leads, all hold ten records, and all of these are committed. */
function commitTen(): void {
  for (const node of nodes) node.holds(10)
  nodes[0]!.replica.log.highWatermark = 10
  ghost.observe()
}

describe('ReplicaGhost', () => {
  it('has nothing against records that all of the ISR hold', () => {
    commitTen()
    ghost.onAcked(0, 9)
    ghost.onConsumed(0, 9)
    expect(ghost.committedOffset(0)).toBe(10)
  })

  it('finds a watermark beyond what a member of the ISR holds durably (R1)', () => {
    for (const node of nodes) node.holds(10)
    nodes[2]!.holds(10, 8)
    nodes[0]!.replica.log.highWatermark = 9
    expect(() => ghost.observe()).toThrow('R1')
  })

  it('remembers what a node that is down held at its end (R1)', () => {
    commitTen()
    nodes[2]!.isUp = false
    for (const node of nodes.slice(0, 2)) node.holds(12)
    nodes[0]!.replica.log.highWatermark = 11
    expect(() => ghost.observe()).toThrow('R1')
  })

  it('expects nothing of a node that was not seen before its end, nor of one that is starting', () => {
    commitTen()
    nodes[2]!.serves = false
    for (const node of nodes.slice(0, 2)) node.holds(12)
    nodes[0]!.replica.log.highWatermark = 11
    ghost.observe()
    nodes[2]!.isUp = false
    ghost.onEnded(2, false)
    nodes[0]!.replica.log.highWatermark = 12
    expect(() => ghost.observe()).not.toThrow()
  })

  it('finds what an ended leadership committed without enough replicas (R1)', () => {
    commitTen()
    nodes[0]!.holds(12)
    nodes[0]!.replica.log.highWatermark = 12
    nodes[0]!.replica.isr = null
    expect(() => ghost.observe()).toThrow('R1')
  })

  it('finds a consumer that reads beyond the watermark (R2)', () => {
    commitTen()
    for (const node of nodes) node.holds(12)
    ghost.observe()
    expect(() => ghost.onConsumed(0, 10)).toThrow('R2')
  })

  it('finds a leader that lacks what is committed (R4)', () => {
    commitTen()
    nodes[0]!.isUp = false
    nodes[1]!.holds(9)
    Object.assign(nodes[1]!.replica, { isr: [1, 2], leaderEpoch: 2 })
    expect(() => ghost.observe()).toThrow('R4')
  })

  it('does not ask that of a leader whose epoch is over', () => {
    commitTen()
    nodes[2]!.replica.leaderEpoch = 2
    nodes[0]!.holds(9)
    expect(() => ghost.observe()).not.toThrow()
  })

  it('finds an acknowledgement that came too early (R5)', () => {
    commitTen()
    expect(() => ghost.onAcked(0, 10)).toThrow('R5')
  })

  it('does not judge what a node may lead that is starting', () => {
    commitTen()
    nodes[1]!.serves = false
    ghost.observe()
    expect(() => ghost.onAcked(0, 10)).not.toThrow()
    nodes[1]!.serves = true
    ghost.observe()
    expect(() => ghost.onAcked(0, 10)).toThrow('R5')
  })

  it('finds a follower that cuts away what is committed (R8), and lets it cut away what another epoch replaced', () => {
    commitTen()
    ghost.beforeCut(1, 0)
    nodes[1]!.holds(8)
    expect(() => ghost.afterEvent()).toThrow('R8')

    nodes[2]!.replica.epochs = [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]
    ghost.beforeCut(2, 0)
    nodes[2]!.holds(8)
    expect(() => ghost.afterEvent()).not.toThrow()
  })

  it('lets a node with damaged records cut away what is committed, once it counts for nothing (R8)', () => {
    commitTen()
    ghost.onRecordsRotten(1)
    ghost.beforeCut(1, 0)
    nodes[1]!.holds(8)
    expect(() => ghost.afterEvent()).toThrow('R8')

    nodes[1]!.holds(10)
    ghost.observe()
    counted.delete(1)
    ghost.beforeCut(1, 0)
    nodes[1]!.holds(8)
    expect(() => ghost.afterEvent()).not.toThrow()

    // Another one may not.
    counted.delete(2)
    ghost.beforeCut(2, 0)
    nodes[2]!.holds(8)
    expect(() => ghost.afterEvent()).toThrow('R8')
  })

  it.each([
    ['a lost disk', () => ghost.forget(2)],
    ['a replica that was removed', () => ghost.forgetReplica(2, 0)],
  ])('expects nothing of %s until the newest leader has let it go and taken it back (R1)', (_what, forget) => {
    commitTen()
    forget()
    nodes[2]!.holds(0)
    for (const node of nodes.slice(0, 2)) node.holds(12)
    // The leader has not heard of the loss.
    nodes[0]!.replica.log.highWatermark = 11
    ghost.observe()
    nodes[0]!.replica.isr = [0, 1]
    ghost.observe()
    nodes[0]!.replica.isr = [0, 1, 2]
    nodes[0]!.replica.log.highWatermark = 12
    expect(() => ghost.observe()).toThrow('R1')
  })

  it('counts nothing for what a serving node held of a partition that it does not host any more (R5)', () => {
    commitTen()
    nodes[0]!.replica.isr = [0]
    nodes[1]!.hosts = false
    ghost.observe()
    expect(() => ghost.onAcked(0, 9)).not.toThrow()
    nodes[2]!.hosts = false
    ghost.observe()
    expect(() => ghost.onAcked(0, 9)).toThrow('R5')
  })
})
