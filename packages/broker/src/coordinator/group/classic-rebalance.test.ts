import { ErrorCode } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { GROUP, GroupDriver } from '../testing/group-driver.ts'

describe('the first rebalance of a group', () => {
  test('waits for the initial delay', () => {
    const driver = new GroupDriver()
    const token = driver.join()
    driver.advance(2999)
    expect(driver.joinAnswer(token)).toBeUndefined()
    driver.advance(1)
    expect(driver.joinAnswer(token)).toMatchObject({ errorCode: 0, generationId: 1 })
  })

  test('waits another delay for each one in which a member came, within the largest rebalance timeout', () => {
    const driver = new GroupDriver()
    const token = driver.join({ rebalanceTimeoutMs: 10_000 })
    const answeredAt = () => driver.joinAnswer(token) !== undefined
    for (const delayMs of [3000, 3000, 3000, 1000]) {
      driver.join({ rebalanceTimeoutMs: 10_000 })
      driver.advance(delayMs - 1)
      expect(answeredAt()).toBe(false)
      driver.advance(1)
    }
    // Delays of 3000, 3000, 3000 and the last second of 10,000.
    expect(answeredAt()).toBe(true)
    expect(driver.group.members).toHaveLength(5)
  })

  test('is not ended early by a leave', () => {
    const driver = new GroupDriver()
    const token = driver.join({ groupInstanceId: 'a' })
    const other = driver.join({ groupInstanceId: 'b' })
    driver.leave({ memberId: '', groupInstanceId: 'b' })
    expect(driver.joinAnswer(other)?.errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(driver.joinAnswer(token)).toBeUndefined()
    driver.advance(6000)
    expect(driver.joinAnswer(token)).toMatchObject({ generationId: 1 })
  })

  test('takes no time without a delay, but waits for its turn', () => {
    const driver = new GroupDriver({ groupInitialRebalanceDelayMs: 0 })
    const token = driver.join()
    expect(driver.joinAnswer(token)).toBeUndefined()
    driver.advance(0)
    expect(driver.joinAnswer(token)).toMatchObject({ generationId: 1 })
  })
})

describe('a later rebalance', () => {
  test('ends as soon as all members have joined', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([{}, {}])
    const joiner = driver.join()
    const tokens = [joiner, driver.join({ memberId: leader! }), driver.join({ memberId: follower! })]
    for (const token of tokens)
      expect(driver.joinAnswer(token)).toMatchObject({ errorCode: 0, generationId: 2, leader })
  })

  test('waits for ids that were given out', () => {
    const driver = new GroupDriver()
    const [leader] = driver.stabilize([{}])
    const { memberId } = driver.joinAnswer(driver.join({ requiresKnownMemberId: true }))!
    const token = driver.join({ memberId: leader! })
    expect(driver.joinAnswer(token)).toBeUndefined()
    driver.join({ memberId })
    expect(driver.joinAnswer(token)).toMatchObject({ generationId: 2 })
  })

  test('ends when an id that was given out expires', () => {
    const driver = new GroupDriver()
    const [leader] = driver.stabilize([{}])
    driver.joinAnswer(driver.join({ requiresKnownMemberId: true }))
    const token = driver.join({ memberId: leader! })
    driver.advance(10_000)
    expect(driver.joinAnswer(token)).toMatchObject({ generationId: 2 })
  })

  test('ends without the dynamic members that do not come within the largest rebalance timeout', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([
      { rebalanceTimeoutMs: 20_000, sessionTimeoutMs: 100_000 },
      { rebalanceTimeoutMs: 30_000, sessionTimeoutMs: 100_000 },
    ])
    const token = driver.join({ memberId: follower!, protocols: [], sessionTimeoutMs: 100_000 })
    expect(driver.joinAnswer(token)?.errorCode).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    const joiner = driver.join({ sessionTimeoutMs: 100_000, rebalanceTimeoutMs: 1000 })
    driver.advance(29_999)
    expect(driver.joinAnswer(joiner)).toBeUndefined()
    driver.advance(1)
    const answer = driver.joinAnswer(joiner)!
    expect(answer).toMatchObject({ generationId: 2, leader: answer.memberId })
    expect(driver.group.members.map((member) => member.memberId)).toEqual([answer.memberId])
    expect(driver.heartbeat({ memberId: leader!, generationId: 2 })).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('makes the first waiting member the leader when the leader does not come', () => {
    const driver = new GroupDriver()
    const [, second, third] = driver.stabilize([{}, {}, {}].map(() => ({ sessionTimeoutMs: 200_000 })))
    driver.join()
    const tokens = [third, second].map((memberId) => driver.join({ memberId: memberId! }))
    driver.advance(60_000)
    for (const token of tokens) expect(driver.joinAnswer(token)).toMatchObject({ generationId: 2, leader: second })
  })

  test('keeps static members that do not come, until their sessions end', () => {
    const driver = new GroupDriver()
    const [first] = driver.stabilize([
      { sessionTimeoutMs: 100_000 },
      { groupInstanceId: 'a', sessionTimeoutMs: 100_000 },
    ])
    const token = driver.join({ memberId: first! })
    driver.advance(60_000)
    const answer = driver.joinAnswer(token)!
    expect(answer).toMatchObject({ generationId: 2 })
    expect(answer.members.map((member) => member.groupInstanceId)).toEqual([null, 'a'])
  })

  test('goes on while only absent static members are left, and leaves the group Empty when their sessions end', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([
      { groupInstanceId: 'a', sessionTimeoutMs: 400_000 },
      { groupInstanceId: 'b', sessionTimeoutMs: 400_000 },
    ])
    driver.join({ groupInstanceId: 'c', sessionTimeoutMs: 6000 })
    driver.leave({ memberId: '', groupInstanceId: 'c' })
    expect(driver.state).toBe('PreparingRebalance')
    driver.advance(130_000)
    expect(driver.state).toBe('PreparingRebalance')
    expect(driver.heartbeat({ memberId: leader! })).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    expect(driver.heartbeat({ memberId: follower! })).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    driver.advance(400_000)
    expect(driver.state).toBe('Empty')
  })

  test('fails the waiting SyncGroups of the generation that it ends', () => {
    const driver = new GroupDriver()
    const tokens = [driver.join(), driver.join()]
    driver.advance(6000)
    const follower = driver.joinAnswer(tokens[1]!)!
    const parked = driver.sync({ memberId: follower.memberId })
    driver.join()
    expect(driver.syncAnswer(parked)).toMatchObject({ errorCode: ErrorCode.REBALANCE_IN_PROGRESS })
  })
})

