import type { Uuid } from '@millrace/base'
import {
  createAlterShareGroupOffsetsRequest,
  createAlterShareGroupOffsetsRequestPartition,
  createAlterShareGroupOffsetsRequestTopic,
  createDeleteGroupsRequest,
  createDeleteShareGroupOffsetsRequest,
  createDeleteShareGroupOffsetsRequestTopic,
  createDescribeShareGroupOffsetsRequest,
  createDescribeShareGroupOffsetsRequestGroup,
  createDescribeShareGroupOffsetsRequestTopic,
  createShareGroupDescribeRequest,
  createShareGroupHeartbeatRequest,
  ErrorCode,
  type ShareGroupHeartbeatRequest,
} from '@millrace/protocol'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { GROUP_METADATA_TOPIC } from '../../../metadata/internal-topics.ts'
import { CoordinatorFixture, contextOf, imageOf } from '../../testing/coordinator-fixture.ts'
import { topicId } from '../../testing/group-driver.ts'
import { RecordedStates } from '../../testing/recorded-states.ts'
import type { GroupCoordinatorConfig } from '../group-config.ts'

const GROUP = 'workers'
const CONTEXT = contextOf(76, 1)

let states: RecordedStates
let fixture: CoordinatorFixture

beforeEach(async () => {
  states = new RecordedStates()
  fixture = await startedOn([])
})

async function startedOn(
  logs: readonly CoordinatorFixture['logs'][number][],
  config: Partial<GroupCoordinatorConfig> = {},
): Promise<CoordinatorFixture> {
  const started = await CoordinatorFixture.started(config, logs, { shareStates: states, latestOffsets: states })
  started.image = sharing(['topic', 'other'])
  started.settle()
  return started
}

/** Topics of two partitions each, where share groups are served. */
function sharing(topics: readonly string[]) {
  const image = imageOf([GROUP_METADATA_TOPIC, ...topics])
  return { ...image, features: new Map([...image.features, ['share.version', 1]]) }
}

/** Lets promises go on, and what they write be committed. */
async function settle(): Promise<void> {
  for (let round = 0; round < 30; round++) {
    fixture.settle()
    await Promise.resolve()
  }
}

async function heartbeat(memberId: string, request: Partial<ShareGroupHeartbeatRequest>) {
  const answer = fixture.groups.shareGroups.heartbeat(
    createShareGroupHeartbeatRequest({ groupId: GROUP, memberId, ...request }),
    CONTEXT,
  )
  await settle()
  return answer
}

const join = (memberId: string, ...topics: string[]) =>
  heartbeat(memberId, { memberEpoch: 0, subscribedTopicNames: topics })

/** A member that has its partitions. */
async function joined(memberId: string, ...topics: string[]): Promise<number> {
  const { memberEpoch } = await join(memberId, ...topics)
  return (await heartbeat(memberId, { memberEpoch })).memberEpoch
}

const leave = (memberId: string) => heartbeat(memberId, { memberEpoch: -1 })

function partitionsOf(answer: Awaited<ReturnType<typeof heartbeat>>): Record<Uuid, number[]> {
  return Object.fromEntries(
    (answer.assignment?.topicPartitions ?? []).map(({ topicId: id, partitions }) => [id, partitions]),
  )
}

async function describeGroup() {
  const { groups } = await fixture.groups.shareGroups.describe(
    createShareGroupDescribeRequest({ groupIds: [GROUP] }),
    CONTEXT,
  )
  return groups[0]!
}

async function deleteGroup(): Promise<number> {
  const answer = fixture.groups.administration.delete(createDeleteGroupsRequest({ groupsNames: [GROUP] }))
  await settle()
  return (await answer).results[0]!.errorCode
}

function alterRequest(topicName: string, startOffset: number, partitionIndex = 0) {
  const partitions = [createAlterShareGroupOffsetsRequestPartition({ partitionIndex, startOffset })]
  const topics = [createAlterShareGroupOffsetsRequestTopic({ topicName, partitions })]
  return createAlterShareGroupOffsetsRequest({ groupId: GROUP, topics })
}

async function alter(topicName: string, startOffset: number, partitionIndex = 0) {
  const answer = fixture.groups.shareGroups.alterOffsets(alterRequest(topicName, startOffset, partitionIndex))
  await settle()
  const { errorCode, responses } = await answer
  return errorCode || responses[0]!.partitions[0]!.errorCode
}

async function deleteOffsets(topicName: string): Promise<number> {
  const topics = [createDeleteShareGroupOffsetsRequestTopic({ topicName })]
  const answer = fixture.groups.shareGroups.deleteOffsets(
    createDeleteShareGroupOffsetsRequest({ groupId: GROUP, topics }),
  )
  await settle()
  const { errorCode, responses } = await answer
  return errorCode || responses[0]!.errorCode
}

