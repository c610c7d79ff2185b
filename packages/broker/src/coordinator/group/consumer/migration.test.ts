import {
  createConsumerProtocolSubscription,
  ErrorCode,
  encodeConsumerProtocolSubscription,
  Writer,
} from '@millrace/protocol'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { imageOf } from '../../testing/coordinator-fixture.ts'
import { GROUP, GroupDriver, topicId } from '../../testing/group-driver.ts'
import { encodeAssignment, parseAssignment } from '../consumer-protocol.ts'
import type { GroupCoordinatorConfig } from '../group-config.ts'
import type { JoinInput } from '../group-protocol.ts'
import type { Assignment } from '../modern/assignment.ts'
import type { HeartbeatAnswer } from '../modern/heartbeat-answer.ts'
import { loadTopicRegex } from './topic-regex.ts'

beforeAll(loadTopicRegex)

const ABORT = ErrorCode.KAFKA_STORAGE_ERROR
const { REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID, INCONSISTENT_GROUP_PROTOCOL, ILLEGAL_GENERATION } = ErrorCode

function driverOf(config: Partial<GroupCoordinatorConfig> = {}): GroupDriver {
  const driver = new GroupDriver({ groupInitialRebalanceDelayMs: 0, ...config })
  driver.image = imageOf(['topic', 'other'], 4)
  return driver
}

const some = (...partitions: number[]): Assignment => new Map([[topicId('topic'), partitions]])
const told = ({ errorCode, memberEpoch, assignment }: HeartbeatAnswer) => [
  errorCode,
  memberEpoch,
  assignment === null ? null : (assignment.get(topicId('topic')) ?? []),
]

/** What a cooperative consumer sends that still has these partitions. */
function metadata(...owned: number[]): Buffer {
  const writer = new Writer()
  writer.int16(3)
  const ownedPartitions = owned.length === 0 ? [] : [{ topic: 'topic', partitions: owned, unknownTaggedFields: null }]
  const subscription = createConsumerProtocolSubscription({ topics: ['topic'], ownedPartitions })
  encodeConsumerProtocolSubscription(writer, subscription, 3)
  return Buffer.from(writer.toBuffer())
}

const protocolsWith = (...owned: number[]) => [{ name: 'cooperative-sticky', metadata: metadata(...owned) }]

/** The partitions that a member of the classic protocol is told of. */
function partitionsIn(bytes: Buffer | undefined): readonly number[] | undefined {
  return bytes === undefined ? undefined : parseAssignment(bytes)!.topics.flatMap(({ partitions }) => partitions)
}

/** A Stable classic group of one member that has all partitions. Gives its id. */
function classicGroup(driver: GroupDriver, input: Partial<JoinInput> = {}): string {
  const token = driver.join({ protocols: protocolsWith(), ...input })
  driver.advance(0)
  const { memberId, generationId } = driver.joinAnswer(token)!
  const assignment = encodeAssignment(some(0, 1, 2, 3), driver.directory, metadata())
  driver.sync({ memberId, generationId, assignments: new Map([[memberId, assignment]]) })
  expect(driver.state).toBe('Stable')
  return memberId
}

function joined(driver: GroupDriver, memberId: string, ...owned: number[]) {
  return driver.joinAnswer(driver.join({ memberId, protocols: protocolsWith(...owned) }))!
}

function synced(driver: GroupDriver, memberId: string, generationId: number): readonly number[] | number {
  const answer = driver.syncAnswer(driver.sync({ memberId, generationId, protocolType: 'consumer' }))!
  return answer.errorCode === 0 ? partitionsIn(answer.assignment)! : answer.errorCode
}

