import { ErrorCode } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { GROUP, GroupDriver } from '../testing/group-driver.ts'

/** A group in CompletingRebalance, with a leader and a follower. */
function completing(): { driver: GroupDriver; leader: string; follower: string } {
  const driver = new GroupDriver()
  const tokens = [driver.join(), driver.join()]
  driver.advance(6000)
  const [leader, follower] = tokens.map((token) => driver.joinAnswer(token)!.memberId)
  return { driver, leader: leader!, follower: follower! }
}

describe('SyncGroup is refused', () => {
  test('with UNKNOWN_MEMBER_ID by a group that does not exist or is Empty', () => {
    const driver = new GroupDriver()
    expect(driver.syncAnswer(driver.sync({ memberId: 'a' }))?.errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    driver.join({ requiresKnownMemberId: true })
    expect(driver.state).toBe('Empty')
    expect(driver.syncAnswer(driver.sync({ memberId: 'a' }))?.errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('with UNKNOWN_MEMBER_ID from a stranger and FENCED_INSTANCE_ID from one with the instance id of another', () => {
    const driver = new GroupDriver()
    driver.stabilize([{ groupInstanceId: 'a' }])
    const errorOf = (input: { memberId: string; groupInstanceId: string | null }) =>
      driver.syncAnswer(driver.sync(input))?.errorCode
    expect(errorOf({ memberId: 'stranger', groupInstanceId: null })).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(errorOf({ memberId: 'stranger', groupInstanceId: 'b' })).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(errorOf({ memberId: 'stranger', groupInstanceId: 'a' })).toBe(ErrorCode.FENCED_INSTANCE_ID)
  })

  test('with ILLEGAL_GENERATION for another generation', () => {
    const { driver, leader } = completing()
    const answer = driver.syncAnswer(driver.sync({ memberId: leader, generationId: 2 }))
    expect(answer?.errorCode).toBe(ErrorCode.ILLEGAL_GENERATION)
  })

  test('with INCONSISTENT_GROUP_PROTOCOL for a given type or name that is not that of the group', () => {
    const { driver, leader } = completing()
    for (const input of [{ protocolType: 'connect' }, { protocolName: 'sticky' }]) {
      const answer = driver.syncAnswer(driver.sync({ memberId: leader, ...input }))
      expect(answer?.errorCode).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    }
    const token = driver.sync({ memberId: leader, protocolType: 'consumer', protocolName: 'range' })
    expect(driver.syncAnswer(token)?.errorCode).toBe(0)
  })

  test('with REBALANCE_IN_PROGRESS in PreparingRebalance', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([{}, {}])
    driver.join({ memberId: leader! })
    const answer = driver.syncAnswer(driver.sync({ memberId: follower! }))
    expect(answer?.errorCode).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
  })
})

describe('the assignment', () => {
  test('is written with the leader’s SyncGroup, and members that it leaves out get none', () => {
    const { driver, leader, follower } = completing()
    const assignments = new Map([
      [leader, Buffer.from('x')],
      ['stranger', Buffer.from('y')],
    ])
    driver.sync({ memberId: leader, assignments })
    expect(driver.records.at(-1)).toMatchObject({
      type: 'group-metadata',
      groupId: GROUP,
      value: {
        generationId: 1,
        protocolType: 'consumer',
        protocolName: 'range',
        leaderId: leader,
        members: [
          { memberId: leader, assignment: Buffer.from('x'), sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 60_000 },
          { memberId: follower, assignment: Buffer.alloc(0) },
        ],
      },
    })
    expect(driver.state).toBe('Stable')
  })

  test('is told to nobody before it is committed, and then to all', () => {
    const { driver, leader, follower } = completing()
    driver.holdsWrites = true
    const before = driver.sync({ memberId: follower })
    const assignments = new Map([[follower, Buffer.from('f')]])
    const ofLeader = driver.sync({ memberId: leader, assignments })
    expect(driver.state).toBe('CompletingRebalance')
    expect(driver.syncAnswer(ofLeader)).toBeUndefined()
    expect(driver.syncAnswer(before)).toBeUndefined()
    driver.settle(0)
    expect(driver.state).toBe('Stable')
    expect(driver.syncAnswer(ofLeader)).toMatchObject({ errorCode: 0, protocolType: 'consumer', protocolName: 'range' })
    expect(driver.syncAnswer(before)?.assignment).toEqual(Buffer.from('f'))
  })

  test('is given again in Stable, without restarting the session', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([{}, {}])
    driver.advance(9000)
    driver.heartbeat({ memberId: leader! })
    const token = driver.sync({ memberId: follower! })
    expect(driver.syncAnswer(token)?.assignment).toEqual(Buffer.from(`of ${follower}`))
    driver.advance(1000)
    expect(driver.state).toBe('PreparingRebalance')
  })

  test('is given again in Stable only when the writes before are committed, since a loaded group may not be', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([{}, {}])
    driver.holdsWrites = true
    driver.commit({ topic: 1 }, { memberId: leader!, generationId: 1 })
    const waiting = driver.sync({ memberId: follower! })
    expect(driver.syncAnswer(waiting)).toBeUndefined()
    driver.settle(0)
    expect(driver.syncAnswer(waiting)?.assignment).toEqual(Buffer.from(`of ${follower}`))

    driver.commit({ topic: 1 }, { memberId: leader!, generationId: 1 })
    const failing = driver.sync({ memberId: follower! })
    driver.settle(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    expect(driver.syncAnswer(failing)?.errorCode).toBe(ErrorCode.NOT_COORDINATOR)

    driver.commit({ topic: 1 }, { memberId: leader!, generationId: 1 })
    const late = [driver.sync({ memberId: follower! }), driver.sync({ memberId: leader! })]
    driver.leave(leader!)
    driver.settle(0)
    expect(late.map((token) => driver.syncAnswer(token)?.errorCode)).toEqual([27, 25])
  })

  test('that cannot be written fails for all members with the mapped error, and they have to join again', () => {
    const { driver, leader, follower } = completing()
    driver.holdsWrites = true
    const tokens = [driver.sync({ memberId: follower }), driver.sync({ memberId: leader })]
    driver.settle(ErrorCode.MESSAGE_TOO_LARGE)
    driver.holdsWrites = false
    for (const token of tokens) expect(driver.syncAnswer(token)?.errorCode).toBe(ErrorCode.UNKNOWN_SERVER_ERROR)
    expect(driver.state).toBe('PreparingRebalance')
    driver.join({ memberId: leader })
    const answer = driver.joinAnswer(driver.join({ memberId: follower }))
    expect(answer).toMatchObject({ errorCode: 0, generationId: 2 })
  })

  test('is void if a rebalance began before it was committed', () => {
    const { driver, leader, follower } = completing()
    driver.holdsWrites = true
    const token = driver.sync({ memberId: leader })
    driver.join()
    expect(driver.syncAnswer(token)?.errorCode).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    driver.settle(0)
    expect(driver.state).toBe('PreparingRebalance')
    expect(driver.heartbeat({ memberId: follower })).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
  })

  test('restarts the sessions of the members that waited for it', () => {
    const { driver, leader, follower } = completing()
    driver.sync({ memberId: follower })
    driver.advance(9999)
    driver.sync({ memberId: leader })
    driver.advance(9999)
    expect(driver.state).toBe('Stable')
  })

  test('stops the wait for SyncGroups when all members have sent one', () => {
    const { driver, leader, follower } = completing()
    const key = [...driver.timers.keys()].find((candidate) => candidate.startsWith('sync:'))!
    driver.sync({ memberId: leader })
    expect(driver.timers.has(key)).toBe(true)
    driver.sync({ memberId: follower })
    expect(driver.timers.has(key)).toBe(false)
  })
})

describe('a waiting SyncGroup', () => {
  test('gives way to a newer one of the same member', () => {
    const { driver, leader, follower } = completing()
    const older = driver.sync({ memberId: follower })
    const newer = driver.sync({ memberId: follower })
    expect(driver.syncAnswer(older)?.errorCode).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    driver.sync({ memberId: leader })
    expect(driver.syncAnswer(newer)?.errorCode).toBe(0)
  })

  test('behind writes that fail is answered with the mapped error and may be sent again', () => {
    const { driver, leader, follower } = completing()
    driver.holdsWrites = true
    driver.commit({ topic: 1 }, { groupId: 'other' })
    const token = driver.sync({ memberId: follower })
    driver.settle(ErrorCode.NOT_ENOUGH_REPLICAS)
    driver.holdsWrites = false
    expect(driver.syncAnswer(token)?.errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    const again = driver.sync({ memberId: follower })
    driver.sync({ memberId: leader })
    expect(driver.syncAnswer(again)?.errorCode).toBe(0)
  })

  test('of a member that leaves is answered with UNKNOWN_MEMBER_ID', () => {
    const { driver, follower } = completing()
    const token = driver.sync({ memberId: follower })
    driver.leave(follower)
    expect(driver.syncAnswer(token)?.errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })
})
