import type { Partition } from '@millrace/broker'
import { describe, expect, it } from 'vitest'
import { World } from '../../world/world.ts'
import { ExactlyOnceGhost } from './exactly-once-ghost.ts'
import { IdentityGhost } from './identity-ghost.ts'
import { StableOffsetGhost } from './stable-offset-ghost.ts'
import { type GhostTransaction, TransactionGhost } from './transaction-ghost.ts'

/** A ghost of those who read, process and write, with the ghost of their transactions. */
function exactlyOnce() {
  const world = new World(1)
  const transactions = new TransactionGhost(world)
  const life = transactions.onIdentityAsked('a')
  transactions.onIdentified(life)
  const ghost = new ExactlyOnceGhost(world, transactions)
  const sent = (offset: number): GhostTransaction => {
    const transaction = transactions.begin(life, 1_000)
    ghost.onSendOffsets(transaction, new Map([[0, offset]]))
    return transaction
  }
  const commit = (transaction: GhostTransaction): void => {
    transactions.onCommitting(transaction)
    transactions.onCommitted(transaction)
  }
  return { ghost, transactions, sent, commit }
}

const LATER_MS = 1

describe('ExactlyOnceGhost', () => {
  it('finds an offset that is visible before its transaction is to be committed, or after its abort (T7)', () => {
    const { ghost, transactions, sent } = exactlyOnce()
    const transaction = sent(4)
    const look = () => ghost.check(new Map([[0, 4]]), LATER_MS)
    expect(look).toThrow('T7')
    transactions.onCommitting(transaction)
    expect(look).not.toThrow()
    const other = sent(8)
    transactions.onAborting(other)
    expect(() => ghost.check(new Map([[0, 8]]), LATER_MS)).toThrow('T7')
  })

  it('holds against a transaction that its offset was seen', () => {
    const { ghost, transactions, sent } = exactlyOnce()
    const transaction = sent(4)
    transactions.onCommitting(transaction)
    ghost.check(new Map([[0, 4]]), LATER_MS)
    expect(() => transactions.onAborting(transaction)).toThrow('T2')
  })

  it('finds committed offsets that are lost, or older than they were, unless an old coordinator tells it (T7)', () => {
    const { ghost, sent, commit } = exactlyOnce()
    commit(sent(4))
    commit(sent(8))
    expect(() => ghost.check(new Map(), LATER_MS)).toThrow('T7')
    expect(() => ghost.check(new Map([[0, 4]]), LATER_MS)).toThrow('T7')
    expect(() => ghost.check(new Map([[0, 4]]), LATER_MS, true)).not.toThrow()
    expect(() => ghost.check(new Map([[0, 8]]), LATER_MS)).not.toThrow()
    expect(() => ghost.check(new Map([[0, 9]]), LATER_MS)).toThrow('T7')
  })

  it('finds inputs with two outputs, with none, with one too many, and outputs of nothing (T8)', () => {
    const { ghost } = exactlyOnce()
    const input = new Map([
      [0, 'a'],
      [2, 'b'],
      [5, 'c'],
    ])
    const check = (outputs: string[], committed: number) => () => ghost.checkComplete(0, input, outputs, committed)
    expect(check(['1.0 0@0', '1.1 0@2', '1.2 1@3'], 3)).not.toThrow()
    expect(check(['1.0 0@0', '1.1 0@2', '2.0 0@2'], 3)).toThrow('T8')
    expect(check(['1.0 0@0'], 3)).toThrow('T8')
    expect(check(['1.0 0@0', '1.1 0@2', '1.2 0@5'], 3)).toThrow('T8')
    expect(check(['1.0 0@0', '1.1 0@1', '1.2 0@2'], 3)).toThrow('T8')
  })
})

describe('IdentityGhost', () => {
  const described = (producerId: bigint, producerEpoch: number, state = 'Empty') => {
    return { transactionalId: 'a', state, producerId, producerEpoch }
  }

  it('finds another producer id, an epoch that goes back, a state that there is not, and an id that is forgotten (T3)', () => {
    const ghost = new IdentityGhost(new World(1))
    expect(() => ghost.onUnknown('a')).not.toThrow()
    ghost.onDescribed(described(5n, 3))
    ghost.onDescribed(described(5n, 4, 'Ongoing'))
    expect(() => ghost.onDescribed(described(6n, 4))).toThrow('T3')
    expect(() => ghost.onDescribed(described(5n, 3))).toThrow('T3')
    expect(() => ghost.onDescribed(described(5n, 4, 'Dead'))).toThrow('T3')
    expect(() => ghost.onUnknown('a')).toThrow('T3')
  })

  it('bears with what an old coordinator tells, but for another producer id', () => {
    const ghost = new IdentityGhost(new World(1))
    ghost.onDescribed(described(5n, 3))
    expect(() => ghost.onDescribed(described(5n, 2), true)).not.toThrow()
    expect(() => ghost.onUnknown('a', true)).not.toThrow()
    expect(() => ghost.onDescribed(described(6n, 2), true)).toThrow('T3')
    expect(() => ghost.onDescribed(described(5n, 2))).toThrow('T3')
  })
})

