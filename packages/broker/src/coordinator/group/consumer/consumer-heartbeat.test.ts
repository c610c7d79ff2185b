import { ErrorCode } from '@millrace/protocol'
import { beforeAll, describe, expect, test } from 'vitest'
import { imageOf } from '../../testing/coordinator-fixture.ts'
import { GROUP, GroupDriver, topicId } from '../../testing/group-driver.ts'
import type { GroupCoordinatorConfig } from '../group-config.ts'
import type { Assignment } from '../modern/assignment.ts'
import type { HeartbeatAnswer } from '../modern/heartbeat-answer.ts'
import { loadTopicRegex } from './topic-regex.ts'

beforeAll(loadTopicRegex)

const ABORT = ErrorCode.KAFKA_STORAGE_ERROR

/** A machine that knows a topic of four partitions, and another of two. */
function driverOf(config: Partial<GroupCoordinatorConfig> = {}): GroupDriver {
  const driver = new GroupDriver(config)
  driver.image = imageOf(['topic', 'other'], 4)
  return driver
}

const some = (...partitions: number[]): Assignment => new Map([[topicId('topic'), partitions]])
const partitionsOf = (answer: HeartbeatAnswer, topic = 'topic') => answer.assignment?.get(topicId(topic)) ?? []
const told = ({ errorCode, memberEpoch, assignment }: HeartbeatAnswer) => [
  errorCode,
  memberEpoch,
  assignment === null ? null : (assignment.get(topicId('topic')) ?? []),
]