async function describeOffsets() {
  const groups = [createDescribeShareGroupOffsetsRequestGroup({ groupId: GROUP, topics: null })]
  const answer = fixture.groups.shareGroups.describeOffsets(createDescribeShareGroupOffsetsRequest({ groups }))
  await settle()
  return (await answer).groups[0]!
}

describe('members', () => {
  test('get their partitions once there is a state for them', async () => {
    const first = await join('a', 'topic')
    expect(first).toMatchObject({ errorCode: 0, memberEpoch: 1, memberId: 'a' })
    expect(partitionsOf(first)).toEqual({})
    expect(states.keys()).toEqual([`${GROUP}:${topicId('topic')}:0`, `${GROUP}:${topicId('topic')}:1`])
    const second = await heartbeat('a', { memberEpoch: 1 })
    expect(second).toMatchObject({ memberEpoch: 2 })
    expect(partitionsOf(second)).toEqual({ [topicId('topic')]: [0, 1] })
    expect(await heartbeat('a', { memberEpoch: 2 })).toMatchObject({ memberEpoch: 2, assignment: null })
  })

  test('share what there is', async () => {
    await joined('a', 'topic')
    const { memberEpoch } = await join('b', 'topic')
    const b = await heartbeat('b', { memberEpoch })
    const a = await heartbeat('a', { memberEpoch: 2 })
    const all = [...Object.values(partitionsOf(a)), ...Object.values(await memberPartitions('b'))].flat().sort()
    expect(all).toEqual([0, 1])
    expect(b.memberEpoch).toBe(a.memberEpoch)
    await join('c', 'topic')
    const counts = (await describeGroup()).members.map(({ assignment }) => assignment.topicPartitions.length)
    expect(counts).toHaveLength(3)
  })

  async function memberPartitions(memberId: string) {
    const member = (await describeGroup()).members.find((one) => one.memberId === memberId)!
    return member.assignment.topicPartitions.map(({ partitions }) => partitions)
  }

  test('are described and listed with their group', async () => {
    await joined('a', 'topic')
    expect(await describeGroup()).toMatchObject({
      errorCode: 0,
      groupState: 'Stable',
      assignorName: 'simple',
      members: [{ memberId: 'a', assignment: { topicPartitions: [{ topicName: 'topic', partitions: [0, 1] }] } }],
    })
    const { groups } = await fixture.groups.administration.list(
      { statesFilter: [], typesFilter: ['share'], unknownTaggedFields: null },
      CONTEXT,
    )
    expect(groups).toMatchObject([{ groupId: GROUP, groupType: 'Share', protocolType: 'share', groupState: 'Stable' }])
  })

  test('that are unknown, late or ill-formed are told so', async () => {
    expect(await heartbeat('a', { memberEpoch: 1 })).toMatchObject({ errorCode: ErrorCode.GROUP_ID_NOT_FOUND })
    expect(await join('a')).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST })
    expect(await heartbeat('', { memberEpoch: 0 })).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST })
    expect(await heartbeat('x'.repeat(37), { memberEpoch: 0 })).toMatchObject({
      errorCode: ErrorCode.INVALID_REQUEST,
    })
    await joined('a', 'topic')
    expect(await heartbeat('b', { memberEpoch: 1 })).toMatchObject({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID })
    expect(await heartbeat('a', { memberEpoch: 9 })).toMatchObject({ errorCode: ErrorCode.FENCED_MEMBER_EPOCH })
  })

  test('leave by themselves, or when nothing is heard of them', async () => {
    await joined('a', 'topic')
    await joined('b', 'topic')
    expect(await leave('a')).toMatchObject({ errorCode: 0, memberEpoch: -1 })
    expect((await describeGroup()).members.map(({ memberId }) => memberId)).toEqual(['b'])
    fixture.timers.advance(46_000)
    await settle()
    expect(await describeGroup()).toMatchObject({ groupState: 'Empty', members: [] })
  })

  test('are there after a new election, and their partitions with them', async () => {
    await joined('a', 'topic')
    fixture = await startedOn(fixture.logs.map((log) => log.crash()))
    expect(await describeGroup()).toMatchObject({ members: [{ memberId: 'a' }] })
    expect(await heartbeat('a', { memberEpoch: 2 })).toMatchObject({ errorCode: 0, memberEpoch: 2 })
  })

  test('come to a topic that grows', async () => {
    await joined('a', 'topic')
    const image = sharing(['topic', 'other'])
    fixture.image = { ...sharing(['topic', 'other']), ...withPartitions(image, 'topic', 3) }
    await heartbeat('a', { memberEpoch: 2 })
    await heartbeat('a', { memberEpoch: 3 })
    await heartbeat('a', { memberEpoch: 4 })
    const { topicPartitions } = (await describeGroup()).members[0]!.assignment
    expect(topicPartitions).toMatchObject([{ partitions: [0, 1, 2] }])
  })

  test('cannot be in a group of another kind', async () => {
    await fixture.joinAndSync(GROUP)
    expect(await join('a', 'topic')).toMatchObject({ errorCode: ErrorCode.GROUP_ID_NOT_FOUND })
  })
})