describe('a classic group that a member of the new protocol joins', () => {
  test('becomes a consumer group, and its members hand over partition by partition', () => {
    const driver = driverOf()
    const memberId = classicGroup(driver)
    expect(told(driver.consumer('new', 0))).toEqual([0, 2, []])
    expect(driver.consumerGroup).toMatchObject({ epoch: 2, targetEpoch: 2, state: 'Reconciling' })
    expect(driver.state).toBe('Dead')
    // The old member hears of it, joins again with what it has, and is told what to keep.
    expect(driver.heartbeat({ memberId, generationId: 1 })).toBe(REBALANCE_IN_PROGRESS)
    expect(joined(driver, memberId, 0, 1, 2, 3)).toMatchObject({
      errorCode: 0,
      generationId: 1,
      protocolName: 'cooperative-sticky',
      leader: '',
      members: [],
    })
    expect(synced(driver, memberId, 1)).toEqual([0, 1])
    expect(told(driver.consumer('new', 2))).toEqual([0, 2, null])
    // It has given up the rest, and says so.
    expect(driver.heartbeat({ memberId, generationId: 1 })).toBe(REBALANCE_IN_PROGRESS)
    expect(joined(driver, memberId, 0, 1)).toMatchObject({ errorCode: 0, generationId: 2 })
    expect(synced(driver, memberId, 2)).toEqual([0, 1])
    expect(told(driver.consumer('new', 2))).toEqual([0, 2, [2, 3]])
    expect(driver.heartbeat({ memberId, generationId: 2 })).toBe(0)
    expect(driver.consumerGroup?.state).toBe('Stable')
    expect(driver.reload().consumerGroup).toEqual(driver.consumerGroup)
  })

  test('stays what it is if that is not written, and its members go on', () => {
    const driver = driverOf()
    const memberId = classicGroup(driver)
    driver.holdsWrites = true
    driver.consumer('new', 0)
    driver.settle(ABORT)
    driver.holdsWrites = false
    expect(driver.state).toBe('Stable')
    expect(driver.heartbeat({ memberId, generationId: 1 })).toBe(0)
    expect(driver.limits.usage.members).toBe(1)
  })

  test('is assigned as ever if its members claim partitions that there cannot be', () => {
    const driver = driverOf()
    const token = driver.join({ protocols: protocolsWith(-7, 1_000_000) })
    driver.advance(0)
    const { memberId, generationId } = driver.joinAnswer(token)!
    const assignment = encodeAssignment(some(-2, -1, 9), driver.directory, metadata())
    driver.sync({ memberId, generationId, assignments: new Map([[memberId, assignment]]) })
    expect(told(driver.consumer('new', 0))).toEqual([0, 2, [2, 3]])
    const [old] = driver.consumerGroup!.members
    expect([...old!.member.assigned.values(), old!.target.get(topicId('topic'))]).toEqual([[9], [0, 1]])
  })

  test('is not looked at for a member that is refused whatever the group is', () => {
    for (const [input, error] of [
      [{ serverAssignor: 'unknown' }, ErrorCode.UNSUPPORTED_ASSIGNOR],
      [{ topicRegex: '(' }, ErrorCode.INVALID_REGULAR_EXPRESSION],
      [{}, ErrorCode.COORDINATOR_NOT_AVAILABLE],
    ] as const) {
      const driver = driverOf({ groupCoordinatorMaxMembers: 1 })
      classicGroup(driver)
      const idOf = vi.spyOn(driver.directory, 'idOf')
      expect(driver.consumer('new', 0, input).errorCode).toBe(error)
      expect(idOf).not.toHaveBeenCalled()
      expect(driver.state).toBe('Stable')
    }
  })

  test('stays what it is if the policy or its members do not allow it', () => {
    for (const policy of ['disabled', 'Downgrade']) {
      const driver = driverOf({ groupConsumerMigrationPolicy: policy })
      classicGroup(driver)
      expect(driver.consumer('new', 0).errorCode).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
      expect(driver.state).toBe('Stable')
    }
    const connect = driverOf()
    connect.stabilize([{ protocolType: 'connect' }])
    expect(connect.consumer('new', 0).errorCode).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
    const custom = driverOf()
    custom.stabilize([{}])
    expect(custom.consumer('new', 0).errorCode).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
    expect(custom.state).toBe('Stable')
  })

  test('answers those who wait in a rebalance', () => {
    const driver = driverOf()
    const memberId = classicGroup(driver)
    const second = driver.join({ protocols: protocolsWith() })
    expect(driver.state).toBe('PreparingRebalance')
    driver.consumer('new', 0)
    expect(driver.joinAnswer(second)?.errorCode).toBe(REBALANCE_IN_PROGRESS)
    expect(driver.consumerGroup?.members.length).toBe(3)
    expect(driver.heartbeat({ memberId, generationId: 1 })).toBe(REBALANCE_IN_PROGRESS)
  })

  test('that is empty is simply another group, with the same offsets', () => {
    const driver = driverOf()
    const memberId = classicGroup(driver)
    driver.commit({ topic: 5 }, { memberId, generationId: 1 })
    driver.leave(memberId)
    expect(told(driver.consumer('new', 0))).toEqual([0, 1, [0, 1, 2, 3]])
    expect(driver.offsetOf('topic')).toBe(5)
    // And back.
    driver.consumer('new', -1)
    classicGroup(driver)
    expect(driver.offsetOf('topic')).toBe(5)
    expect(driver.consumerGroup).toBeNull()
    expect(driver.reload().state).toBe('Stable')
  })
})

