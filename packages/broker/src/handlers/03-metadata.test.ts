import { SeededRandom, type Uuid, ZERO_UUID } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import {
  createMetadataRequest,
  createMetadataRequestTopic,
  ErrorCode,
  type MetadataRequest,
  metadataApi,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { metadataHandler } from './03-metadata.ts'
import { exchange, requestContext, versionsOf } from './testing/exchange.ts'
import { brokerRecord, idOf, imageOf, partitionRecord, topicRecords } from './testing/images.ts'

const [t, u] = [idOf(1), idOf(2)]
const image = imageOf(
  brokerRecord(1, { rack: 'r1' }),
  brokerRecord(2, { fenced: true }),
  ...topicRecords('t', t, [1, 2], [2, 1]),
  ...topicRecords('__consumer_offsets', u, [1]),
)

function ask(
  request: Partial<MetadataRequest>,
  init: { image?: MetadataImage; version?: number; listener?: string; autoCreate?: boolean; created?: string[] } = {},
) {
  const version = init.version ?? metadataApi.maxVersion
  const handler = metadataHandler({
    image: () => init.image ?? image,
    autoCreateTopics: () => init.autoCreate ?? true,
    createTopic(name) {
      init.created?.push(name)
      return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    },
    random: new SeededRandom(1),
    nextTurn: () => Promise.resolve(),
  })
  const context = requestContext(3, version, init.listener)
  return exchange(handler, metadataApi, createMetadataRequest(request), version, context)
}

const named = (...names: string[]) => ({ topics: names.map((name) => createMetadataRequestTopic({ name })) })
const byId = (...ids: Uuid[]) => ({ topics: ids.map((topicId) => createMetadataRequestTopic({ topicId, name: null })) })

describe('which topics', () => {
  test('null means all, an empty list none; in v0 an empty list means all', async () => {
    for (const version of versionsOf(metadataApi)) {
      const names = async (request: Partial<MetadataRequest>) =>
        (await ask(request, { version })).topics.map((topic) => topic.name).sort()
      expect(await names({ topics: [] })).toEqual(version === 0 ? ['__consumer_offsets', 't'] : [])
      if (version > 0) expect(await names({ topics: null })).toEqual(['__consumer_offsets', 't'])
      expect(await names(named('t', 't'))).toEqual(['t'])
    }
  })

  test('by id, also unknown ones, from v12 on', async () => {
    const { topics } = await ask(byId(t, idOf(9)))
    expect(topics).toMatchObject([
      { errorCode: 0, name: 't', topicId: t },
      { errorCode: ErrorCode.UNKNOWN_TOPIC_ID, name: null, topicId: idOf(9), partitions: [] },
    ])
    const earlier = createMetadataRequestTopic({ topicId: t, name: 't' })
    expect((await ask({ topics: [earlier] }, { version: 11 })).topics).toMatchObject([
      { errorCode: ErrorCode.INVALID_REQUEST, name: 't', topicId: ZERO_UUID },
    ])
  })

  test('internal ones are marked', async () => {
    const { topics } = await ask(named('t', '__consumer_offsets'))
    expect(topics.map((topic) => topic.isInternal)).toEqual([false, true])
  })
})

describe('absent topics', () => {
  test('are created if the client and the broker allow it', async () => {
    const created: string[] = []
    const { topics } = await ask({ ...named('new'), allowAutoTopicCreation: true }, { created })
    expect(topics).toMatchObject([{ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, name: 'new', topicId: ZERO_UUID }])
    expect(created).toEqual(['new'])
    await ask({ ...named('no'), allowAutoTopicCreation: false }, { created })
    await ask({ ...named('no'), allowAutoTopicCreation: true }, { created, autoCreate: false })
    expect(created).toEqual(['new'])
  })

  test('before v4 every request allows it', async () => {
    const created: string[] = []
    for (const version of [0, 1, 2, 3]) await ask(named(`v${version}`), { version, created })
    expect(created).toEqual(['v0', 'v1', 'v2', 'v3'])
  })

  test('with illegal names are told apart', async () => {
    const { topics } = await ask({ ...named('a b', 'absent'), allowAutoTopicCreation: false })
    expect(topics.map((topic) => topic.errorCode)).toEqual([
      ErrorCode.INVALID_TOPIC_EXCEPTION,
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ])
  })
})

describe('brokers and leaders', () => {
  test('only live brokers of the listener are listed, and one of them is the controller', async () => {
    const { brokers, controllerId, clusterId } = await ask({ topics: [] })
    expect(brokers).toMatchObject([{ nodeId: 1, host: 'host-1', port: 9093, rack: 'r1' }])
    expect(controllerId).toBe(1)
    expect(clusterId).toBe('cluster-1')
    const none = await ask({ topics: [] }, { image: imageOf() })
    expect(none).toMatchObject({ brokers: [], controllerId: -1 })
  })

  test('replica lists are complete; fenced replicas are offline, a fenced leader is still told', async () => {
    const { topics } = await ask(named('t'))
    expect(topics[0]?.partitions).toMatchObject([
      { errorCode: 0, leaderId: 1, leaderEpoch: 3, replicaNodes: [1, 2], isrNodes: [1, 2], offlineReplicas: [2] },
      { errorCode: 0, leaderId: 2, replicaNodes: [2, 1], offlineReplicas: [2] },
    ])
  })

  test('v0 hides unavailable replicas and says so', async () => {
    const { topics } = await ask(named('t'), { version: 0 })
    expect(topics[0]?.partitions[0]).toMatchObject({
      errorCode: ErrorCode.REPLICA_NOT_AVAILABLE,
      leaderId: 1,
      replicaNodes: [1],
      isrNodes: [1],
    })
  })

  test('a partition without a leader, and a leader without the listener', async () => {
    const leaderless = imageOf(brokerRecord(1), ...topicRecords('t', t), partitionRecord(t, 0, [1], { leader: -1 }))
    const { topics } = await ask(named('t'), { image: leaderless })
    expect(topics[0]?.partitions[0]).toMatchObject({ errorCode: ErrorCode.LEADER_NOT_AVAILABLE, leaderId: -1 })
    for (const version of versionsOf(metadataApi)) {
      const answer = await ask(named('t'), { version, listener: 'OTHER' })
      const expected = version >= 6 ? ErrorCode.LISTENER_NOT_FOUND : ErrorCode.LEADER_NOT_AVAILABLE
      expect(answer.topics[0]?.partitions[0], `v${version}`).toMatchObject({ errorCode: expected, leaderId: -1 })
      expect(answer.brokers).toEqual([])
    }
  })
})

test('authorized operations are filled in if asked, those of the cluster only in v8 to v10', async () => {
  const wish = { ...named('t'), includeTopicAuthorizedOperations: true }
  for (const version of [8, 9, 10, 11, 13]) {
    const both = version <= 10 ? { ...wish, includeClusterAuthorizedOperations: true } : wish
    const answer = await ask(both, { version })
    expect(answer.topics[0]?.topicAuthorizedOperations).toBe(3576)
    expect(answer.clusterAuthorizedOperations).toBe(version <= 10 ? 8096 : -2_147_483_648)
  }
  expect((await ask(named('t'))).topics[0]?.topicAuthorizedOperations).toBe(-2_147_483_648)
})

test('views are shared between requests only as long as they are true', async () => {
  let current = image
  const handler = metadataHandler({
    image: () => current,
    autoCreateTopics: () => false,
    createTopic: () => ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    random: new SeededRandom(1),
    nextTurn: () => Promise.resolve(),
  })
  const partitionsOf = async (version: number, listener = 'PLAINTEXT') => {
    const context = requestContext(3, version, listener)
    const answer = await exchange(handler, metadataApi, createMetadataRequest(named('t')), version, context)
    return answer.topics[0]!.partitions[0]!
  }
  expect((await partitionsOf(13)).offlineReplicas).toEqual([2])
  expect((await partitionsOf(13, 'OTHER')).errorCode).toBe(ErrorCode.LISTENER_NOT_FOUND)
  expect((await partitionsOf(0)).errorCode).toBe(ErrorCode.REPLICA_NOT_AVAILABLE)
  expect((await partitionsOf(13)).errorCode).toBe(0)
  current = imageOf(brokerRecord(1), brokerRecord(2), ...topicRecords('t', t, [1, 2]))
  expect((await partitionsOf(13)).offlineReplicas).toEqual([])
})