function withPartitions(image: ReturnType<typeof imageOf>, name: string, count: number) {
  const grown = imageOf([GROUP_METADATA_TOPIC, 'topic', 'other'], count)
  const topic = grown.topics.get(name)!
  return {
    topics: new Map([...image.topics, [name, topic]]),
    topicsById: new Map([...image.topicsById, [topic.id, topic]]),
  }
}

describe('states', () => {
  test('that could not be begun are asked for again', async () => {
    states.errorCode = ErrorCode.COORDINATOR_NOT_AVAILABLE
    const { memberEpoch } = await join('a', 'topic')
    expect(await heartbeat('a', { memberEpoch })).toMatchObject({ memberEpoch })
    states.errorCode = 0
    await heartbeat('a', { memberEpoch })
    expect(partitionsOf(await heartbeat('a', { memberEpoch }))).toEqual({ [topicId('topic')]: [0, 1] })
  })

  test('that were asked for by a coordinator that died are asked for by the next one', async () => {
    states.isSilent = true
    await join('a', 'topic')
    states.isSilent = false
    fixture = await startedOn(fixture.logs.map((log) => log.crash()))
    await heartbeat('a', { memberEpoch: 1 })
    expect(partitionsOf(await heartbeat('a', { memberEpoch: 1 }))).toEqual({ [topicId('topic')]: [0, 1] })
  })

  test('of an empty group are set elsewhere, with an epoch that fences what was', async () => {
    await joined('a', 'topic')
    expect(await alter('topic', 5)).toBe(ErrorCode.NON_EMPTY_GROUP)
    await leave('a')
    const before = states.stateOf(`${GROUP}:${topicId('topic')}:0`)!
    expect(await alter('topic', 5)).toBe(0)
    const after = states.stateOf(`${GROUP}:${topicId('topic')}:0`)!
    expect(after).toMatchObject({ startOffset: 5 })
    expect(after.stateEpoch).toBeGreaterThan(before.stateEpoch)
    expect(await alter('nowhere', 5)).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(await alter('topic', 5, 7)).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })

  test('stay where they are when they cannot be set elsewhere, or nobody is left who would', async () => {
    const key = `${GROUP}:${topicId('topic')}:0`
    await joined('a', 'topic')
    await leave('a')
    expect(await alter('topic', 40)).toBe(0)
    states.errorCode = ErrorCode.COORDINATOR_NOT_AVAILABLE
    expect(await alter('topic', 5)).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    states.errorCode = 0
    await joined('a', 'topic')
    expect(states.stateOf(key)).toMatchObject({ startOffset: 40 })
    await leave('a')
    states.isSilent = true
    void fixture.groups.shareGroups.alterOffsets(alterRequest('topic', 5))
    await settle()
    states.isSilent = false
    fixture = await startedOn(fixture.logs.map((log) => log.crash()))
    await joined('b', 'topic')
    expect(states.stateOf(key)).toMatchObject({ startOffset: 40 })
  })

  test('are not said to be set unless the group knows it', async () => {
    const { initialize } = states
    states.initialize = (...args) => {
      for (const log of fixture.logs) log.appendError = ErrorCode.NOT_ENOUGH_REPLICAS
      return initialize.apply(states, args)
    }
    expect(await alter('topic', 5)).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    for (const log of fixture.logs) log.appendError = 0
    states.initialize = initialize
    expect(await alter('topic', 5)).toBe(0)
    await joined('a', 'topic')
    expect(states.stateOf(`${GROUP}:${topicId('topic')}:0`)).toMatchObject({ startOffset: 5 })
  })

  test('that are set stay set when a member asked for them meanwhile', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const { initialize } = states
    states.initialize = (...args) => promise.then(() => initialize.apply(states, args))
    const altered = fixture.groups.shareGroups.alterOffsets(alterRequest('topic', 5))
    await settle()
    const { memberEpoch } = await join('a', 'topic')
    fixture.timers.advance(31_000)
    await heartbeat('a', { memberEpoch })
    resolve()
    await settle()
    expect((await altered).responses[0]!.partitions[0]!.errorCode).toBe(0)
    expect(states.stateOf(`${GROUP}:${topicId('topic')}:0`)).toMatchObject({ startOffset: 5 })
    expect(states.stateOf(`${GROUP}:${topicId('topic')}:1`)).toMatchObject({ startOffset: -1 })
  })

  test('may be set before anybody has joined', async () => {
    expect(await alter('topic', 3)).toBe(0)
    expect(await describeGroup()).toMatchObject({ errorCode: 0, groupState: 'Empty' })
    const offsets = await describeOffsets()
    expect(offsets.topics).toMatchObject([{ topicName: 'topic', partitions: [{ startOffset: 3, lag: 97 }] }])
  })

  test('of partitions that there are not are told at once to be none', async () => {
    await joined('a', 'topic')
    const readSummary = vi.spyOn(states, 'readSummary')
    const topics = [
      createDescribeShareGroupOffsetsRequestTopic({ topicName: 'topic', partitions: [-1, 1, 2 ** 31 - 1] }),
    ]
    const groups = [createDescribeShareGroupOffsetsRequestGroup({ groupId: GROUP, topics })]
    const answer = fixture.groups.shareGroups.describeOffsets(createDescribeShareGroupOffsetsRequest({ groups }))
    await settle()
    const [described] = (await answer).groups[0]!.topics
    expect(described!.partitions.map(({ startOffset, errorCode }) => [startOffset, errorCode])).toEqual(
      new Array(3).fill([-1, 0]),
    )
    expect(readSummary.mock.calls.map(([{ partition }]) => partition)).toEqual([1])
  })

  test('of a topic go on request', async () => {
    expect(await deleteOffsets('topic')).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
    await joined('a', 'topic')
    expect(await deleteOffsets('topic')).toBe(ErrorCode.NON_EMPTY_GROUP)
    await leave('a')
    expect(await deleteOffsets('other')).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(await deleteOffsets('topic')).toBe(0)
    expect(states.keys()).toEqual([])
    expect((await describeOffsets()).topics).toEqual([])
    await joined('a', 'topic')
    expect(states.keys()).toHaveLength(2)
  })

  test('go with their topic', async () => {
    await joined('a', 'topic')
    fixture.image = sharing(['other'])
    fixture.groups.onTopicsDeleted([{ name: 'topic', id: topicId('topic') }])
    await settle()
    expect((await describeOffsets()).topics).toEqual([])
  })
})

