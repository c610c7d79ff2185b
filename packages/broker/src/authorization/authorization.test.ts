import { AclOperation, CLUSTER_RESOURCE_NAME } from '@millrace/consensus'
import {
  createCreatableTopic,
  createCreateTopicsRequest,
  createDeleteTopicState,
  createDeleteTopicsRequest,
  createDescribeClusterRequest,
  createDescribeGroupsRequest,
  createDescribeTopicPartitionsRequest,
  createDescribeTopicPartitionsRequestCursor,
  createFetchRequest,
  createFetchRequestFetchPartition,
  createFetchRequestFetchTopic,
  createInitProducerIdRequest,
  createListGroupsRequest,
  createMetadataRequest,
  createMetadataRequestTopic,
  createOffsetCommitRequest,
  createOffsetCommitRequestPartition,
  createOffsetCommitRequestTopic,
  createOffsetDeleteRequest,
  createOffsetDeleteRequestPartition,
  createOffsetDeleteRequestTopic,
  createOffsetFetchRequest,
  createOffsetFetchRequestGroup,
  createOffsetFetchRequestTopics,
  createPartitionProduceData,
  createProduceRequest,
  createTopicProduceData,
  createTopicsApi,
  deleteTopicsApi,
  describeClusterApi,
  describeGroupsApi,
  describeTopicPartitionsApi,
  ErrorCode,
  fetchApi,
  initProducerIdApi,
  listGroupsApi,
  type MetadataRequest,
  metadataApi,
  offsetCommitApi,
  offsetDeleteApi,
  offsetFetchApi,
  produceApi,
  sealBatch,
} from '@millrace/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CLUSTER_OPERATIONS, GROUP_OPERATIONS, TOPIC_OPERATIONS } from '../metadata/authorized-operations.ts'
import { batchOf } from '../testing/batches.ts'
import type { DataClient } from '../testing/data-client.ts'
import { ALICE, GuardedBroker } from './testing/guarded-broker.ts'

/** What a client with some permissions is told, and what not. Whether each API asks at all: `enforcement.test.ts`. */

const NOT_ASKED = -2_147_483_648
const { TOPIC_AUTHORIZATION_FAILED, CLUSTER_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_OR_PARTITION } = ErrorCode
const bit = (operation: keyof typeof AclOperation) => 1 << AclOperation[operation]

let guarded: GuardedBroker
let alice: DataClient

beforeEach(async () => {
  guarded = await GuardedBroker.start()
  alice = guarded.alice
  for (const name of ['a1', 'a2', 'b1']) await guarded.admin.createTopic(name)
})

afterEach(() => guarded.stop())

const metadata = async (request: Partial<MetadataRequest>, version = 12, client = alice) => {
  const answer = await client.call(metadataApi, version, createMetadataRequest(request))
  return {
    answer,
    rows: Object.fromEntries(answer.topics.map(({ name, errorCode }) => [name ?? 'null', errorCode])),
  }
}
const named = (...names: string[]) => names.map((name) => createMetadataRequestTopic({ name }))

