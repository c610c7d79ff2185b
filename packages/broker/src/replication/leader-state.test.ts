import { SimulatedClock, type Uuid } from '@millrace/base'
import { DirectoryId, type PartitionImage } from '@millrace/consensus'
import { describe, expect, it } from 'vitest'
import { partitionImage } from '../partition/testing/fake-partition.ts'
import { type LeaderContext, LeaderState } from './leader-state.ts'

const MAX_LAG_MS = 1_000
const FAILED = 'MAAAAAAAAAAAAAAAAAAAAA' as Uuid

/** Leader 1 with followers 2 and 3, whose brokers have the epochs 20 and 30. */
function setUp(image: Partial<PartitionImage> = {}, epochStartOffset = 0) {
  const clock = new SimulatedClock()
  const inactive = new Set<number>()
  const context: LeaderContext = {
    clock,
    maxLagMs: MAX_LAG_MS,
    brokerEpochOf: (id) => id * 10,
    isActive: (id, directory) => !inactive.has(id) && directory !== FAILED,
  }
  const whole = partitionImage({ replicas: [1, 2, 3], isr: [1, 2, 3], partitionEpoch: 5, ...image })
  const leader = new LeaderState(1, whole, epochStartOffset, context)
  const fetch = (id: number, offset: number, leaderEnd: number, brokerEpoch = id * 10): boolean =>
    leader.onFetch(leader.follower(id)!, offset, 0, brokerEpoch, leaderEnd)
  return { clock, inactive, leader, image: whole, fetch }
}