test('an empty consumer group stays, with its offsets, if a classic member cannot join it', () => {
  const driver = driverOf()
  driver.consumer('new', 0)
  driver.commit({ topic: 5 }, { memberId: 'new', generationId: 1 })
  driver.consumer('new', -1)
  expect(driver.joinAnswer(driver.join({ memberId: 'unknown' }))?.errorCode).toBe(UNKNOWN_MEMBER_ID)
  expect(driver.consumerGroup?.state).toBe('Empty')
  expect(driver.offsetOf('topic')).toBe(5)
})

test('a member that was removed and still has partitions gives them up before it joins again', () => {
  const driver = driverOf()
  driver.consumer('new', 0)
  expect(joined(driver, 'removed', 1).errorCode).toBe(UNKNOWN_MEMBER_ID)
  expect(joined(driver, 'removed').errorCode).toBe(0)
})

test('what a classic member was about to give up stays its own until it says so', () => {
  const driver = driverOf()
  const first = classicGroup(driver)
  const second = driver.join({ protocols: protocolsWith() })
  driver.join({ memberId: first, protocols: protocolsWith(0, 1, 2, 3) })
  const { memberId } = driver.joinAnswer(second)!
  const assignments = new Map([[first, encodeAssignment(some(0, 1), driver.directory, metadata())]])
  driver.sync({ memberId, generationId: 2 })
  driver.sync({ memberId: first, generationId: 2, assignments })
  // It has just been told, and may not have heard yet.
  expect(told(driver.consumer('new', 0))).toEqual([0, 3, []])
  expect(driver.heartbeat({ memberId: first, generationId: 2 })).toBe(REBALANCE_IN_PROGRESS)
  joined(driver, first, 0, 1)
  expect(partitionsOfAll(driver)).toEqual([0, 1])
  driver.consumer('new', 3)
  expect(partitionsOfAll(driver).length).toBeGreaterThan(2)
})

/** What members have in all, by what they were told. */
function partitionsOfAll(driver: GroupDriver): number[] {
  return driver
    .consumerGroup!.members.flatMap(({ member }) => [...(member.assigned.get(topicId('topic')) ?? [])])
    .sort()
}

