import { ErrorCode } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { GROUP, GroupDriver, subscription } from '../testing/group-driver.ts'

const A = { groupInstanceId: 'a', sessionTimeoutMs: 30_000 }
const B = { groupInstanceId: 'b', sessionTimeoutMs: 30_000 }

describe('a static member', () => {
  test('gets an id that begins with its instance id, without joining twice', () => {
    const driver = new GroupDriver()
    const token = driver.join({ ...A, requiresKnownMemberId: true })
    driver.advance(3000)
    const answer = driver.joinAnswer(token)!
    expect(answer.errorCode).toBe(0)
    expect(answer.memberId).toMatch(/^a-[0-9a-f-]{36}$/)
    expect(answer.members).toEqual([
      { memberId: answer.memberId, groupInstanceId: 'a', metadata: subscription('topic') },
    ])
  })

  test('is fenced under an old member id, and unknown under an instance id that nobody has', () => {
    const driver = new GroupDriver()
    const [memberId] = driver.stabilize([A])
    driver.join(A)
    const errorOf = (groupInstanceId: string) =>
      driver.joinAnswer(driver.join({ memberId: memberId!, groupInstanceId }))
    expect(errorOf('a')?.errorCode).toBe(ErrorCode.FENCED_INSTANCE_ID)
    expect(errorOf('c')?.errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(driver.heartbeat({ memberId: memberId!, groupInstanceId: 'a' })).toBe(ErrorCode.FENCED_INSTANCE_ID)
    expect(driver.leave({ memberId: memberId!, groupInstanceId: 'a' }).memberErrors).toEqual([
      ErrorCode.FENCED_INSTANCE_ID,
    ])
  })
})

describe('a static member that comes back to a Stable group', () => {
  test('takes its place without a rebalance, also with other metadata, and the group is written', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([A, B])
    const protocols = [{ name: 'range', metadata: subscription('other') }]
    const answer = driver.joinAnswer(driver.join({ ...B, supportsSkippingAssignment: true, protocols }))!
    expect(answer).toMatchObject({ errorCode: 0, generationId: 1, leader, members: [], skipAssignment: false })
    expect(answer.memberId).not.toBe(follower)
    expect(driver.state).toBe('Stable')
    expect(driver.records.at(-1)).toMatchObject({
      groupId: GROUP,
      value: { members: [{ memberId: leader }, { memberId: answer.memberId, subscription: subscription('other') }] },
    })
    const sync = driver.sync({ memberId: answer.memberId, groupInstanceId: 'b' })
    expect(driver.syncAnswer(sync)?.assignment).toEqual(Buffer.from(`of ${follower}`))
  })

  test('as the leader is told all members and need not assign, from version 9', () => {
    const driver = new GroupDriver()
    driver.stabilize([A, B])
    const answer = driver.joinAnswer(driver.join({ ...A, supportsSkippingAssignment: true }))!
    expect(answer).toMatchObject({ leader: answer.memberId, skipAssignment: true })
    expect(answer.members.map((member) => member.groupInstanceId).sort()).toEqual(['a', 'b'])
  })

  test('as the leader is told its old id for a leader below version 9, so that it does not assign', () => {
    const driver = new GroupDriver()
    const [leader] = driver.stabilize([A, B])
    const answer = driver.joinAnswer(driver.join(A))!
    expect(answer).toMatchObject({ errorCode: 0, leader, skipAssignment: false, members: [] })
    expect(answer.memberId).not.toBe(leader)
    expect(driver.joinAnswer(driver.join({ ...B, supportsSkippingAssignment: true }))?.leader).toBe(answer.memberId)
  })

  test('is answered when its new id is committed', () => {
    const driver = new GroupDriver()
    driver.stabilize([A, B])
    driver.holdsWrites = true
    const token = driver.join(B)
    expect(driver.joinAnswer(token)).toBeUndefined()
    driver.settle(0)
    expect(driver.joinAnswer(token)?.errorCode).toBe(0)
  })

  test('keeps its old id and its old metadata if the new id cannot be written', () => {
    const driver = new GroupDriver()
    const [, follower] = driver.stabilize([A, B])
    const before = driver.group.members.find((member) => member.memberId === follower)
    driver.holdsWrites = true
    const token = driver.join({ ...B, protocols: [{ name: 'range', metadata: subscription('other') }] })
    driver.settle(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    expect(driver.joinAnswer(token)).toMatchObject({ errorCode: ErrorCode.NOT_COORDINATOR, memberId: '' })
    expect(driver.group.members).toContainEqual(before)
    expect(driver.heartbeat({ memberId: follower!, groupInstanceId: 'b' })).toBe(0)
  })

  test('takes part in a rebalance that begins before its new id is committed', () => {
    const driver = new GroupDriver()
    const [leader] = driver.stabilize([A, B])
    driver.holdsWrites = true
    const token = driver.join(B)
    const ofLeader = driver.join({ ...A, memberId: leader! })
    driver.settle(0)
    expect(driver.joinAnswer(token)).toMatchObject({ errorCode: 0, generationId: 2 })
    expect(driver.joinAnswer(ofLeader)).toMatchObject({ errorCode: 0, generationId: 2 })
  })

  test('starts a rebalance if the chosen protocol changes', () => {
    const driver = new GroupDriver()
    const both = (...names: string[]) => ({ protocols: names.map((name) => ({ name, metadata: Buffer.alloc(0) })) })
    driver.stabilize([
      { ...A, ...both('x', 'y') },
      { ...B, ...both('y', 'x') },
    ])
    expect(driver.group.protocolName).toBe('x')
    driver.join({ ...A, ...both('y', 'x') })
    expect(driver.state).toBe('PreparingRebalance')
  })

  test('still owes the SyncGroup that its former self owed', () => {
    const driver = new GroupDriver()
    const tokens = [driver.join({ ...A, sessionTimeoutMs: 100_000 }), driver.join({ ...B, sessionTimeoutMs: 100_000 })]
    driver.advance(6000)
    const leader = driver.joinAnswer(tokens[0]!)!.memberId
    driver.sync({ memberId: leader })
    const { memberId } = driver.joinAnswer(driver.join({ ...B, sessionTimeoutMs: 100_000 }))!
    driver.sync({ memberId, groupInstanceId: 'b' })
    driver.advance(60_000)
    expect(driver.state).toBe('Stable')
  })

  test('restarts its session', () => {
    const driver = new GroupDriver()
    const [leader] = driver.stabilize([A, B])
    driver.advance(29_000)
    driver.heartbeat({ memberId: leader! })
    driver.join(B)
    driver.advance(29_000)
    expect(driver.state).toBe('Stable')
  })
})

describe('a static member that comes back in a rebalance', () => {
  test('starts another in CompletingRebalance, and what its former self has parked is fenced', () => {
    const driver = new GroupDriver()
    const tokens = [driver.join(A), driver.join(B)]
    driver.advance(6000)
    const follower = driver.joinAnswer(tokens[1]!)!.memberId
    const parked = driver.sync({ memberId: follower })
    const token = driver.join(B)
    expect(driver.syncAnswer(parked)?.errorCode).toBe(ErrorCode.FENCED_INSTANCE_ID)
    expect(driver.state).toBe('PreparingRebalance')
    expect(driver.joinAnswer(token)).toBeUndefined()
  })

  test('joins it in PreparingRebalance, in place of its former self', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([A, B])
    const former = driver.join({ ...B, memberId: follower!, protocols: [{ name: 'range', metadata: Buffer.alloc(1) }] })
    expect(driver.state).toBe('PreparingRebalance')
    const token = driver.join(B)
    expect(driver.joinAnswer(former)).toMatchObject({ errorCode: ErrorCode.FENCED_INSTANCE_ID, memberId: follower })
    driver.join({ ...A, memberId: leader! })
    expect(driver.joinAnswer(token)).toMatchObject({ errorCode: 0, generationId: 2 })
  })

  test('keeps the leadership of its former self', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([A, B])
    driver.join({ ...A, memberId: leader! })
    const token = driver.join(A)
    const other = driver.join({ ...B, memberId: follower! })
    const answer = driver.joinAnswer(token)!
    expect(answer.leader).toBe(answer.memberId)
    expect(driver.joinAnswer(other)?.leader).toBe(answer.memberId)
  })
})
