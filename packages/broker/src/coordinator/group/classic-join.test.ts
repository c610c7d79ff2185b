import { ErrorCode } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { GROUP, GroupDriver, subscription } from '../testing/group-driver.ts'

const PROTOCOLS = [{ name: 'range', metadata: subscription('topic') }]
const OTHER_PROTOCOLS = [{ name: 'range', metadata: subscription('other') }]

describe('a join of an unknown group', () => {
  test('with a member id is refused with UNKNOWN_MEMBER_ID and makes no group', () => {
    const driver = new GroupDriver()
    const answer = driver.joinAnswer(driver.join({ memberId: 'somebody' }))
    expect(answer).toMatchObject({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID, memberId: 'somebody' })
    expect(driver.state).toBe('Dead')
    expect(driver.records).toEqual([])
  })

  test('without a member id makes the group and writes it as Empty, generation 0, without a protocol', () => {
    const driver = new GroupDriver()
    driver.join()
    expect(driver.records).toEqual([
      {
        type: 'group-metadata',
        groupId: GROUP,
        value: {
          protocolType: '',
          generationId: 0,
          protocolName: null,
          leaderId: null,
          stateTimestampMs: driver.nowMs,
          members: [],
        },
      },
    ])
    expect(driver.state).toBe('PreparingRebalance')
  })

  test('is answered with the error of the log if the group cannot be written, and the group is gone', () => {
    const driver = new GroupDriver()
    driver.holdsWrites = true
    const token = driver.join()
    driver.settle(ErrorCode.NOT_ENOUGH_REPLICAS)
    expect(driver.joinAnswer(token)?.errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(driver.state).toBe('Dead')
    driver.advance(1_000_000)
    expect(driver.state).toBe('Dead')
  })

  test('is refused without protocols or without a protocol type', () => {
    const driver = new GroupDriver()
    for (const input of [{ protocols: [] }, { protocolType: '' }]) {
      const answer = driver.joinAnswer(driver.join(input))
      expect(answer).toMatchObject({ errorCode: ErrorCode.INCONSISTENT_GROUP_PROTOCOL, memberId: '' })
    }
  })
})

describe('a dynamic member without an id', () => {
  test('is told its id and has to come back with it, from version 4', () => {
    const driver = new GroupDriver()
    const answer = driver.joinAnswer(driver.join({ requiresKnownMemberId: true, clientId: 'web' }))!
    expect(answer).toMatchObject({ errorCode: ErrorCode.MEMBER_ID_REQUIRED, generationId: -1, members: [] })
    expect(answer.memberId).toMatch(/^web-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(driver.state).toBe('Empty')
    const token = driver.join({ requiresKnownMemberId: true, memberId: answer.memberId })
    driver.advance(3000)
    expect(driver.joinAnswer(token)).toMatchObject({ errorCode: 0, generationId: 1, memberId: answer.memberId })
  })

  test('loses an id that it does not use within its session timeout', () => {
    const driver = new GroupDriver()
    const { memberId } = driver.joinAnswer(driver.join({ requiresKnownMemberId: true }))!
    driver.advance(10_000)
    expect(driver.joinAnswer(driver.join({ memberId }))?.errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('cannot use a given id under an instance id', () => {
    const driver = new GroupDriver()
    const { memberId } = driver.joinAnswer(driver.join({ requiresKnownMemberId: true }))!
    const answer = driver.joinAnswer(driver.join({ memberId, groupInstanceId: 'instance' }))
    expect(answer?.errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('joins at once below version 4', () => {
    const driver = new GroupDriver()
    const token = driver.join()
    driver.advance(3000)
    expect(driver.joinAnswer(token)).toMatchObject({ errorCode: 0, generationId: 1 })
  })

  test('gets an id that fits a string of the protocol however long its client id is', () => {
    const driver = new GroupDriver()
    const answer = driver.joinAnswer(driver.join({ requiresKnownMemberId: true, clientId: '\u20ac'.repeat(10_900) }))!
    expect(Buffer.byteLength(answer.memberId)).toBeLessThan(32_767)
  })
})

describe('protocols', () => {
  test('of another type are refused, with the member id of the sender', () => {
    const driver = new GroupDriver()
    driver.stabilize([{}])
    const answer = driver.joinAnswer(driver.join({ protocolType: 'connect' }))
    expect(answer?.errorCode).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
  })

  test('none of which all members list are refused', () => {
    const driver = new GroupDriver()
    driver.stabilize([{ protocols: [PROTOCOLS[0]!, { name: 'sticky', metadata: Buffer.alloc(0) }] }, {}])
    const answer = driver.joinAnswer(driver.join({ protocols: [{ name: 'sticky', metadata: Buffer.alloc(0) }] }))
    expect(answer?.errorCode).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
  })

  test('are chosen by votes among those that all members list', () => {
    const driver = new GroupDriver()
    const list = (...names: string[]) => ({ protocols: names.map((name) => ({ name, metadata: Buffer.alloc(0) })) })
    driver.stabilize([list('a', 'b', 'c'), list('b', 'a'), list('b', 'a', 'd')])
    expect(driver.group.protocolName).toBe('b')
  })

  test('that a member lists twice count once', () => {
    const driver = new GroupDriver()
    driver.stabilize([{ protocols: [...PROTOCOLS, ...PROTOCOLS] }])
    const token = driver.join()
    expect(driver.joinAnswer(token)).toBeUndefined()
    expect(driver.state).toBe('PreparingRebalance')
  })
})

describe('a group whose members have all left during a rebalance', () => {
  test('takes a new member while it still gathers its first generation', () => {
    const driver = new GroupDriver()
    const left = driver.joinAnswer(driver.join({ requiresKnownMemberId: true }))!
    driver.join({ memberId: left.memberId })
    driver.leave(left.memberId)
    expect(driver.state).toBe('PreparingRebalance')
    expect(driver.group.members).toEqual([])
    const asked = driver.joinAnswer(driver.join({ requiresKnownMemberId: true }))!
    expect(asked.errorCode).toBe(ErrorCode.MEMBER_ID_REQUIRED)
    const { memberId } = asked
    const token = driver.join({ memberId, protocols: [{ name: 'sticky', metadata: Buffer.alloc(0) }] })
    driver.advance(6000)
    expect(driver.joinAnswer(token)).toMatchObject({ errorCode: 0, protocolName: 'sticky', leader: memberId })
  })

  test('takes the member that was told its id just before', () => {
    const driver = new GroupDriver()
    const [leader] = driver.stabilize([{}])
    const { memberId } = driver.joinAnswer(driver.join({ requiresKnownMemberId: true }))!
    driver.leave(leader!)
    expect(driver.state).toBe('PreparingRebalance')
    expect(driver.joinAnswer(driver.join({ memberId, protocolType: 'connect' }))?.errorCode).toBe(
      ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
    )
    const token = driver.join({ memberId })
    expect(driver.joinAnswer(token)).toMatchObject({ errorCode: 0, generationId: 2, leader: memberId })
  })
})

describe('a known member that joins again', () => {
  test('is refused with UNKNOWN_MEMBER_ID if the group does not know it', () => {
    const driver = new GroupDriver()
    driver.stabilize([{}])
    const answer = driver.joinAnswer(driver.join({ memberId: 'stranger' }))
    expect(answer).toMatchObject({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID, memberId: 'stranger' })
  })

  test('is refused with UNKNOWN_MEMBER_ID in an Empty group', () => {
    const driver = new GroupDriver()
    const [memberId] = driver.stabilize([{}])
    driver.leave(memberId!)
    expect(driver.state).toBe('Empty')
    expect(driver.joinAnswer(driver.join({ memberId: memberId! }))?.errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('replaces its own waiting request in PreparingRebalance', () => {
    const driver = new GroupDriver()
    const [first, second] = driver.stabilize([{}, {}])
    const older = driver.join({ memberId: first! })
    const newer = driver.join({ memberId: first! })
    expect(driver.joinAnswer(older)?.errorCode).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    driver.join({ memberId: second! })
    expect(driver.joinAnswer(newer)).toMatchObject({ errorCode: 0, generationId: 2 })
  })

  test('gets the current generation in CompletingRebalance if nothing changed, the leader with all members', () => {
    const driver = new GroupDriver()
    const tokens = [driver.join(), driver.join()]
    driver.advance(6000)
    const [leader, follower] = tokens.map((token) => driver.joinAnswer(token)!)
    expect(driver.state).toBe('CompletingRebalance')
    const again = driver.joinAnswer(driver.join({ memberId: leader!.memberId }))
    expect(again).toMatchObject({ errorCode: 0, generationId: 1, leader: leader!.memberId })
    expect(again!.members.map((member) => member.memberId)).toEqual([leader!.memberId, follower!.memberId])
    expect(driver.joinAnswer(driver.join({ memberId: follower!.memberId }))).toMatchObject({
      generationId: 1,
      members: [],
    })
  })

  test('starts a rebalance in CompletingRebalance if its protocols changed', () => {
    const driver = new GroupDriver()
    const token = driver.join()
    driver.join()
    driver.advance(6000)
    const { memberId } = driver.joinAnswer(token)!
    driver.join({ memberId, protocols: OTHER_PROTOCOLS })
    expect(driver.state).toBe('PreparingRebalance')
  })

  test('gets the current generation in Stable if it is a follower and nothing changed', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([{}, {}])
    const answer = driver.joinAnswer(driver.join({ memberId: follower! }))
    expect(answer).toMatchObject({ errorCode: 0, generationId: 1, leader, members: [], skipAssignment: false })
    expect(driver.state).toBe('Stable')
  })

  test('starts a rebalance in Stable if it is the leader', () => {
    const driver = new GroupDriver()
    const [leader] = driver.stabilize([{}, {}])
    driver.join({ memberId: leader! })
    expect(driver.state).toBe('PreparingRebalance')
  })

  test('starts a rebalance in Stable if it is a follower whose protocols changed', () => {
    const driver = new GroupDriver()
    const [, follower] = driver.stabilize([{}, {}])
    driver.join({ memberId: follower!, protocols: OTHER_PROTOCOLS })
    expect(driver.state).toBe('PreparingRebalance')
  })

  test('does not restart its session by that alone', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([{}, {}])
    driver.advance(6000)
    driver.heartbeat({ memberId: leader! })
    driver.join({ memberId: follower! })
    driver.advance(4000)
    expect(driver.group.members.map((member) => member.memberId)).toEqual([leader])
  })
})

describe('the size limit', () => {
  test('turns away new members of a Stable group, and takes known ones', () => {
    const driver = new GroupDriver({ groupMaxSize: 2 })
    const [, follower] = driver.stabilize([{}, {}])
    const answer = driver.joinAnswer(driver.join({ requiresKnownMemberId: true }))
    expect(answer).toMatchObject({ errorCode: ErrorCode.GROUP_MAX_SIZE_REACHED, memberId: '' })
    expect(driver.joinAnswer(driver.join({ memberId: follower! }))?.errorCode).toBe(0)
  })

  test('does not count ids that were only given out', () => {
    const driver = new GroupDriver({ groupMaxSize: 1 })
    const ids = [1, 2, 3].map(() => driver.joinAnswer(driver.join({ requiresKnownMemberId: true }))!)
    expect(ids.map((answer) => answer.errorCode)).toEqual([79, 79, 79])
    driver.join({ memberId: ids[0]!.memberId })
    expect(driver.joinAnswer(driver.join({ memberId: ids[1]!.memberId }))?.errorCode).toBe(
      ErrorCode.GROUP_MAX_SIZE_REACHED,
    )
  })

  test('drops the last to rejoin when it was lowered: while joining, those who wait are counted', () => {
    const loaded = new GroupDriver()
    const memberIds = loaded.stabilize([{}, {}, {}])
    const driver = loaded.reload({ groupMaxSize: 2 })
    expect(driver.state).toBe('PreparingRebalance')
    const tokens = memberIds.map((memberId) => driver.join({ memberId }))
    expect(driver.joinAnswer(tokens[2]!)?.errorCode).toBe(ErrorCode.GROUP_MAX_SIZE_REACHED)
    driver.advance(60_000)
    expect(driver.joinAnswer(tokens[0]!)).toMatchObject({ errorCode: 0, generationId: 2 })
    expect(driver.group.members).toHaveLength(2)
  })
})

describe('a join parked behind writes that fail', () => {
  test('is answered with the mapped error and counts as not rejoined', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([{}, {}])
    driver.holdsWrites = true
    driver.commit({ topic: 1 }, { memberId: leader!, generationId: 1 })
    const token = driver.join({ memberId: leader! })
    driver.settle(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    driver.holdsWrites = false
    expect(driver.joinAnswer(token)?.errorCode).toBe(ErrorCode.NOT_COORDINATOR)
    const retried = driver.join({ memberId: follower! })
    expect(driver.joinAnswer(retried)).toBeUndefined()
    const again = driver.join({ memberId: leader! })
    expect(driver.joinAnswer(again)).toMatchObject({ errorCode: 0, generationId: 2 })
  })
})