/** As much of a replica as the ghost looks at. */
class FakeReplica {
  leaderEpoch = 1
  isLeading = true
  isHighWatermarkCurrent = true
  isLoaded = true
  lastStableOffset = 0
  highWatermark = 10
  aborted: { producerId: number; firstOffset: number }[] = []
  producers = [{ producerId: 1, producerEpoch: 2, coordinatorEpoch: 3 }]

  get broker(): { partitions(): Iterable<Partition> } {
    const partition = {
      topic: 't',
      partition: 0,
      leaderEpoch: this.leaderEpoch,
      leading: this.isLeading ? {} : null,
      isHighWatermarkCurrent: this.isHighWatermarkCurrent,
      log: {
        lastStableOffset: this.lastStableOffset,
        highWatermark: this.highWatermark,
        logStartOffset: 0,
        logEndOffset: 10,
        producerStates: { isLoaded: this.isLoaded },
        producers: () => this.producers,
        openTransactions: () => [],
        abortedTransactions: () => this.aborted,
      },
    }
    return { partitions: () => [partition as unknown as Partition] }
  }
}

function stableOffsets(firstOpenOffset = Number.POSITIVE_INFINITY) {
  const world = new World(1)
  const replicas = [new FakeReplica(), new FakeReplica()]
  replicas[1]!.isLeading = false
  const nodes = replicas.map((replica, id) => ({
    id,
    get broker() {
      return replica.broker
    },
  }))
  const open = { firstOpenOffset: () => firstOpenOffset }
  const ghost = new StableOffsetGhost(world, new Set(['t']), () => nodes, open)
  return { world, ghost, leader: replicas[0]!, follower: replicas[1]! }
}

describe('StableOffsetGhost', () => {
  it('finds one beyond the high watermark, and one that goes back (T6)', () => {
    const { ghost, leader } = stableOffsets()
    leader.lastStableOffset = 6
    ghost.observe()
    leader.lastStableOffset = 5
    expect(() => ghost.observe()).toThrow('T6')
    leader.lastStableOffset = 11
    expect(() => ghost.observe()).toThrow('T6')
  })

  it('finds one beyond the beginning of an open transaction, while no clock was set (T6)', () => {
    const { ghost, leader, world } = stableOffsets(4)
    leader.lastStableOffset = 4
    ghost.observe()
    leader.lastStableOffset = 5
    expect(() => ghost.observe()).toThrow('T6')
    world.fault('clock jump', 0)
    expect(() => ghost.observe()).not.toThrow()
  })

  it.each([
    ['whose epoch is over', ({ follower }: { follower: FakeReplica }) => Object.assign(follower, { leaderEpoch: 2 })],
    [
      'that does not know yet what is committed',
      ({ leader }: { leader: FakeReplica }) => Object.assign(leader, { isHighWatermarkCurrent: false }),
    ],
    [
      'that has not built its state',
      ({ leader }: { leader: FakeReplica }) => Object.assign(leader, { isLoaded: false }),
    ],
  ])('does not judge a leader %s', (_, change) => {
    const { ghost, leader, follower } = stableOffsets()
    leader.lastStableOffset = 6
    ghost.observe()
    leader.lastStableOffset = 5
    change({ leader, follower })
    expect(() => ghost.observe()).not.toThrow()
  })

  it('tells which partitions are held back, and in what replicas differ', () => {
    const { ghost, leader, follower } = stableOffsets()
    expect(ghost.unstable()).toEqual(['t-0'])
    leader.lastStableOffset = 10
    expect(ghost.unstable()).toEqual([])
    expect(ghost.difference()).toBeNull()
    follower.aborted = [{ producerId: 1, firstOffset: 2 }]
    expect(ghost.difference()).toContain('1@2')
    follower.aborted = []
    follower.producers = []
    expect(ghost.difference()).not.toBeNull()
  })
})