describe('a session that times out', () => {
  test('starts a rebalance in Stable, which ends when the others have joined', () => {
    const driver = new GroupDriver()
    const [leader] = driver.stabilize([{ sessionTimeoutMs: 30_000 }, {}])
    driver.advance(10_000)
    expect(driver.state).toBe('PreparingRebalance')
    const token = driver.join({ memberId: leader! })
    expect(driver.joinAnswer(token)).toMatchObject({ generationId: 2 })
  })

  test('of the last member leaves the group Empty in a next generation, which is written', () => {
    const driver = new GroupDriver()
    driver.stabilize([{}])
    driver.advance(10_000)
    expect(driver.state).toBe('Empty')
    expect(driver.records.at(-1)).toMatchObject({
      type: 'group-metadata',
      groupId: GROUP,
      value: { generationId: 2, protocolType: 'consumer', protocolName: null, leaderId: null, members: [] },
    })
  })

  test('is ignored while the member waits for a join, and starts anew when that is answered', () => {
    const driver = new GroupDriver()
    const [leader] = driver.stabilize([{}, { sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 40_000 }])
    const token = driver.join({ memberId: leader!, rebalanceTimeoutMs: 40_000 })
    driver.advance(39_999)
    expect(driver.group.members).toHaveLength(2)
    driver.advance(1)
    expect(driver.joinAnswer(token)).toMatchObject({ generationId: 2 })
    driver.advance(9999)
    expect(driver.heartbeat({ memberId: leader!, generationId: 2 })).toBe(0)
  })

  test('removes a new member that waits for longer than five minutes', () => {
    const driver = new GroupDriver()
    driver.stabilize([{ sessionTimeoutMs: 1_800_000, rebalanceTimeoutMs: 1_000_000 }])
    const token = driver.join()
    driver.advance(299_999)
    expect(driver.joinAnswer(token)).toBeUndefined()
    driver.advance(1)
    expect(driver.joinAnswer(token)).toMatchObject({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID, memberId: '' })
    expect(driver.group.members).toHaveLength(1)
  })

  test('ends a first rebalance early when it leaves only members that have joined', () => {
    const driver = new GroupDriver({ groupInitialRebalanceDelayMs: 20_000 })
    const token = driver.join()
    driver.join({ requiresKnownMemberId: true })
    driver.advance(10_000)
    expect(driver.joinAnswer(token)).toMatchObject({ generationId: 1 })
  })
})