describe('Metadata', () => {
  test('leaves out of all topics those that may not be described', async () => {
    expect((await metadata({ topics: null })).rows).toEqual({})
    await guarded.rule({ name: 'a', prefixed: true, operation: 'DESCRIBE' })
    expect((await metadata({ topics: null })).rows).toEqual({ a1: 0, a2: 0 })
    expect((await metadata({ topics: [] }, 0)).rows).toEqual({ a1: 0, a2: 0 })
    expect((await metadata({ topics: null }, 12, guarded.admin)).rows).toEqual({ a1: 0, a2: 0, b1: 0 })
  })

  test('tells of named ones that they are forbidden, whether they exist or not, without an id', async () => {
    await guarded.rule({ name: 'a1', operation: 'READ' })
    const { answer, rows } = await metadata({ topics: named('a1', 'b1', 'b1', 'nothing') })
    expect(rows).toEqual({ a1: 0, b1: TOPIC_AUTHORIZATION_FAILED, nothing: TOPIC_AUTHORIZATION_FAILED })
    expect(answer.topics).toHaveLength(3)
    expect(answer.brokers).toHaveLength(1)
    const [, b1] = answer.topics
    expect(b1).toMatchObject({ name: 'b1', topicId: 'AAAAAAAAAAAAAAAAAAAAAA', partitions: [], isInternal: false })
  })

  test('with nothing allowed does not become a question for all, in version 0 either', async () => {
    await guarded.rule({ name: 'b1', operation: 'DESCRIBE' })
    for (const version of [0, 1, 12]) {
      expect((await metadata({ topics: named('a1') }, version)).rows).toEqual({ a1: TOPIC_AUTHORIZATION_FAILED })
    }
  })

  test('by id does not tell the name', async () => {
    const topicId = guarded.broker.topicIds.get('a1')!
    const unknown = guarded.broker.topicIds.get('b1')!.replace(/^../, 'zz') as typeof topicId
    const topics = [topicId, unknown].map((id) => createMetadataRequestTopic({ name: null, topicId: id }))
    const { answer } = await metadata({ topics })
    expect(answer.topics.map(({ name, topicId: id, errorCode }) => [name, id, errorCode])).toEqual([
      [null, unknown, ErrorCode.UNKNOWN_TOPIC_ID],
      [null, topicId, TOPIC_AUTHORIZATION_FAILED],
    ])
  })

  test('answers no name that stands beside an id, also where the id is refused', async () => {
    const topicId = guarded.broker.topicIds.get('b1')!
    const topics = [createMetadataRequestTopic({ name: null, topicId }), ...named('a1', 'absent')]
    for (const version of [12, 13]) {
      const { answer } = await metadata({ topics, allowAutoTopicCreation: true }, version)
      expect(answer.topics.map(({ name, errorCode }) => [name, errorCode])).toEqual([
        [null, TOPIC_AUTHORIZATION_FAILED],
      ])
    }
  })

  test('tells what may be done with topics and with the cluster', async () => {
    const ask = async () => {
      const request = {
        topics: named('a1'),
        includeTopicAuthorizedOperations: true,
        includeClusterAuthorizedOperations: true,
      }
      const { answer } = await metadata(request, 10)
      return [answer.topics[0]!.topicAuthorizedOperations, answer.clusterAuthorizedOperations]
    }
    expect(await ask()).toEqual([NOT_ASKED, 0])
    await guarded.rule({ name: 'a1', operation: 'WRITE' }, { name: 'a1', operation: 'ALTER_CONFIGS' })
    const some = bit('WRITE') | bit('DESCRIBE') | bit('ALTER_CONFIGS') | bit('DESCRIBE_CONFIGS')
    expect(await ask()).toEqual([some, 0])
    await guarded.rule({ name: 'a1', operation: 'ALL' }, { name: 'a1', operation: 'DELETE', deny: true })
    await guarded.rule({ type: 'CLUSTER', name: CLUSTER_RESOURCE_NAME, operation: 'ALTER' })
    expect(await ask()).toEqual([TOPIC_OPERATIONS & ~bit('DELETE'), bit('ALTER') | bit('DESCRIBE')])
  })
})

