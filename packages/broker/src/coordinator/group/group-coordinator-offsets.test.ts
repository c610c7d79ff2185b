import { ZERO_UUID } from '@millrace/base'
import {
  createOffsetCommitRequest,
  createOffsetCommitRequestPartition,
  createOffsetCommitRequestTopic,
  createOffsetDeleteRequest,
  createOffsetDeleteRequestPartition,
  createOffsetDeleteRequestTopic,
  createOffsetFetchRequest,
  createOffsetFetchRequestGroup,
  createOffsetFetchRequestTopic,
  createOffsetFetchRequestTopics,
  ErrorCode,
  offsetCommitApi,
  offsetDeleteApi,
  offsetFetchApi,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { offsetCommitHandler } from '../../handlers/08-offset-commit.ts'
import { offsetFetchHandler } from '../../handlers/09-offset-fetch.ts'
import { offsetDeleteHandler } from '../../handlers/47-offset-delete.ts'
import { GROUP_METADATA_TOPIC } from '../../metadata/internal-topics.ts'
import { CoordinatorFixture, imageOf } from '../testing/coordinator-fixture.ts'
import { topicId } from '../testing/group-driver.ts'
import { portionsOf } from './offset-requests.ts'

/** A commit of the same offset to partitions of topics, as a version names them. */
function commitOf(
  version: number,
  topics: Record<string, number[]>,
  committedOffset: number | bigint = 5,
  init: Parameters<typeof createOffsetCommitRequest>[0] = {},
) {
  return createOffsetCommitRequest({
    groupId: 'group',
    topics: Object.entries(topics).map(([name, partitions]) =>
      createOffsetCommitRequestTopic({
        ...(version >= 10 ? { topicId: topicId(name) } : { name }),
        partitions: partitions.map((partitionIndex) =>
          createOffsetCommitRequestPartition({ partitionIndex, committedOffset, committedMetadata: null }),
        ),
      }),
    ),
    ...init,
  })
}

function fetchOf(version: number, topics: Record<string, number[]> | null, requireStable = false) {
  const entries = topics === null ? null : Object.entries(topics)
  if (version < 8) {
    return createOffsetFetchRequest({
      groupId: 'group',
      topics:
        entries?.map(([name, partitionIndexes]) => createOffsetFetchRequestTopic({ name, partitionIndexes })) ?? null,
      requireStable,
    })
  }
  const group = createOffsetFetchRequestGroup({
    groupId: 'group',
    topics:
      entries?.map(([name, partitionIndexes]) =>
        createOffsetFetchRequestTopics({
          ...(version >= 10 ? { topicId: topicId(name) } : { name }),
          partitionIndexes,
        }),
      ) ?? null,
  })
  return createOffsetFetchRequest({ groups: [group], requireStable })
}

async function commit(fixture: CoordinatorFixture, version: number, ...args: [Record<string, number[]>, ...unknown[]]) {
  const request = commitOf(
    version,
    ...(args as Parameters<typeof commitOf> extends [unknown, ...infer Rest] ? Rest : never),
  )
  const answer = await fixture.call(offsetCommitApi, offsetCommitHandler(fixture), request, version)
  return answer.topics.map(({ partitions }) =>
    partitions.map(({ partitionIndex, errorCode }) => [partitionIndex, errorCode]),
  )
}

/** Topic, partition, offset and error of all that is answered, and the errors of the groups. */
async function fetch(
  fixture: CoordinatorFixture,
  version: number,
  topics: Record<string, number[]> | null,
  requireStable = false,
) {
  const request = fetchOf(version, topics, requireStable)
  const answer = await fixture.call(offsetFetchApi, offsetFetchHandler(fixture), request, version)
  const groups = version < 8 ? [answer] : answer.groups
  return {
    errors: groups.map((group) => group.errorCode),
    offsets: groups
      .flatMap((group) => group.topics)
      .flatMap((topic) => {
        const name = 'topicId' in topic && topic.topicId !== ZERO_UUID ? topic.topicId : topic.name
        return topic.partitions.map((partition) => [
          name,
          partition.partitionIndex,
          partition.committedOffset,
          partition.errorCode,
        ])
      }),
  }
}

describe('OffsetCommit', () => {
  for (let version = offsetCommitApi.minVersion; version <= offsetCommitApi.maxVersion; version++) {
    test(`of version ${version} commits what exists and refuses what does not`, async () => {
      const fixture = await CoordinatorFixture.started()
      const answer = await commit(fixture, version, { unknown: [0], topic: [1, 7, 0, -1] })
      const unknown = version >= 10 ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      expect(answer).toEqual([
        [[0, unknown]],
        [
          [1, 0],
          [7, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
          [0, 0],
          [-1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
        ],
      ])
      const { offsets } = await fetch(fixture, 9, null)
      expect(offsets.map((each) => each.slice(0, 3)).sort()).toEqual([
        ['topic', 0, 5],
        ['topic', 1, 5],
      ])
    })
  }

  test('of nothing that exists is answered without asking the group', async () => {
    const fixture = new CoordinatorFixture()
    expect(await commit(fixture, 9, { unknown: [0] })).toEqual([[[0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]]])
  })

  test('answers an error of the group at each partition that exists', async () => {
    const fixture = await CoordinatorFixture.started()
    const init = { generationIdOrMemberEpoch: 3, memberId: 'me' }
    const expected = (errorCode: number) => [[[9, 3]], [[0, errorCode]]]
    expect(await commit(fixture, 9, { topic: [9], other: [0] }, 5, init)).toEqual(expected(69))
    expect(await commit(fixture, 8, { topic: [9], other: [0] }, 5, init)).toEqual(expected(22))
  })

  test('refuses offsets beyond 2^53, which no partition can have', async () => {
    const fixture = await CoordinatorFixture.started()
    expect(await commit(fixture, 9, { topic: [0] }, 2n ** 60n)).toEqual([[[0, ErrorCode.OFFSET_OUT_OF_RANGE]]])
  })

  test('takes the empty group id, for clients without a group', async () => {
    const fixture = await CoordinatorFixture.started()
    expect(await commit(fixture, 9, { topic: [0] }, 5, { groupId: '' })).toEqual([[[0, 0]]])
  })

  test('is answered only when it is committed', async () => {
    const fixture = await CoordinatorFixture.started()
    const request = commitOf(9, { topic: [0] })
    const waiting = fixture.send(offsetCommitApi, offsetCommitHandler(fixture), request, 9)
    fixture.turn.end()
    expect(await Promise.race([waiting, 'waiting'])).toBe('waiting')
    expect((await fetch(fixture, 9, { topic: [0] })).offsets).toEqual([['topic', 0, -1, 0]])
    fixture.settle()
    expect((await waiting).topics[0]!.partitions[0]!.errorCode).toBe(0)
  })

  test('that is not committed in time is COORDINATOR_NOT_AVAILABLE', async () => {
    const fixture = await CoordinatorFixture.started()
    const waiting = fixture.send(offsetCommitApi, offsetCommitHandler(fixture), commitOf(9, { topic: [0] }), 9)
    fixture.turn.end()
    fixture.timers.advance(5000)
    expect((await waiting).topics[0]!.partitions[0]!.errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
  })
})

describe('OffsetFetch', () => {
  test('of a group that is named with other topics answers each, and the same question once', async () => {
    const fixture = await CoordinatorFixture.started()
    await commit(fixture, 9, { topic: [0, 1], other: [0] })
    const wanted: (Record<string, number[]> | null)[] = [
      { topic: [0] },
      { topic: [1] },
      { other: [0] },
      null,
      { topic: [0] },
      null,
    ]
    const groups = wanted.flatMap((topics) => fetchOf(9, topics).groups)
    const request = createOffsetFetchRequest({ groups })
    const answer = await fixture.call(offsetFetchApi, offsetFetchHandler(fixture), request, 9)
    const answered = answer.groups.map(({ topics }) =>
      topics.flatMap(({ name, partitions }) => partitions.map((each) => `${name}-${each.partitionIndex}`)).sort(),
    )
    expect(answered).toEqual([['topic-0'], ['topic-1'], ['other-0'], ['other-0', 'topic-0', 'topic-1']])
  })

  for (let version = offsetFetchApi.minVersion; version <= offsetFetchApi.maxVersion; version++) {
    test(`of version ${version} finds offsets and their absence`, async () => {
      const fixture = await CoordinatorFixture.started()
      await commit(fixture, 9, { topic: [0] })
      const nameOf = (name: string) => (version >= 10 ? topicId(name) : name)
      const found = await fetch(fixture, version, { topic: [0, 1], other: [0] }, version >= 7)
      expect(found).toEqual({
        errors: [0],
        offsets: [
          [nameOf('topic'), 0, 5, 0],
          [nameOf('topic'), 1, -1, 0],
          [nameOf('other'), 0, -1, 0],
        ],
      })
      if (version >= 2) expect((await fetch(fixture, version, null)).offsets).toEqual([[nameOf('topic'), 0, 5, 0]])
    })

    test(`of version ${version} tells an error of the coordinator in its terms`, async () => {
      const fixture = await CoordinatorFixture.started()
      fixture.groups.onResignation(fixture.groups.partitionFor('group')!)
      const { errors, offsets } = await fetch(fixture, version, { topic: [0] })
      if (version === 1) expect(offsets).toEqual([['topic', 0, -1, ErrorCode.NOT_COORDINATOR]])
      else expect([errors, offsets]).toEqual([[ErrorCode.NOT_COORDINATOR], []])
    })
  }

  test('by id answers topics that do not exist beside those that do', async () => {
    const fixture = await CoordinatorFixture.started()
    const { offsets } = await fetch(fixture, 10, { unknown: [0], topic: [0] })
    expect(offsets).toEqual([
      [topicId('topic'), 0, -1, 0],
      [topicId('unknown'), 0, -1, ErrorCode.UNKNOWN_TOPIC_ID],
    ])
  })

  test('by id leaves out offsets of topics that are gone when all are asked for', async () => {
    const fixture = await CoordinatorFixture.started()
    await commit(fixture, 9, { topic: [0], other: [0] })
    fixture.image = imageOf([GROUP_METADATA_TOPIC, 'other'])
    expect((await fetch(fixture, 10, null)).offsets).toEqual([[topicId('other'), 0, 5, 0]])
    expect((await fetch(fixture, 9, null)).offsets).toHaveLength(2)
  })

  test('answers many groups from version 8, in order', async () => {
    const fixture = await CoordinatorFixture.started()
    await commit(fixture, 9, { topic: [0] })
    const groups = ['nobody', 'group', ''].map((groupId) => createOffsetFetchRequestGroup({ groupId, topics: null }))
    const request = createOffsetFetchRequest({ groups })
    const answer = await fixture.call(offsetFetchApi, offsetFetchHandler(fixture), request, 8)
    expect(answer.groups.map(({ groupId, topics }) => [groupId, topics.length])).toEqual([
      ['nobody', 0],
      ['group', 1],
      ['', 0],
    ])
  })

  test('that asks for stable offsets waits for commits before it', async () => {
    const fixture = await CoordinatorFixture.started()
    const committing = fixture.send(offsetCommitApi, offsetCommitHandler(fixture), commitOf(9, { topic: [0] }), 9)
    const fetching = fixture.send(offsetFetchApi, offsetFetchHandler(fixture), fetchOf(9, { topic: [0] }, true), 9)
    fixture.turn.end()
    expect(await Promise.race([fetching, 'waiting'])).toBe('waiting')
    fixture.settle()
    await committing
    expect((await fetching).groups[0]!.topics[0]!.partitions[0]!.committedOffset).toBe(5)
  })

  test('that asks for stable offsets and is not answered in time is NOT_COORDINATOR, which every consumer retries', async () => {
    const fixture = await CoordinatorFixture.started()
    const committing = fixture.send(offsetCommitApi, offsetCommitHandler(fixture), commitOf(9, { topic: [0] }), 9)
    const fetching = fixture.send(offsetFetchApi, offsetFetchHandler(fixture), fetchOf(9, { topic: [0] }, true), 9)
    fixture.turn.end()
    fixture.timers.advance(5000)
    await committing
    expect((await fetching).groups[0]).toMatchObject({ errorCode: ErrorCode.NOT_COORDINATOR, topics: [] })
  })

  test('is COORDINATOR_LOAD_IN_PROGRESS while the group loads, never “no offset”', async () => {
    const fixture = await CoordinatorFixture.started()
    await commit(fixture, 9, { topic: [0] })
    const partition = fixture.groups.partitionFor('group')!
    let proceed: () => void = () => undefined
    fixture.logs[partition]!.beforeChunk = () => new Promise((resolve) => (proceed = resolve))
    const election = fixture.groups.onElection(partition, fixture.logs[partition]!)
    for (const stable of [false, true]) {
      expect((await fetch(fixture, 9, { topic: [0] }, stable)).errors).toEqual([14])
    }
    proceed()
    await election
    expect((await fetch(fixture, 9, { topic: [0] })).offsets).toEqual([['topic', 0, 5, 0]])
  })
})

describe('OffsetDelete', () => {
  const request = (groupId: string, ...topics: string[]) =>
    createOffsetDeleteRequest({
      groupId,
      topics: topics.map((name) =>
        createOffsetDeleteRequestTopic({
          name,
          partitions: [0, 9].map((partitionIndex) => createOffsetDeleteRequestPartition({ partitionIndex })),
        }),
      ),
    })

  test('answers each partition, and leaves what the group subscribes to', async () => {
    const fixture = await CoordinatorFixture.started()
    await commit(fixture, 9, { topic: [0], other: [0] })
    await fixture.joinAndSync('group')
    const answer = await fixture.call(
      offsetDeleteApi,
      offsetDeleteHandler(fixture),
      request('group', 'unknown', 'topic', 'other'),
    )
    expect(answer.errorCode).toBe(0)
    expect(answer.topics.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode))).toEqual([
      [3, 3],
      [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC, 3],
      [0, 3],
    ])
    expect((await fetch(fixture, 9, null)).offsets).toEqual([['topic', 0, 5, 0]])
  })

  test('answers errors of the group at the top', async () => {
    const fixture = await CoordinatorFixture.started()
    const answerTo = (groupId: string) =>
      fixture.call(offsetDeleteApi, offsetDeleteHandler(fixture), request(groupId, 'topic'))
    expect(await answerTo('')).toMatchObject({ errorCode: ErrorCode.INVALID_GROUP_ID, topics: [] })
    expect(await answerTo('nobody')).toMatchObject({ errorCode: ErrorCode.GROUP_ID_NOT_FOUND, topics: [] })
    fixture.groups.shutdown()
    expect(await answerTo('group')).toMatchObject({ errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, topics: [] })
  })
})

describe('the deletion of a topic', () => {
  test('deletes its offsets in all groups', async () => {
    const fixture = await CoordinatorFixture.started()
    await commit(fixture, 9, { topic: [0, 1], other: [0] })
    fixture.groups.onTopicsDeleted([{ name: 'topic', id: topicId('topic') }])
    fixture.settle()
    expect((await fetch(fixture, 9, null)).offsets).toEqual([['other', 0, 5, 0]])
  })

  test('is logged where it fails', async () => {
    const fixture = await CoordinatorFixture.started()
    await commit(fixture, 9, { topic: [0] })
    for (const log of fixture.logs) log.appendError = ErrorCode.NOT_ENOUGH_REPLICAS
    fixture.groups.onTopicsDeleted([{ name: 'topic', id: topicId('topic') }])
    fixture.settle()
    expect(fixture.logger.messages('warn')).toContain('offsets of deleted topics were not deleted')
  })
})

describe('OffsetFetch of more partitions than are looked up in one go', () => {
  const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n)
  const cases = [7, 9, 10].flatMap((version) => [false, true].map((requireStable) => ({ version, requireStable })))

  test.each(cases)('of version $version answers all of them (stable: $requireStable)', async (asked) => {
    const { version, requireStable } = asked
    const fixture = await CoordinatorFixture.started()
    fixture.image = imageOf([GROUP_METADATA_TOPIC, 'topic', 'other'], 1300)
    await commit(fixture, 9, { topic: numbers(1300), other: numbers(700) })
    const named = await fetch(fixture, version, { other: numbers(701), topic: numbers(1300) }, requireStable)
    expect(named.errors).toEqual([0])
    const expected = [...numbers(700).map((partition) => [partition, 5]), [700, -1]]
    expected.push(...numbers(1300).map((partition) => [partition, 5]))
    expect(named.offsets.map(([, partition, offset]) => [partition, offset])).toEqual(expected)
    expect(new Set(named.offsets.map(([name]) => name)).size).toBe(2)
    const all = await fetch(fixture, version, null, requireStable)
    expect(all.offsets.map(([, partition, offset]) => [partition, offset])).toEqual(
      [...numbers(1300), ...numbers(700)].map((partition) => [partition, 5]),
    )
  })

  test('cuts topics into portions, and keeps those without partitions', () => {
    const topicOf = (topic: string, count: number) => ({ topic, topicId: ZERO_UUID, partitions: numbers(count) })
    const portions = [...portionsOf([topicOf('a', 2), topicOf('b', 7), topicOf('c', 0), topicOf('d', 1)], 4)]
    const shape = portions.map(({ topics, goesOn }) => [
      goesOn,
      ...topics.map((t) => `${t.topic}${t.partitions.join('')}`),
    ])
    expect(shape).toEqual([
      [false, 'a01', 'b01'],
      [true, 'b2345'],
      [true, 'b6', 'c', 'd0'],
    ])
    expect([...portionsOf([], 4)]).toEqual([])
  })
})