describe('the phase of syncing', () => {
  test('removes members that do not send SyncGroup within the largest rebalance timeout', () => {
    const driver = new GroupDriver()
    const tokens = [driver.join({ sessionTimeoutMs: 100_000 }), driver.join({ sessionTimeoutMs: 100_000 })]
    driver.advance(6000)
    const [leader, follower] = tokens.map((token) => driver.joinAnswer(token)!.memberId)
    driver.sync({ memberId: leader!, assignments: new Map([[leader!, Buffer.from('x')]]) })
    expect(driver.state).toBe('Stable')
    driver.advance(59_999)
    expect(driver.state).toBe('Stable')
    driver.advance(1)
    expect(driver.state).toBe('PreparingRebalance')
    expect(driver.heartbeat({ memberId: follower! })).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    const token = driver.join({ memberId: leader! })
    expect(driver.joinAnswer(token)).toMatchObject({ generationId: 2 })
  })

  test('removes a leader that does not send its assignment, and the followers join again', () => {
    const driver = new GroupDriver()
    const tokens = [driver.join({ sessionTimeoutMs: 100_000 }), driver.join({ sessionTimeoutMs: 100_000 })]
    driver.advance(6000)
    const follower = driver.joinAnswer(tokens[1]!)!.memberId
    const parked = driver.sync({ memberId: follower })
    driver.advance(60_000)
    expect(driver.syncAnswer(parked)?.errorCode).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    expect(driver.joinAnswer(driver.join({ memberId: follower }))).toMatchObject({ generationId: 2, leader: follower })
  })
})

describe('a group that is loaded', () => {
  test('is Stable with its members, whose sessions start anew', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([{}, {}])
    driver.advance(9000)
    const loaded = driver.reload()
    expect(loaded.group).toEqual(driver.group)
    loaded.advance(9999)
    expect(loaded.heartbeat({ memberId: leader! })).toBe(0)
    loaded.advance(1)
    expect(loaded.state).toBe('PreparingRebalance')
    expect(loaded.heartbeat({ memberId: follower! })).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('has forgotten a generation whose assignment was never written', () => {
    const driver = new GroupDriver()
    const [leader] = driver.stabilize([{}])
    driver.join({ memberId: leader! })
    expect(driver.state).toBe('CompletingRebalance')
    expect(driver.reload().state).toBe('Stable')
  })

  test('of a thousand members is rebalanced in well under a second', () => {
    const driver = new GroupDriver()
    const memberIds = driver.stabilize(Array.from({ length: 1000 }, () => ({ rebalanceTimeoutMs: 600_000 })))
    for (let round = 2; round <= 6; round++) {
      const tokens = memberIds.map((memberId) => driver.join({ memberId }))
      expect(tokens.every((token) => driver.joinAnswer(token)?.generationId === round)).toBe(true)
      for (const memberId of memberIds.slice(1)) driver.sync({ memberId, generationId: round })
      driver.sync({ memberId: memberIds[0]!, generationId: round })
      expect(driver.state).toBe('Stable')
    }
  })
})

describe('a timer of a group whose creation was taken back', () => {
  test('does nothing to a later group of the same id', () => {
    const driver = new GroupDriver()
    driver.holdsWrites = true
    driver.join()
    driver.settle(ErrorCode.NOT_ENOUGH_REPLICAS)
    driver.holdsWrites = false
    const { errorCode } = driver.joinAnswer(driver.join({ requiresKnownMemberId: true }))!
    expect(errorCode).toBe(ErrorCode.MEMBER_ID_REQUIRED)
    driver.advance(3000)
    expect(driver.state).toBe('Empty')
  })
})

describe('unloading', () => {
  test('answers waiting joins and syncs with NOT_COORDINATOR and leaves the groups Dead', () => {
    const joining = new GroupDriver()
    const join = joining.join()
    joining.step((machine, step) => machine.onUnloaded(step))
    expect(joining.joinAnswer(join)?.errorCode).toBe(ErrorCode.NOT_COORDINATOR)

    const syncing = new GroupDriver()
    const tokens = [syncing.join(), syncing.join()]
    syncing.advance(6000)
    const follower = syncing.joinAnswer(tokens[1]!)!.memberId
    const sync = syncing.sync({ memberId: follower })
    syncing.step((machine, step) => machine.onUnloaded(step))
    expect(syncing.syncAnswer(sync)?.errorCode).toBe(ErrorCode.NOT_COORDINATOR)
    expect(syncing.joinAnswer(syncing.join())?.errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(syncing.syncAnswer(syncing.sync({ memberId: follower }))?.errorCode).toBe(
      ErrorCode.COORDINATOR_NOT_AVAILABLE,
    )
    expect(syncing.heartbeat({ memberId: follower })).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(syncing.leave(follower).errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(syncing.commit({ topic: 1 }).errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
  })
})