describe('a consumer group that members of the new protocol leave', () => {
  /** A group of one member of each protocol, with two partitions each. */
  function mixed(config: Partial<GroupCoordinatorConfig> = {}): { driver: GroupDriver; memberId: string } {
    const driver = driverOf(config)
    const memberId = classicGroup(driver)
    driver.consumer('new', 0)
    joined(driver, memberId, 0, 1, 2, 3)
    joined(driver, memberId, 0, 1)
    synced(driver, memberId, 2)
    driver.consumer('new', 2)
    return { driver, memberId }
  }

  test('becomes a classic group again, which rebalances by itself', () => {
    const { driver, memberId } = mixed()
    expect(driver.consumer('new', -1).errorCode).toBe(0)
    expect(driver.consumerGroup).toBeNull()
    expect(driver.state).toBe('PreparingRebalance')
    expect(driver.heartbeat({ memberId, generationId: 2 })).toBe(REBALANCE_IN_PROGRESS)
    const token = driver.join({ memberId, protocols: protocolsWith(0, 1) })
    expect(driver.joinAnswer(token)).toMatchObject({ errorCode: 0, generationId: 3, leader: memberId })
    // Also if the coordinator goes before that: what the other had would be nobody's.
    const loaded = driver.reload()
    expect(loaded.state).toBe('PreparingRebalance')
    expect(loaded.heartbeat({ memberId, generationId: 2 })).toBe(REBALANCE_IN_PROGRESS)
  })

  test('stays what it is if that is not written, and nobody has lost anything', () => {
    const { driver, memberId } = mixed()
    driver.holdsWrites = true
    driver.consumer('new', -1)
    driver.settle(ABORT)
    driver.holdsWrites = false
    expect(driver.consumer('new', 2).errorCode).toBe(0)
    expect(driver.heartbeat({ memberId, generationId: 2 })).toBe(0)
    expect(driver.consumerGroup?.state).toBe('Stable')
    expect(driver.limits.usage).toMatchObject({ groups: 1, members: 2 })
  })

  test('stays a consumer group if the policy does not allow the other', () => {
    const { driver, memberId } = mixed({ groupConsumerMigrationPolicy: 'upgrade' })
    driver.consumer('new', -1)
    expect(driver.consumerGroup?.members.map(({ member }) => member.memberId)).toEqual([memberId])
  })

  test('goes on when a classic member leaves, or does not come again in time', () => {
    const { driver, memberId } = mixed()
    expect(driver.leave(memberId, 'stranger')).toEqual({ errorCode: 0, memberErrors: [0, UNKNOWN_MEMBER_ID] })
    expect(told(driver.consumer('new', 2))).toEqual([0, 3, [0, 1, 2, 3]])

    const late = mixed()
    late.driver.consumer('third', 0)
    expect(late.driver.heartbeat({ memberId: late.memberId, generationId: 2 })).toBe(REBALANCE_IN_PROGRESS)
    // Heartbeats do not prolong the time it has to join again.
    for (let second = 0; second < 60; second++) {
      late.driver.advance(1000)
      late.driver.heartbeat({ memberId: late.memberId, generationId: 2 })
      late.driver.consumer('new', 2)
    }
    expect(late.driver.heartbeat({ memberId: late.memberId, generationId: 2 })).toBe(UNKNOWN_MEMBER_ID)
  })

  test('lets a static member change its protocol, and is a classic group if it was the last', () => {
    const driver = driverOf()
    driver.consumer('new', 0, { instanceId: 'one' })
    const token = driver.join({ groupInstanceId: 'one', protocols: protocolsWith() })
    const answer = driver.joinAnswer(token)!
    expect(answer).toMatchObject({ errorCode: 0, generationId: 1 })
    expect(driver.consumerGroup).toBeNull()
    expect(driver.state).toBe('Stable')
    expect(synced(driver, answer.memberId, 1)).toEqual([0, 1, 2, 3])
    expect(driver.heartbeat({ memberId: answer.memberId, generationId: 1, groupInstanceId: 'one' })).toBe(0)
  })
})