describe('a member of a consumer group', () => {
  test('is told why it is refused in few words, however long its own are', () => {
    const driver = driverOf()
    const long = 'x'.repeat(32_760)
    driver.consumer('a', 0, { instanceId: long })
    const answers = [
      driver.consumer('b', 0, { topicRegex: long }),
      driver.consumer('b', 0, { serverAssignor: long }),
      driver.consumer('b', 0, { instanceId: long }),
      driver.consumer('b', 1, { instanceId: long }),
      driver.consumer('b', 1, { instanceId: `${long}.` }),
      driver.consumer('b', 7, { groupId: long }),
      driver.consumer('b', -1, { groupId: long }),
      driver.consumer('b', -2, { instanceId: long }),
    ]
    for (const { errorCode, errorMessage } of answers) {
      expect(errorCode).not.toBe(0)
      expect(errorMessage!.length).toBeLessThan(500)
    }
  })

  test('joins, gets everything, and is told nothing twice', () => {
    const driver = driverOf()
    const joined = driver.consumer('a', 0)
    expect(told(joined)).toEqual([0, 1, [0, 1, 2, 3]])
    expect(joined.heartbeatIntervalMs).toBe(5000)
    expect(driver.records.map(({ type }) => type)).toEqual([
      'consumer-member',
      'consumer-group',
      'consumer-target',
      'consumer-targets',
      'consumer-current',
    ])
    const written = driver.records.length
    expect(told(driver.consumer('a', 1, { owned: some(0, 1, 2, 3) }))).toEqual([0, 1, null])
    expect(driver.records.length).toBe(written)
    expect(driver.consumerGroup).toMatchObject({ state: 'Stable', epoch: 1, targetEpoch: 1, assignor: 'uniform' })
  })

  test('gives up what another is to have before that one gets it', () => {
    const driver = driverOf()
    driver.consumer('a', 0)
    expect(told(driver.consumer('b', 0))).toEqual([0, 2, []])
    expect(driver.consumerGroup?.state).toBe('Reconciling')
    // It keeps its epoch until it says that it has given up what it had to.
    expect(told(driver.consumer('a', 1, { owned: some(0, 1, 2, 3) }))).toEqual([0, 1, [0, 1]])
    expect(told(driver.consumer('b', 2))).toEqual([0, 2, null])
    expect(told(driver.consumer('a', 1))).toEqual([0, 1, null])
    expect(told(driver.consumer('a', 1, { owned: some(0, 1) }))).toEqual([0, 2, null])
    expect(told(driver.consumer('b', 2))).toEqual([0, 2, [2, 3]])
    expect(driver.consumerGroup?.state).toBe('Stable')
    expect(driver.consumerGroup?.members.map(({ member }) => member.assigned)).toEqual([some(0, 1), some(2, 3)])
  })

  test('that never gives up its partitions is fenced when its time for that is over', () => {
    const driver = driverOf()
    driver.consumer('a', 0, { rebalanceTimeoutMs: 20_000 })
    driver.consumer('b', 0)
    driver.consumer('a', 1, { owned: some(0, 1, 2, 3) })
    for (let second = 0; second < 19; second++) {
      driver.advance(1000)
      expect(driver.consumer('a', 1).errorCode).toBe(0)
      expect(driver.consumer('b', 2).errorCode).toBe(0)
    }
    driver.advance(1000)
    expect(driver.consumer('a', 1).errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(told(driver.consumer('b', 2))).toEqual([0, 3, [0, 1, 2, 3]])
  })

  test('is removed when its session times out, and others get what it had', () => {
    const driver = driverOf()
    driver.consumer('a', 0)
    driver.consumer('b', 0)
    driver.advance(44_000)
    driver.consumer('b', 2)
    driver.advance(1000)
    expect(driver.consumerGroup?.members.map(({ member }) => member.memberId)).toEqual(['b'])
    expect(told(driver.consumer('b', 2))).toEqual([0, 3, [0, 1, 2, 3]])
  })

  test('leaves at once, and with the last one the group is empty', () => {
    const driver = driverOf()
    driver.consumer('a', 0)
    expect(driver.consumer('a', -1)).toMatchObject({ errorCode: 0, memberEpoch: -1, memberId: 'a' })
    expect(driver.consumerGroup).toMatchObject({ state: 'Empty', members: [], epoch: 2 })
    expect(driver.timers.size).toBe(0)
    expect(driver.consumer('a', -1).errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(driver.consumer('a', 1).errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(driver.consumer('a', 0).memberEpoch).toBe(3)
  })

  test('gets new partitions when its topics change, and loses those of a deleted one', () => {
    const driver = driverOf()
    driver.consumer('a', 0, { subscribedTopics: ['later', 'topic'] })
    driver.image = imageOf(['topic', 'later'], 5)
    const grown = driver.consumer('a', 1)
    expect([partitionsOf(grown).length, partitionsOf(grown, 'later').length]).toEqual([5, 5])
    driver.image = imageOf(['topic'], 5)
    const shrunk = driver.consumer('a', 2, { owned: grown.assignment! })
    expect([shrunk.memberEpoch, partitionsOf(shrunk, 'later')]).toEqual([2, []])
    expect(driver.consumer('a', 2, { owned: some(0, 1, 2, 3, 4) }).memberEpoch).toBe(3)
    // What is not one of its topics changes nothing.
    const written = driver.records.length
    driver.image = imageOf(['topic', 'third'], 5)
    expect(driver.consumer('a', 3).memberEpoch).toBe(3)
    expect(driver.records.length).toBe(written)
  })

  test('of an epoch that is not its own is fenced, but for a lost answer', () => {
    const driver = driverOf()
    driver.consumer('a', 0)
    driver.consumer('b', 0)
    driver.consumer('a', 1, { owned: some(0, 1, 2, 3) })
    driver.consumer('a', 1, { owned: some(0, 1) })
    expect(driver.consumer('a', 3).errorCode).toBe(ErrorCode.FENCED_MEMBER_EPOCH)
    expect(driver.consumer('a', 1).errorCode).toBe(ErrorCode.FENCED_MEMBER_EPOCH)
    expect(driver.consumer('a', 1, { owned: some(0, 1, 2) }).errorCode).toBe(ErrorCode.FENCED_MEMBER_EPOCH)
    expect(told(driver.consumer('a', 1, { owned: some(0, 1) }))).toEqual([0, 2, null])
    // A client that does not know what became of its last request sends everything, and is told everything.
    const full = { owned: some(0, 1), rebalanceTimeoutMs: 30_000, subscribedTopics: ['topic'] }
    expect(told(driver.consumer('a', 1, full))).toEqual([0, 2, [0, 1]])
    // It may always begin anew.
    expect(told(driver.consumer('a', 0))).toEqual([0, 2, [0, 1]])
  })

  test('asks for an assignor, and the majority has it', () => {
    const driver = driverOf()
    expect(driver.consumer('a', 0, { serverAssignor: 'sticky' })).toMatchObject({
      errorCode: ErrorCode.UNSUPPORTED_ASSIGNOR,
      errorMessage: 'ServerAssignor sticky is not supported. Supported assignors: uniform, range.',
    })
    expect(driver.consumerGroup).toBeNull()
    driver.consumer('a', 0, { serverAssignor: 'range' })
    expect(driver.consumerGroup?.assignor).toBe('range')
    driver.consumer('b', 0, { serverAssignor: 'uniform' })
    driver.consumer('c', 0, { serverAssignor: 'uniform' })
    expect(driver.consumerGroup?.assignor).toBe('uniform')
  })

  test('waits for the next assignment as long as the last one is too young', () => {
    const driver = driverOf({ groupConsumerAssignmentIntervalMs: 1000 })
    driver.consumer('a', 0)
    expect(told(driver.consumer('b', 0))).toEqual([0, 1, []])
    expect(driver.consumerGroup?.state).toBe('Assigning')
    driver.advance(999)
    expect(told(driver.consumer('a', 1))).toEqual([0, 1, null])
    driver.advance(1)
    expect(told(driver.consumer('a', 1, { owned: some(0, 1, 2, 3) }))).toEqual([0, 1, [0, 1]])
  })

  test('finds no room in a full group, nor in a full broker', () => {
    const driver = driverOf({ groupConsumerMaxSize: 1 })
    driver.consumer('a', 0)
    expect(driver.consumer('b', 0).errorCode).toBe(ErrorCode.GROUP_MAX_SIZE_REACHED)
    expect(driver.consumer('a', 0).errorCode).toBe(0)
    const full = driverOf({ groupCoordinatorMaxMembers: 1 })
    full.consumer('a', 0)
    expect(full.consumer('b', 0).errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(full.consumer('a', 1).errorCode).toBe(0)
    expect(full.counters.limitRefusals).toBe(1)
    expect(full.limits.usage.members).toBe(1)
  })

  test('of a group that is there no more, or of another kind, is told so', () => {
    const driver = driverOf()
    expect(driver.consumer('a', 1).errorCode).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
    expect(driver.consumer('a', -1).errorCode).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
    driver.stabilize([{}])
    expect(driver.consumer('a', 1).errorCode).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
  })
})

describe('a static member of a consumer group', () => {
  const instanceId = 'instance'

  test('that left for a while keeps its partitions for the one that comes back', () => {
    const driver = driverOf()
    driver.consumer('a', 0, { instanceId })
    driver.consumer('b', 0)
    driver.consumer('a', 1, { instanceId, owned: some(0, 1, 2, 3) })
    driver.consumer('a', 1, { instanceId, owned: some(0, 1) })
    driver.consumer('b', 2)
    expect(driver.consumer('a', -2, { instanceId })).toMatchObject({ errorCode: 0, memberEpoch: -2 })
    expect(told(driver.consumer('b', 2))).toEqual([0, 2, null])
    expect(told(driver.consumer('a2', 0, { instanceId }))).toEqual([0, 2, [0, 1]])
    expect(driver.consumerGroup?.members.map(({ member }) => member.memberId).sort()).toEqual(['a2', 'b'])
    expect(driver.consumer('a', 2, { instanceId }).errorCode).toBe(ErrorCode.FENCED_INSTANCE_ID)
  })

  test('that is still there keeps others out', () => {
    const driver = driverOf()
    driver.consumer('a', 0, { instanceId })
    expect(driver.consumer('a2', 0, { instanceId }).errorCode).toBe(ErrorCode.UNRELEASED_INSTANCE_ID)
    expect(driver.consumer('a', 0, { instanceId }).errorCode).toBe(ErrorCode.UNRELEASED_INSTANCE_ID)
    expect(driver.consumer('x', 1, { instanceId: 'unknown' }).errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(driver.consumer('x', -1, { instanceId }).errorCode).toBe(ErrorCode.FENCED_INSTANCE_ID)
  })

  test('that does not come back in its session is removed', () => {
    const driver = driverOf()
    driver.consumer('a', 0, { instanceId })
    driver.consumer('a', -2, { instanceId })
    driver.advance(45_000)
    expect(driver.consumerGroup?.members).toEqual([])
    expect(driver.consumer('a2', 0, { instanceId }).errorCode).toBe(0)
  })
})

describe('what a step changed is taken back if it could not be written', () => {
  test('a new group is none, and a member that was to be new is unknown', () => {
    const driver = driverOf()
    driver.holdsWrites = true
    driver.consumer('a', 0)
    driver.settle(ABORT)
    expect(driver.consumerGroup).toBeNull()
    driver.holdsWrites = false
    expect(driver.consumer('a', 1).errorCode).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
    expect(driver.limits.usage).toMatchObject({ groups: 0, members: 0, bytes: 0 })
  })

  test('a member that left is there again, and its session ends as if nothing had been', () => {
    const driver = driverOf()
    driver.consumer('a', 0)
    driver.holdsWrites = true
    driver.consumer('a', -1)
    driver.settle(ABORT)
    driver.holdsWrites = false
    expect(driver.consumer('a', 1).errorCode).toBe(0)
    driver.holdsWrites = true
    driver.consumer('a', -1)
    driver.settle(ABORT)
    driver.holdsWrites = false
    driver.advance(45_000)
    expect(driver.consumerGroup?.members).toEqual([])
  })

  test('a member that had moved on has its time to give up partitions again', () => {
    const driver = driverOf()
    driver.consumer('a', 0, { rebalanceTimeoutMs: 10_000 })
    driver.consumer('b', 0)
    driver.consumer('a', 1, { owned: some(0, 1, 2, 3) })
    driver.holdsWrites = true
    driver.consumer('a', 1, { owned: some(0, 1) })
    driver.settle(ABORT)
    driver.holdsWrites = false
    expect(told(driver.consumer('b', 2))).toEqual([0, 2, null])
    driver.advance(10_000)
    expect(driver.consumer('a', 1).errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('a topic that had grown is looked at again', () => {
    const driver = driverOf()
    driver.consumer('a', 0)
    driver.image = imageOf(['topic'], 5)
    driver.holdsWrites = true
    driver.consumer('a', 1)
    driver.settle(ABORT)
    driver.holdsWrites = false
    expect(told(driver.consumer('a', 1))).toEqual([0, 2, [0, 1, 2, 3, 4]])
  })

  test('and readers see nothing of it before it is committed', () => {
    const driver = driverOf()
    driver.consumer('a', 0)
    driver.holdsWrites = true
    driver.consumer('b', 0)
    expect(driver.consumerGroup).toMatchObject({ state: 'Stable', epoch: 1 })
    expect(driver.machine.list().map((group) => 'committedState' in group && group.committedState)).toEqual(['Stable'])
    driver.settle(0)
    expect(driver.consumerGroup).toMatchObject({ state: 'Reconciling', epoch: 2 })
  })
})

describe('after a load', () => {
  test('all is as it was, and the timers run', () => {
    const driver = driverOf()
    driver.consumer('a', 0, { rebalanceTimeoutMs: 10_000 })
    driver.consumer('b', 0)
    driver.consumer('a', 1, { owned: some(0, 1, 2, 3) })
    const other = driver.reload()
    expect(other.consumerGroup).toEqual(driver.consumerGroup)
    other.advance(10_000)
    expect(other.consumer('a', 1).errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(told(other.consumer('b', 2))).toEqual([0, 3, [0, 1, 2, 3]])
    other.advance(45_000)
    expect(other.consumerGroup?.members).toEqual([])
  })

  test('a group that was deleted is gone, with all of its records', () => {
    const driver = driverOf()
    driver.consumer('a', 0)
    expect(driver.step((machine, step) => machine.deleteGroup(GROUP, step))).toBe(ErrorCode.NON_EMPTY_GROUP)
    driver.consumer('a', -1)
    expect(driver.step((machine, step) => machine.deleteGroup(GROUP, step))).toBe(0)
    expect(driver.consumerGroup).toBeNull()
    expect(driver.reload().consumerGroup).toBeNull()
    const live = new Map<string, unknown>()
    for (const record of driver.records) {
      const { value, ...key } = record
      live.set(JSON.stringify({ ...key, owner: undefined }), value)
    }
    expect([...live.values()].every((value) => value === null)).toBe(true)
  })
})
