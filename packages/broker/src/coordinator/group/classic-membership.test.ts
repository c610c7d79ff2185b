import { ErrorCode } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { GroupDriver } from '../testing/group-driver.ts'

describe('Heartbeat', () => {
  test('is UNKNOWN_MEMBER_ID for an unknown group, in an Empty one and from a stranger', () => {
    const driver = new GroupDriver()
    expect(driver.heartbeat({ memberId: 'a' })).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    const [memberId] = driver.stabilize([{}])
    expect(driver.heartbeat({ memberId: 'a' })).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    driver.leave(memberId!)
    expect(driver.heartbeat({ memberId: memberId!, generationId: 2 })).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('is ILLEGAL_GENERATION for another generation', () => {
    const driver = new GroupDriver()
    const [memberId] = driver.stabilize([{}])
    expect(driver.heartbeat({ memberId: memberId!, generationId: 0 })).toBe(ErrorCode.ILLEGAL_GENERATION)
  })

  test('is NONE in CompletingRebalance and Stable, REBALANCE_IN_PROGRESS in PreparingRebalance', () => {
    const driver = new GroupDriver()
    const tokens = [driver.join(), driver.join()]
    driver.advance(6000)
    const [leader, follower] = tokens.map((token) => driver.joinAnswer(token)!.memberId)
    expect(driver.heartbeat({ memberId: follower! })).toBe(0)
    driver.sync({ memberId: follower! })
    driver.sync({ memberId: leader! })
    expect(driver.heartbeat({ memberId: follower! })).toBe(0)
    driver.join({ memberId: leader! })
    expect(driver.heartbeat({ memberId: follower! })).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
  })

  test('keeps the member in the group, also during a rebalance', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([{}, {}])
    driver.join({ memberId: leader! })
    for (let beat = 0; beat < 5; beat++) {
      driver.advance(9000)
      expect(driver.heartbeat({ memberId: follower! })).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    }
    expect(driver.group.members).toHaveLength(2)
  })
})

describe('LeaveGroup', () => {
  test('is UNKNOWN_MEMBER_ID for each member of an unknown group', () => {
    const driver = new GroupDriver()
    expect(driver.leave('a', 'b')).toEqual({
      errorCode: 0,
      memberErrors: [ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.UNKNOWN_MEMBER_ID],
    })
  })

  test('removes many members with one rebalance and tells each its own result', () => {
    const driver = new GroupDriver()
    const [leader, second, third] = driver.stabilize([{}, {}, { groupInstanceId: 'c' }])
    const { memberErrors } = driver.leave(second!, 'stranger', { memberId: third!, groupInstanceId: 'wrong' })
    expect(memberErrors).toEqual([0, ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.UNKNOWN_MEMBER_ID])
    expect(driver.state).toBe('PreparingRebalance')
    driver.join({ memberId: third!, groupInstanceId: 'c' })
    expect(driver.joinAnswer(driver.join({ memberId: leader! }))).toMatchObject({ generationId: 2 })
  })

  test('removes a static member by its instance id alone, and nobody by an unknown one', () => {
    const driver = new GroupDriver()
    driver.stabilize([{ groupInstanceId: 'a' }])
    const { memberErrors } = driver.leave(
      { memberId: '', groupInstanceId: 'b' },
      { memberId: '', groupInstanceId: null },
      { memberId: '', groupInstanceId: 'a' },
    )
    expect(memberErrors).toEqual([ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.UNKNOWN_MEMBER_ID, 0])
    expect(driver.state).toBe('Empty')
  })

  test('gives up an id that was given out, which may end a rebalance', () => {
    const driver = new GroupDriver()
    const [leader] = driver.stabilize([{}])
    const { memberId } = driver.joinAnswer(driver.join({ requiresKnownMemberId: true }))!
    const token = driver.join({ memberId: leader! })
    expect(driver.joinAnswer(token)).toBeUndefined()
    expect(driver.leave(memberId).memberErrors).toEqual([0])
    expect(driver.joinAnswer(token)).toMatchObject({ generationId: 2 })
  })

  test('answers the waiting join of the member with UNKNOWN_MEMBER_ID and ends a rebalance that waits for nobody else', () => {
    const driver = new GroupDriver()
    const [leader, second, third] = driver.stabilize([{}, {}, {}])
    const waiting = driver.join({ memberId: leader! })
    const leaving = driver.join({ memberId: second! })
    driver.leave(second!, third!)
    expect(driver.joinAnswer(leaving)).toMatchObject({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID, memberId: '' })
    expect(driver.joinAnswer(waiting)).toMatchObject({ generationId: 2 })
  })

  test('of the leader hands the leadership on', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([{}, {}])
    driver.leave(leader!)
    expect(driver.joinAnswer(driver.join({ memberId: follower! }))).toMatchObject({ leader: follower, generationId: 2 })
  })

  test('of nobody changes nothing', () => {
    const driver = new GroupDriver()
    driver.stabilize([{}])
    expect(driver.leave('stranger').memberErrors).toEqual([ErrorCode.UNKNOWN_MEMBER_ID])
    expect(driver.leave()).toEqual({ errorCode: 0, memberErrors: [] })
    expect(driver.state).toBe('Stable')
  })
})