describe('a member of the classic protocol in a consumer group', () => {
  test('is asked for its id, and joins with it', () => {
    const driver = driverOf()
    driver.consumer('new', 0)
    const first = driver.joinAnswer(driver.join({ requiresKnownMemberId: true, protocols: protocolsWith() }))!
    expect(first.errorCode).toBe(ErrorCode.MEMBER_ID_REQUIRED)
    expect(driver.consumerGroup?.members.length).toBe(1)
    expect(joined(driver, first.memberId)).toMatchObject({ errorCode: 0, generationId: 2 })
    expect(synced(driver, first.memberId, 2)).toEqual([])
    driver.consumer('new', 1, { owned: some(0, 1, 2, 3) })
    driver.consumer('new', 1, { owned: some(0, 1) })
    expect(driver.heartbeat({ memberId: first.memberId, generationId: 2 })).toBe(REBALANCE_IN_PROGRESS)
    joined(driver, first.memberId)
    expect(synced(driver, first.memberId, 2)).toEqual([2, 3])
  })

  test('is refused with another protocol, and what others may not do it may not', () => {
    const driver = driverOf()
    driver.consumer('new', 0)
    const refused = (input: Partial<JoinInput>) => driver.joinAnswer(driver.join(input))!.errorCode
    expect(refused({ protocolType: 'connect' })).toBe(INCONSISTENT_GROUP_PROTOCOL)
    expect(refused({ protocols: [{ name: 'range', metadata: Buffer.from('no metadata') }] })).toBe(
      INCONSISTENT_GROUP_PROTOCOL,
    )
    const { memberId } = driver.joinAnswer(driver.join({ protocols: protocolsWith() }))!
    expect(refused({ protocols: [{ name: 'range', metadata: metadata() }] })).toBe(INCONSISTENT_GROUP_PROTOCOL)
    expect(synced(driver, memberId, 1)).toBe(ILLEGAL_GENERATION)
    expect(synced(driver, 'new', 1)).toBe(UNKNOWN_MEMBER_ID)
    expect(driver.heartbeat({ memberId: 'new', generationId: 1 })).toBe(UNKNOWN_MEMBER_ID)
    const disabled = driverOf({ groupConsumerMigrationPolicy: 'DISABLED' })
    disabled.consumer('new', 0)
    expect(disabled.joinAnswer(disabled.join({ protocols: protocolsWith() }))!.errorCode).toBe(
      INCONSISTENT_GROUP_PROTOCOL,
    )
  })

  test('that asks for nothing after it joined is removed', () => {
    const driver = driverOf()
    driver.consumer('new', 0)
    const { memberId } = driver.joinAnswer(driver.join({ protocols: protocolsWith(), sessionTimeoutMs: 300_000 }))!
    driver.advance(59_999)
    driver.consumer('new', 0)
    expect(driver.consumerGroup?.members.map(({ member }) => member.memberId)).toContain(memberId)
    driver.advance(1)
    expect(driver.consumerGroup?.members.map(({ member }) => member.memberId)).not.toContain(memberId)
  })

  test('hears of its join only when that is written', () => {
    const driver = driverOf()
    driver.consumer('new', 0)
    driver.holdsWrites = true
    const token = driver.join({ protocols: protocolsWith() })
    expect(driver.joinAnswer(token)).toBeUndefined()
    driver.settle(ABORT)
    expect(driver.joinAnswer(token)?.errorCode).toBe(ErrorCode.NOT_COORDINATOR)
    expect(driver.consumerGroup?.members.length).toBe(1)
  })
})