test('topics are made on the way only for who may create them', async () => {
  await guarded.stop()
  guarded = await GuardedBroker.start({ settings: { 'auto.create.topics.enable': 'true' } })
  alice = guarded.alice
  await guarded.rule({ name: 'x', prefixed: true, operation: 'DESCRIBE' }, { name: 'x1', operation: 'CREATE' })
  const ask = (allowAutoTopicCreation: boolean) => metadata({ allowAutoTopicCreation, topics: named('x1', 'x2') })
  expect((await ask(false)).rows).toEqual({ x1: UNKNOWN_TOPIC_OR_PARTITION, x2: UNKNOWN_TOPIC_OR_PARTITION })
  expect((await ask(true)).rows).toEqual({ x1: UNKNOWN_TOPIC_OR_PARTITION, x2: TOPIC_AUTHORIZATION_FAILED })
  await guarded.broker.idle()
  expect((await metadata({ topics: null }, 12, guarded.admin)).rows).toEqual({ x1: 0 })
  await guarded.rule({ type: 'CLUSTER', name: CLUSTER_RESOURCE_NAME, operation: 'CREATE' })
  expect((await ask(true)).rows).toEqual({ x1: 0, x2: UNKNOWN_TOPIC_OR_PARTITION })
})

test('DescribeTopicPartitions pages through what may be seen, and its cursors tell no other name', async () => {
  await guarded.rule({ name: 'a1', operation: 'DESCRIBE' }, { name: 'b1', operation: 'WRITE' })
  const ask = (topics: string[], limit: number, cursor: string | null = null) =>
    alice.call(
      describeTopicPartitionsApi,
      0,
      createDescribeTopicPartitionsRequest({
        topics: topics.map((name) => ({ name, unknownTaggedFields: null })),
        responsePartitionLimit: limit,
        cursor: cursor === null ? null : createDescribeTopicPartitionsRequestCursor({ topicName: cursor }),
      }),
    )
  const first = await ask([], 1)
  expect(first.topics.map(({ name }) => name)).toEqual(['a1'])
  expect(first.nextCursor).toMatchObject({ topicName: 'b1' })
  const second = await ask([], 1, 'b1')
  expect([second.topics.map(({ name }) => name), second.nextCursor]).toEqual([['b1'], null])
  expect(second.topics[0]!.topicAuthorizedOperations).toBe(bit('WRITE') | bit('DESCRIBE'))
  const chosen = await ask(['a1', 'a2', 'none'], 5)
  expect(
    chosen.topics.map(({ name, errorCode, topicId }) => [
      name,
      errorCode,
      topicId === guarded.broker.topicIds.get('a1'),
    ]),
  ).toEqual([
    ['a1', 0, true],
    ['a2', TOPIC_AUTHORIZATION_FAILED, false],
    ['none', TOPIC_AUTHORIZATION_FAILED, false],
  ])
})