describe('deletion of a group', () => {
  test('takes its states along', async () => {
    await joined('a', 'topic')
    expect(await deleteGroup()).toBe(ErrorCode.NON_EMPTY_GROUP)
    await leave('a')
    expect(await deleteGroup()).toBe(0)
    expect(states.keys()).toEqual([])
    expect(await deleteGroup()).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
    expect(await join('a', 'topic')).toMatchObject({ memberEpoch: 1 })
  })

  test('that stops on the way is gone on with by the next one', async () => {
    await joined('a', 'topic', 'other')
    await leave('a')
    states.failingKey = `${GROUP}:${topicId('other')}:1`
    expect(await deleteGroup()).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(states.keys()).toEqual([states.failingKey])
    expect(await describeGroup()).toMatchObject({ errorCode: 0, groupState: 'Empty' })
    states.failingKey = null
    // Another coordinator knows what was left as well.
    fixture = await startedOn(fixture.logs.map((log) => log.crash()))
    expect(await deleteGroup()).toBe(0)
    expect(states.keys()).toEqual([])
  })

  test('that stopped leaves nothing of the past to members that come', async () => {
    await joined('a', 'topic')
    await leave('a')
    await alter('topic', 50)
    states.failingKey = `${GROUP}:${topicId('topic')}:0`
    expect(await deleteGroup()).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    states.failingKey = null
    await joined('a', 'topic')
    expect(states.stateOf(`${GROUP}:${topicId('topic')}:0`)).toMatchObject({ startOffset: -1 })
    expect(partitionsOf(await join('a', 'topic'))).toEqual({ [topicId('topic')]: [0, 1] })
  })
})