describe('offsets of a consumer group', () => {
  test('that a log has without the group are those of a simple group after a load, and expire', () => {
    const driver = driverOf()
    const { memberEpoch } = driver.consumer('a', 0)
    driver.commit({ topic: 42 }, { memberId: 'a', generationId: memberEpoch })
    driver.consumer('a', -1)
    driver.step((_, step) => {
      step.write({ type: 'consumer-targets', groupId: GROUP, value: null })
      step.write({ type: 'consumer-group', groupId: GROUP, value: null })
    })
    expect([driver.consumerGroup, driver.offsetOf('topic')]).toEqual([null, -1])
    const loaded = driver.reload()
    expect([loaded.state, loaded.offsetOf('topic')]).toEqual(['Empty', 42])
    loaded.advance(8 * 24 * 3_600_000)
    expect([loaded.state, loaded.limits.usage.offsets]).toEqual(['Dead', 0])
  })

  test('outlive a classic join that is refused, and the group that has them does', () => {
    for (const [config, join, error] of [
      [{}, { memberId: 'former' }, UNKNOWN_MEMBER_ID],
      [{ groupCoordinatorMaxMembers: 0 }, {}, ErrorCode.COORDINATOR_NOT_AVAILABLE],
    ] as const) {
      const driver = driverOf()
      const { memberEpoch } = driver.consumer('a', 0)
      driver.commit({ topic: 42 }, { memberId: 'a', generationId: memberEpoch })
      driver.consumer('a', -1)
      const loaded = driver.reload(config)
      const written = loaded.records.length
      expect(loaded.joinAnswer(loaded.join(join))?.errorCode).toBe(error)
      expect([loaded.records.length, loaded.offsetOf('topic')]).toEqual([written, 42])
      expect([loaded.consumerGroup?.state, loaded.reload().offsetOf('topic')]).toEqual(['Empty', 42])
    }
  })

  test('are taken from members, and from nobody else while there are any', () => {
    const driver = driverOf()
    driver.consumer('a', 0)
    const commit = (memberId: string, generationId: number, more = {}) =>
      driver.commit({ topic: 5 }, { memberId, generationId, ...more }).errorCode
    expect(commit('a', 1)).toBe(0)
    expect(commit('', -1)).toBe(UNKNOWN_MEMBER_ID)
    expect(commit('x', 1)).toBe(UNKNOWN_MEMBER_ID)
    expect(commit('a', 2)).toBe(ErrorCode.STALE_MEMBER_EPOCH)
    expect(commit('a', 1, { knowsGroupIdNotFound: false })).toBe(ErrorCode.UNSUPPORTED_VERSION)
    driver.consumer('a', -1)
    expect(commit('', -1)).toBe(0)
  })

  test('are taken of an epoch before for what the member has had since', () => {
    const driver = driverOf()
    driver.consumer('a', 0)
    driver.consumer('b', 0)
    driver.consumer('a', 1, { owned: some(0, 1, 2, 3) })
    driver.consumer('a', 1, { owned: some(0, 1) })
    driver.consumer('b', 2)
    const commit = (memberId: string, generationId: number) =>
      driver.commit({ topic: 5 }, { memberId, generationId }).errorCode
    // Partition 0 has been the first member's since epoch 1, and never the second's.
    expect(commit('a', 1)).toBe(0)
    expect(commit('a', 0)).toBe(ErrorCode.STALE_MEMBER_EPOCH)
    expect(commit('b', 1)).toBe(ErrorCode.STALE_MEMBER_EPOCH)
  })

  test('are told to members of the right epoch, and to those who say nothing of themselves', () => {
    const driver = driverOf()
    driver.consumer('a', 0)
    const error = (memberId: string | null, memberEpoch: number) =>
      driver.machine.fetchError(GROUP, { memberId, memberEpoch }, true)
    expect(error(null, -1)).toBe(0)
    expect(error('a', 1)).toBe(0)
    expect(error('a', 0)).toBe(ErrorCode.STALE_MEMBER_EPOCH)
    expect(error('x', 1)).toBe(UNKNOWN_MEMBER_ID)
  })

  test('are deleted but for subscribed topics, and expire without members', () => {
    const driver = driverOf({ offsetsRetentionMinutes: 60, offsetsRetentionCheckIntervalMs: 60_000 })
    driver.step((machine, step) => machine.onLoaded(step))
    driver.commit({ topic: 1, other: 2 })
    driver.consumer('a', 0)
    const topics = [
      { topic: 'topic', partitions: [0] },
      { topic: 'other', partitions: [0] },
    ]
    expect(driver.step((machine, step) => machine.deleteOffsets(GROUP, topics, step)).topicErrors).toEqual([
      ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC,
      0,
    ])
    driver.consumer('a', -1)
    driver.advance(61 * 60_000)
    expect(driver.consumerGroup).toBeNull()
    expect(driver.offsetOf('topic')).toBe(-1)
    expect(driver.reload().consumerGroup).toBeNull()
    expect(driver.limits.usage).toMatchObject({ groups: 0, members: 0, offsets: 0, bytes: 0 })
  })
})