describe('records', () => {
  const produce = async (version: number) => {
    const topicData = ['a1', 'b1', 'none'].map((name) =>
      createTopicProduceData({
        name,
        partitionData: [createPartitionProduceData({ index: 0, records: batchOf([name]) })],
      }),
    )
    const { responses } = await alice.call(
      produceApi,
      version,
      createProduceRequest({ acks: -1, timeoutMs: 1_000, topicData }),
    )
    return Object.fromEntries(responses.map(({ name, partitionResponses: [row] }) => [name, row!.errorCode]))
  }

  test('are written where that is allowed, and whether a topic exists is told nowhere else', async () => {
    await guarded.rule({ name: 'a1', operation: 'WRITE' })
    expect(await produce(12)).toEqual({ a1: 0, b1: TOPIC_AUTHORIZATION_FAILED, none: TOPIC_AUTHORIZATION_FAILED })
    expect((await guarded.admin.listOffset('a1', -1)).offset).toBe(1)
    expect((await guarded.admin.listOffset('b1', -1)).offset).toBe(0)
  })

  test('who wants no answer loses the connection', async () => {
    const request = alice.produceRequest('a1', batchOf(['x']), { acks: 0 })
    alice.post(produceApi, 9, request)
    await alice.socket.closed
    expect((await guarded.admin.listOffset('a1', -1)).offset).toBe(0)
  })

  test('of transactions are for who may write under their id', async () => {
    await guarded.rule({ name: 'a1', operation: 'WRITE' })
    const records = batchOf(['x'])
    // Bit 4 of the attributes: a transactional batch.
    records.writeUInt16BE(records.readUInt16BE(21) | 0x10, 21)
    sealBatch(records, 0)
    const ask = async (transactionalId: string | null) => {
      const request = { ...alice.produceRequest('a1', records), transactionalId }
      return (await alice.call(produceApi, 12, request)).responses[0]!.partitionResponses[0]!.errorCode
    }
    expect(await ask('t1')).toBe(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    await guarded.rule({ type: 'TRANSACTIONAL_ID', name: 't1', operation: 'WRITE' })
    expect(await ask('t1')).not.toBe(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    expect(await ask('t2')).toBe(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    expect(await ask(null)).toBe(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
  })

  test('are read within a session as long as that is allowed', async () => {
    await guarded.admin.produce('a1', batchOf(['x']))
    await guarded.rule({ name: 'a1', operation: 'READ' })
    const fetch = (sessionId: number, sessionEpoch: number, topics: string[]) =>
      alice.call(
        fetchApi,
        13,
        createFetchRequest({
          sessionId,
          sessionEpoch,
          maxBytes: 1_000,
          topics: topics.map((topic) =>
            createFetchRequestFetchTopic({
              topicId: guarded.broker.topicIds.get(topic)!,
              partitions: [
                createFetchRequestFetchPartition({ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000 }),
              ],
            }),
          ),
        }),
      )
    const codesOf = ({ responses }: Awaited<ReturnType<typeof fetch>>) =>
      responses.map(({ partitions: [partition] }) => [partition!.errorCode, partition!.records?.length === 0])
    const opened = await fetch(0, 0, ['a1', 'b1'])
    expect(codesOf(opened)).toEqual([
      [0, false],
      [TOPIC_AUTHORIZATION_FAILED, true],
    ])
    await guarded.rule({ name: 'a1', operation: 'READ', deny: true })
    expect(codesOf(await fetch(opened.sessionId, 1, []))).toEqual([
      [TOPIC_AUTHORIZATION_FAILED, true],
      [TOPIC_AUTHORIZATION_FAILED, true],
    ])
  })

  test('from an id that nothing has are told to be unknown', async () => {
    const id = guarded.broker.topicIds.get('a1')!.replace(/^../, 'zz')
    const partitions = [createFetchRequestFetchPartition({ partition: 0, partitionMaxBytes: 1_000 })]
    const topics = [createFetchRequestFetchTopic({ topicId: id as never, partitions })]
    const { responses } = await alice.call(fetchApi, 13, createFetchRequest({ maxBytes: 1_000, topics }))
    expect(responses[0]!.partitions[0]!.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_ID)
  })
})

describe('an id for an idempotent producer', () => {
  const ask = async () =>
    (await alice.call(initProducerIdApi, 5, createInitProducerIdRequest({ transactionalId: null }))).errorCode

  test('is for who may write to any topic', async () => {
    expect(await ask()).toBe(CLUSTER_AUTHORIZATION_FAILED)
    await guarded.rule({ name: 'a', prefixed: true, operation: 'WRITE' })
    expect(await ask()).toBe(0)
    await guarded.rule({ name: 'a', prefixed: true, operation: 'ALL', deny: true })
    expect(await ask()).toBe(CLUSTER_AUTHORIZATION_FAILED)
  })

  test('and for who may write so to the cluster', async () => {
    await guarded.rule({ type: 'CLUSTER', name: CLUSTER_RESOURCE_NAME, operation: 'IDEMPOTENT_WRITE' })
    expect(await ask()).toBe(0)
  })
})

describe('groups', () => {
  const commit = (groupId: string, topics: string[], client = guarded.admin) =>
    client.call(
      offsetCommitApi,
      9,
      createOffsetCommitRequest({
        groupId,
        topics: topics.map((name) =>
          createOffsetCommitRequestTopic({
            name,
            partitions: [createOffsetCommitRequestPartition({ partitionIndex: 0, committedOffset: 7 })],
          }),
        ),
      }),
    )

  beforeEach(async () => {
    await guarded.serveGroups()
    await commit('g1', ['a1', 'b1'])
    await commit('g2', ['a1'])
    await guarded.rule({ type: 'GROUP', name: 'g1', operation: 'READ' }, { name: 'a1', operation: 'READ' })
  })

  test('are listed as far as they may be described, all for who may describe the cluster', async () => {
    const list = async () =>
      (await alice.call(listGroupsApi, 5, createListGroupsRequest({}))).groups.map(({ groupId }) => groupId).sort()
    expect(await list()).toEqual(['g1'])
    await guarded.rule({ type: 'CLUSTER', name: CLUSTER_RESOURCE_NAME, operation: 'DESCRIBE' })
    expect(await list()).toEqual(['g1', 'g2'])
  })

  test('tell what may be done with them', async () => {
    const ask = (client: DataClient) =>
      client.call(
        describeGroupsApi,
        5,
        createDescribeGroupsRequest({ groups: ['g1', 'g2'], includeAuthorizedOperations: true }),
      )
    expect((await ask(alice)).groups).toMatchObject([
      { groupId: 'g1', errorCode: 0, authorizedOperations: bit('READ') | bit('DESCRIBE') },
      { groupId: 'g2', errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED, authorizedOperations: NOT_ASKED },
    ])
    expect((await ask(guarded.admin)).groups[0]).toMatchObject({ authorizedOperations: GROUP_OPERATIONS })
  })

  test('keep offsets of topics that may be read, and tell those of topics that may be described', async () => {
    const committed = await commit('g1', ['a1', 'b1'], alice)
    expect(committed.topics.map(({ name, partitions: [row] }) => [name, row!.errorCode])).toEqual([
      ['a1', 0],
      ['b1', TOPIC_AUTHORIZATION_FAILED],
    ])
    const fetch = async (topics: string[] | null, version = 8) => {
      const wanted = topics?.map((name) => createOffsetFetchRequestTopics({ name, partitionIndexes: [0] })) ?? null
      const groups = ['g1', 'g2'].map((groupId) => createOffsetFetchRequestGroup({ groupId, topics: wanted }))
      const answer = await alice.call(offsetFetchApi, version, createOffsetFetchRequest({ groups }))
      return answer.groups
        .map((group) => [
          group.groupId,
          group.errorCode,
          group.topics.map(({ name, partitions: [row] }) => [name, row!.committedOffset, row!.errorCode]),
        ])
        .sort()
    }
    const refused = ['g2', ErrorCode.GROUP_AUTHORIZATION_FAILED, []]
    expect(await fetch(null)).toEqual([['g1', 0, [['a1', 7, 0]]], refused])
    expect(await fetch(['b1', 'a1'])).toEqual([
      [
        'g1',
        0,
        [
          ['a1', 7, 0],
          ['b1', -1, TOPIC_AUTHORIZATION_FAILED],
        ],
      ],
      refused,
    ])
    expect(await fetch(['b1'])).toEqual([['g1', 0, [['b1', -1, TOPIC_AUTHORIZATION_FAILED]]], refused])
  })

  // The refusals of each were added to a copy of all before them: seven seconds in one turn.
  test('named thousands of times over are answered, with what of each is refused', async () => {
    const topics = [createOffsetFetchRequestTopics({ name: 'b1', partitionIndexes: [] })]
    const groups = Array.from({ length: 24_000 }, () => createOffsetFetchRequestGroup({ groupId: 'g1', topics }))
    const before = process.cpuUsage()
    const answer = await alice.call(offsetFetchApi, 8, createOffsetFetchRequest({ groups }))
    // Not by the clock, which also tells how busy the machine is.
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(4)
    expect(answer.groups.every(({ groupId, errorCode }) => groupId === 'g1' && errorCode === 0)).toBe(true)
    const refused = answer.groups.flatMap((group) => group.topics.map(({ name }) => name))
    expect([refused.length, new Set(refused)]).toEqual([24_000, new Set(['b1'])])
  })

  test('that do not exist are told so, whatever topics are named', async () => {
    await guarded.rule({ type: 'GROUP', name: 'none', operation: 'DELETE' })
    const topics = [
      createOffsetDeleteRequestTopic({
        name: 'b1',
        partitions: [createOffsetDeleteRequestPartition({ partitionIndex: 0 })],
      }),
    ]
    const answer = await alice.call(offsetDeleteApi, 0, createOffsetDeleteRequest({ groupId: 'none', topics }))
    expect(answer).toMatchObject({ errorCode: ErrorCode.GROUP_ID_NOT_FOUND, topics: [] })
  })

  test.each([1, 2, 7])('OffsetFetch %i, of one group, likewise', async (version) => {
    const fetch = async (groupId: string, names: string[] | null) => {
      const topics = names?.map((name) => ({ name, partitionIndexes: [0], unknownTaggedFields: null })) ?? null
      const answer = await alice.call(offsetFetchApi, version, createOffsetFetchRequest({ groupId, topics }))
      const rows = answer.topics.map(({ name, partitions: [row] }) => [name, row!.committedOffset, row!.errorCode])
      return [answer.errorCode, rows]
    }
    const { GROUP_AUTHORIZATION_FAILED } = ErrorCode
    expect(await fetch('g1', ['b1', 'a1'])).toEqual([
      0,
      [
        ['a1', 7, 0],
        ['b1', -1, TOPIC_AUTHORIZATION_FAILED],
      ],
    ])
    expect(await fetch('g2', ['a1'])).toEqual(
      version < 2 ? [0, [['a1', -1, GROUP_AUTHORIZATION_FAILED]]] : [GROUP_AUTHORIZATION_FAILED, []],
    )
    if (version >= 2) expect(await fetch('g1', null)).toEqual([0, [['a1', 7, 0]]])
  })
})

describe('topics', () => {
  test('made without the right to see their settings are told without them', async () => {
    await guarded.rule(
      { name: 'x', prefixed: true, operation: 'CREATE' },
      { name: 'x1', operation: 'DESCRIBE_CONFIGS' },
    )
    const names = ['x1', 'x2', 'y', 'twice', 'twice', '__cluster_metadata']
    const topics = names.map((name) => createCreatableTopic({ name, numPartitions: 2, replicationFactor: 1 }))
    const answer = await alice.call(createTopicsApi, 7, createCreateTopicsRequest({ topics, timeoutMs: 1_000 }))
    const rows = Object.fromEntries(answer.topics.map((row) => [row.name, row]))
    expect(rows.x1).toMatchObject({ errorCode: 0, topicConfigErrorCode: 0, numPartitions: 2, replicationFactor: 1 })
    expect(rows.x1!.configs!.length).toBeGreaterThan(10)
    expect(rows.x2).toMatchObject({
      errorCode: 0,
      topicConfigErrorCode: TOPIC_AUTHORIZATION_FAILED,
      numPartitions: -1,
      replicationFactor: -1,
      configs: [],
    })
    expect(rows.y).toMatchObject({ errorCode: TOPIC_AUTHORIZATION_FAILED })
    for (const name of ['twice', '__cluster_metadata']) {
      expect(rows[name]).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST })
    }
  })

  test('are deleted by who may, and named to who may describe them', async () => {
    const idOf = (name: string) => guarded.broker.topicIds.get(name)!
    await guarded.rule(
      { name: 'a1', operation: 'DELETE' },
      { name: 'a2', operation: 'DESCRIBE' },
      { name: 'gone', operation: 'DESCRIBE' },
    )
    const remove = async (...topics: { name?: string; id?: string }[]) => {
      const states = topics.map(({ name = null, id }) =>
        createDeleteTopicState({ name, ...(id === undefined ? {} : { topicId: id as never }) }),
      )
      const answer = await alice.call(
        deleteTopicsApi,
        6,
        createDeleteTopicsRequest({ topics: states, timeoutMs: 1_000 }),
      )
      return answer.responses.map(({ name, errorCode }) => [name, errorCode]).sort()
    }
    expect(await remove({ name: 'a2' }, { name: 'b1' }, { name: 'none' }, { name: 'gone' })).toEqual([
      ['a2', TOPIC_AUTHORIZATION_FAILED],
      ['b1', TOPIC_AUTHORIZATION_FAILED],
      ['gone', UNKNOWN_TOPIC_OR_PARTITION],
      ['none', TOPIC_AUTHORIZATION_FAILED],
    ])
    // Beside an id a name is no name, so that the one that stands alone is named once, and asks for the permission.
    expect(await remove({ name: 'b1' }, { name: 'b1', id: idOf('a2') })).toEqual([
      ['b1', TOPIC_AUTHORIZATION_FAILED],
      ['b1', ErrorCode.INVALID_REQUEST],
    ])
    expect(await remove({ id: idOf('a2') }, { id: idOf('b1') })).toEqual([
      [null, TOPIC_AUTHORIZATION_FAILED],
      ['a2', TOPIC_AUTHORIZATION_FAILED],
    ])
    expect(await remove({ id: idOf('a1') })).toEqual([['a1', 0]])
    expect((await metadata({ topics: null }, 12, guarded.admin)).rows).toEqual({ a2: 0, b1: 0 })
    // Who may delete all of the cluster's topics needs no permission on one.
    await guarded.rule({ type: 'CLUSTER', name: CLUSTER_RESOURCE_NAME, operation: 'DELETE' })
    expect(await remove({ name: 'b1' })).toEqual([['b1', 0]])
  })
})

test('DescribeCluster tells everybody the brokers, and what may be done to those who may describe it', async () => {
  const ask = (client: DataClient) =>
    client.call(describeClusterApi, 2, createDescribeClusterRequest({ includeClusterAuthorizedOperations: true }))
  expect(await ask(alice)).toMatchObject({ errorCode: 0, brokers: [{}], clusterAuthorizedOperations: 0 })
  expect(await ask(guarded.admin)).toMatchObject({ clusterAuthorizedOperations: CLUSTER_OPERATIONS })
})

describe('who is meant', () => {
  const maySee = async (client: DataClient) => (await metadata({ topics: named('a1') }, 12, client)).rows.a1 === 0

  test('a principal, with its type, everybody, and hosts', async () => {
    const elsewhere = guarded.broker.connect('10.9.9.9')
    await guarded.rule({ name: 'a1', principal: 'Group:alice', operation: 'READ' })
    expect(await maySee(alice)).toBe(false)
    await guarded.rule({ name: 'a1', principal: 'User:alice', host: '10.7.7.7', operation: 'READ' })
    expect(await maySee(alice)).toBe(false)
    await guarded.rule({ name: 'a1', principal: 'User:alice', host: ALICE, operation: 'READ' })
    expect(await Promise.all([alice, guarded.anonymous, elsewhere].map(maySee))).toEqual([true, false, false])
    await guarded.rule({ name: 'a1', principal: 'User:ANONYMOUS', host: '10.9.9.9', operation: 'DESCRIBE' })
    expect(await Promise.all([alice, guarded.anonymous, elsewhere].map(maySee))).toEqual([true, false, true])
    await guarded.rule({ name: 'a1', principal: 'User:*', operation: 'DESCRIBE' })
    expect(await Promise.all([alice, guarded.anonymous, elsewhere].map(maySee))).toEqual([true, true, true])
    await guarded.rule({ name: 'a1', principal: 'User:*', host: '10.9.9.9', operation: 'DESCRIBE', deny: true })
    expect(await Promise.all([alice, guarded.anonymous, elsewhere].map(maySee))).toEqual([true, true, false])
    await guarded.clear()
    expect(await Promise.all([alice, guarded.anonymous, elsewhere].map(maySee))).toEqual([false, false, false])
    elsewhere.close()
  })

  test('rules outlive a restart', async () => {
    await guarded.rule({ name: 'a1', operation: 'DESCRIBE' })
    await guarded.stop()
    guarded = await GuardedBroker.start({ disk: guarded.broker.disk })
    expect([await maySee(guarded.alice), await maySee(guarded.anonymous)]).toEqual([true, false])
  })

  test('where everybody may do what no rule is about, a rule closes its resource for all others', async () => {
    await guarded.stop()
    const settings = { 'allow.everyone.if.no.acl.found': 'true' }
    guarded = await GuardedBroker.start({ disk: guarded.broker.disk, settings })
    expect([await maySee(guarded.alice), await maySee(guarded.anonymous)]).toEqual([true, true])
    await guarded.rule({ name: 'a', prefixed: true, operation: 'READ' })
    expect([await maySee(guarded.alice), await maySee(guarded.anonymous)]).toEqual([true, false])
    expect((await metadata({ topics: named('b1') }, 12, guarded.anonymous)).rows).toEqual({ b1: 0 })
  })
})

test('what is refused is logged once a minute for each who, where and what, with what was left out', async () => {
  const told = () => guarded.broker.logger.lines.filter(({ message }) => message === 'not authorized')
  for (let n = 0; n < 5; n++) await metadata({ topics: named('a1') })
  expect(told()).toMatchObject([
    {
      level: 'info',
      fields: {
        principal: 'User:alice',
        clientAddress: ALICE,
        operation: 'DESCRIBE',
        resourceType: 'TOPIC',
        resourceName: 'a1',
      },
    },
  ])
  await metadata({ topics: null })
  await guarded.broker.advance(60_000)
  await metadata({ topics: named('b1') })
  expect(told()).toHaveLength(2)
  expect(told()[1]!.fields).toMatchObject({ resourceName: 'b1', alsoRefused: 4 })
})

test('metrics tell how much was allowed and denied, and how many rules there are', async () => {
  await guarded.rule({ name: 'a1', operation: 'READ' })
  await metadata({ topics: named('a1', 'a2', 'b1') })
  const text = await guarded.broker.metrics()
  expect(text).toContain('millrace_authorizations_total{result="denied"} 2\n')
  expect(text).toMatch(/millrace_authorizations_total\{result="allowed"\} [1-9]/)
  expect(text).toContain('kafka_server_authorizer_metrics_acls_total_count 1\n')
})

test('metrics count as allowed what a listing lets through, and not what it leaves out', async () => {
  const figures = async () => {
    const text = await guarded.broker.metrics()
    return ['allowed', 'denied'].map((result) => Number(new RegExp(`result="${result}"} (\\d+)`).exec(text)?.[1]))
  }
  await guarded.rule({ name: 'a', prefixed: true, operation: 'DESCRIBE' })
  const [allowed, denied] = await figures()
  await metadata({ topics: null })
  expect(await figures()).toEqual([allowed! + 2, denied])
})

test('changes of rules are logged, with who made them', async () => {
  await guarded.rule({ name: 'a1', operation: 'READ' })
  await guarded.clear()
  const told = guarded.broker.logger.lines.filter(({ message }) => message.startsWith('ACLs '))
  expect(told.map(({ message, fields }) => [message, fields?.by, fields?.count])).toEqual([
    ['ACLs created', 'User:admin', 1],
    ['ACLs deleted', 'User:admin', 1],
  ])
  expect(told[0]!.fields!.acls).toEqual([
    expect.objectContaining({
      resourceType: 'TOPIC',
      resourceName: 'a1',
      patternType: 'LITERAL',
      operation: 'READ',
      permissionType: 'ALLOW',
    }),
  ])
})