describe('a leader', () => {
  it('commits what all in-sync replicas have, and nothing before all of them have fetched', () => {
    const { leader, fetch } = setUp()
    expect(leader.committedOffset(10)).toBe(-1)
    fetch(2, 8, 10)
    expect(leader.committedOffset(10)).toBe(-1)
    fetch(3, 6, 10)
    expect(leader.committedOffset(10)).toBe(6)
    fetch(3, 12, 10)
    expect(leader.committedOffset(10)).toBe(8)
  })

  it('counts a replica from the moment that it is proposed, not from that it is committed', () => {
    const { leader, fetch } = setUp({ isr: [1, 2] })
    fetch(2, 10, 10)
    expect(leader.committedOffset(10)).toBe(10)
    fetch(3, 9, 12)
    const proposal = leader.expansion(leader.follower(3)!, 9)!
    expect(proposal.isr).toEqual([1, 2, 3])
    expect(leader.maximalIsrCount).toBe(3)
    fetch(2, 12, 12)
    expect(leader.committedOffset(12)).toBe(9)
    leader.onRefused(proposal)
    expect(leader.maximalIsrCount).toBe(2)
  })

  it('counts a replica until it is known to have left', () => {
    const { clock, leader, fetch } = setUp()
    for (const id of [2, 3]) fetch(id, 5, 5)
    clock.advance(MAX_LAG_MS + 1)
    fetch(2, 10, 10)
    const proposal = leader.shrinking(10)!
    expect(proposal.isr).toEqual([1, 2])
    expect(leader.committedOffset(10)).toBe(5)
    const committed = { isr: [1, 2], leaderEpoch: 3, partitionEpoch: 6, leaderRecoveryState: 0 as const }
    expect(leader.onCommitted(proposal, committed)).toBe(true)
    expect(leader.committedOffset(10)).toBe(10)
    expect(leader.partitionEpoch).toBe(6)
  })

  it('proposes one change at a time, with the epochs that the followers fetched with', () => {
    const { leader, fetch } = setUp({ isr: [1] })
    fetch(2, 5, 5)
    fetch(3, 5, 5)
    const proposal = leader.expansion(leader.follower(2)!, 5)!
    expect(proposal).toMatchObject({ leaderEpoch: 3, partitionEpoch: 5, leaderRecoveryState: 0 })
    expect(proposal.members).toEqual([
      { brokerId: 1, brokerEpoch: 10 },
      { brokerId: 2, brokerEpoch: 20 },
    ])
    expect(leader.expansion(leader.follower(3)!, 5)).toBeNull()
    expect(leader.shrinking(5)).toBeNull()
  })

  it('takes in who has all that is committed and all of earlier leaders', () => {
    const { leader, fetch } = setUp({ isr: [1] }, 7)
    fetch(2, 6, 9)
    expect(leader.expansion(leader.follower(2)!, 6)).toBeNull()
    fetch(2, 7, 9)
    expect(leader.expansion(leader.follower(2)!, 8)).toBeNull()
    expect(leader.expansion(leader.follower(2)!, 7)).not.toBeNull()
  })

  it('takes in nobody who is fenced, shuts down, or has restarted since', () => {
    const { leader, fetch, inactive } = setUp({ isr: [1] })
    inactive.add(2)
    fetch(2, 5, 5)
    expect(leader.expansion(leader.follower(2)!, 5)).toBeNull()
    fetch(3, 5, 5, 31)
    expect(leader.expansion(leader.follower(3)!, 5)).toBeNull()
    inactive.delete(2)
    expect(leader.expansion(leader.follower(2)!, 5)).not.toBeNull()
  })

  it('takes in nobody whose directory has failed, and does not wait for it either', () => {
    const { leader, fetch, image } = setUp({ isr: [1] })
    fetch(2, 5, 5)
    const { UNASSIGNED } = DirectoryId
    leader.onImage({ ...image, directories: [UNASSIGNED, FAILED, UNASSIGNED] })
    expect(leader.expansion(leader.follower(2)!, 5)).toBeNull()
    expect(leader.committedOffset(6)).toBe(6)
    leader.onImage({ ...image, directories: [UNASSIGNED, UNASSIGNED, UNASSIGNED] })
    expect(leader.expansion(leader.follower(2)!, 5)).not.toBeNull()
  })

  it('counts the fetches of nobody but the life of a broker that is registered', () => {
    const { leader, fetch } = setUp()
    for (const epoch of [19, 21, -1]) expect(fetch(2, 5, 5, epoch)).toBe(false)
    expect(leader.follower(2)!.endOffset).toBe(-1)
    expect(fetch(2, 5, 5)).toBe(true)
    expect(leader.follower(2)!.endOffset).toBe(5)
  })

  it('waits with what it commits for one that is about to join', () => {
    const { clock, leader, fetch } = setUp({ isr: [1, 2] })
    fetch(2, 10, 10)
    fetch(3, 9, 9)
    expect(leader.committedOffset(10)).toBe(9)
    clock.advance(MAX_LAG_MS + 1)
    expect(leader.committedOffset(10)).toBe(10)
  })

  it('takes for caught up who reaches where the end was at the fetch before', () => {
    const { clock, leader, fetch } = setUp()
    fetch(3, 10, 10)
    for (let at = 10; at < 50; at += 10) {
      clock.advance(MAX_LAG_MS / 2)
      fetch(2, at, at + 10)
      fetch(3, at + 10, at + 10)
    }
    expect(leader.shrinking(50)).toBeNull()
    clock.advance(MAX_LAG_MS + 1)
    fetch(3, 50, 50)
    expect(leader.shrinking(50)?.isr).toEqual([1, 3])
  })

  it('keeps both sets while it does not know, and forgets its proposal when the metadata has gone on', () => {
    const { leader, image, fetch } = setUp({ isr: [1] })
    fetch(2, 5, 5)
    const proposal = leader.expansion(leader.follower(2)!, 5)!
    const stale = { isr: [1], leaderEpoch: 3, partitionEpoch: 4, leaderRecoveryState: 0 as const }
    expect(leader.onCommitted(proposal, stale)).toBe(false)
    expect(leader.maximalIsrCount).toBe(2)
    leader.onImage(image)
    expect(leader.proposal).toBe(proposal)
    leader.onImage({ ...image, partitionEpoch: 6, isr: [1] })
    expect(leader.proposal).toBeNull()
    expect(leader.maximalIsrCount).toBe(1)
  })

  it('keeps what it knows of replicas through other metadata', () => {
    const { leader, image, fetch } = setUp()
    fetch(2, 5, 5)
    leader.onImage({ ...image, replicas: [1, 2, 4], isr: [1, 2], partitionEpoch: 6 })
    expect(leader.follower(2)!.endOffset).toBe(5)
    expect(leader.follower(3)).toBeNull()
    expect(leader.follower(4)!.isCounted).toBe(false)
  })

  it('says once that it has recovered from an unclean election', () => {
    const { leader } = setUp({ isr: [1], leaderRecoveryState: 1 })
    const proposal = leader.recovery()!
    expect(proposal).toMatchObject({ isr: [1], leaderRecoveryState: 0 })
    leader.onCommitted(proposal, { isr: [1], leaderEpoch: 3, partitionEpoch: 6, leaderRecoveryState: 0 })
    expect(leader.recovery()).toBeNull()
  })
})