describe('the interval of heartbeats', () => {
  const USUAL_MS = 5000
  const HURRIED_MS = 500
  const ASSIGNMENT_MS = 1000
  const ALL = { [topicId('topic')]: [0, 1] }

  beforeEach(async () => {
    fixture = await startedOn([], { groupShareAssignmentIntervalMs: ASSIGNMENT_MS })
  })

  async function heartbeatAfter(delayMs: number, memberId: string, memberEpoch: number) {
    fixture.timers.advance(delayMs)
    return heartbeat(memberId, { memberEpoch })
  }

  async function intervalAfter(delayMs: number, memberId: string, memberEpoch: number): Promise<number> {
    return (await heartbeatAfter(delayMs, memberId, memberEpoch)).heartbeatIntervalMs
  }

  test('is short until a new member has its partitions', async () => {
    expect(await join('a', 'topic')).toMatchObject({ memberEpoch: 1, heartbeatIntervalMs: HURRIED_MS })
    const second = await heartbeatAfter(HURRIED_MS, 'a', 1)
    expect(second).toMatchObject({ memberEpoch: 2, heartbeatIntervalMs: USUAL_MS })
    expect(partitionsOf(second)).toEqual(ALL)
    expect(await intervalAfter(USUAL_MS, 'a', 2)).toBe(USUAL_MS)
  })

  test('is that of the configuration where this is shorter', async () => {
    fixture = await startedOn([], { groupShareHeartbeatIntervalMs: 200, groupShareMinHeartbeatIntervalMs: 200 })
    expect(await join('a', 'topic')).toMatchObject({ heartbeatIntervalMs: 200 })
  })

  test('is the usual one where nothing is waited for', async () => {
    expect(await join('a', 'nowhere')).toMatchObject({ heartbeatIntervalMs: USUAL_MS })
    const memberEpoch = await joined('b', 'topic')
    states.isSilent = true
    fixture.timers.advance(USUAL_MS)
    expect(await join('c', 'other')).toMatchObject({ heartbeatIntervalMs: HURRIED_MS })
    expect(await intervalAfter(USUAL_MS, 'b', memberEpoch)).toBe(USUAL_MS)
  })

  test('grows with the time that was waited in vain, whether states fail or nothing is heard of them', async () => {
    for (const isSilent of [false, true]) {
      states = new RecordedStates()
      states.errorCode = ErrorCode.COORDINATOR_NOT_AVAILABLE
      states.isSilent = isSilent
      fixture = await startedOn([])
      const intervals = [(await join('a', 'topic')).heartbeatIntervalMs]
      while (intervals.length < 7) intervals.push(await intervalAfter(intervals.at(-1)!, 'a', 1))
      expect(intervals).toEqual([HURRIED_MS, HURRIED_MS, 1000, 2000, 4000, USUAL_MS, USUAL_MS])
    }
  })

  test('is short for a topic that comes while another one is waited for, and for partitions that a topic grows by', async () => {
    states.isSilent = true
    await join('a', 'topic')
    fixture.timers.advance(20_000)
    expect(await join('b', 'topic', 'other')).toMatchObject({ heartbeatIntervalMs: HURRIED_MS })
    states = new RecordedStates()
    fixture = await startedOn([])
    const memberEpoch = await joined('a', 'topic')
    fixture.image = { ...fixture.image, ...withPartitions(fixture.image, 'topic', 3) }
    expect(await intervalAfter(USUAL_MS, 'a', memberEpoch)).toBe(HURRIED_MS)
  })

  test('ends when an assignment that is put off is due', async () => {
    const memberEpoch = await joined('a', 'topic')
    const b = await join('b', 'topic')
    expect(b).toMatchObject({ memberEpoch, heartbeatIntervalMs: ASSIGNMENT_MS })
    expect(await intervalAfter(800, 'a', memberEpoch)).toBe(HURRIED_MS)
    const atLast = await heartbeatAfter(200, 'b', memberEpoch)
    expect(atLast).toMatchObject({ memberEpoch: memberEpoch + 1, heartbeatIntervalMs: USUAL_MS })
    expect(partitionsOf(atLast)).toEqual({ [topicId('topic')]: [1] })
  })

  test('knows nothing of time that a clock was set back by', async () => {
    states.isSilent = true
    await join('a', 'topic')
    fixture.clock.jumpWall(-3_600_000)
    expect(await intervalAfter(0, 'a', 1)).toBe(HURRIED_MS)
    expect(await intervalAfter(3000, 'a', 1)).toBe(3000)
  })
})

test('classic clients and offsets have no business with share groups', async () => {
  await joined('a', 'topic')
  await leave('a')
  expect(await deleteGroup()).toBe(0)
  await joined('a', 'topic')
  fixture.timers.advance(0)
  await expect(fixture.joinAndSync(GROUP)).resolves.toMatchObject({
    join: { errorCode: ErrorCode.INCONSISTENT_GROUP_PROTOCOL },
  })
})
