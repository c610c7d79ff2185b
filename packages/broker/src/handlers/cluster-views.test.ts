import { SeededRandom } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import {
  createDescribableLogDirTopic,
  createDescribeClusterRequest,
  createDescribeLogDirsRequest,
  createDescribeProducersRequest,
  createDescribeProducersRequestTopicRequest,
  createDescribeTopicPartitionsRequest,
  createDescribeTopicPartitionsRequestCursor,
  createDescribeTopicPartitionsRequestTopicRequest,
  createInitProducerIdRequest,
  describeClusterApi,
  describeLogDirsApi,
  describeProducersApi,
  describeTopicPartitionsApi,
  ErrorCode,
  type InitProducerIdRequest,
  initProducerIdApi,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { ProducerIdSource } from '../metadata/producer-id-source.ts'
import { openMetadata, thisBroker } from '../metadata/testing/fixtures.ts'
import { initProducerIdHandler } from './22-init-producer-id.ts'
import { describeLogDirsHandler, type LogDirDescription } from './35-describe-log-dirs.ts'
import { describeClusterHandler } from './60-describe-cluster.ts'
import { describeProducersHandler } from './61-describe-producers.ts'
import { describeTopicPartitionsHandler } from './75-describe-topic-partitions.ts'
import { exchange, versionsOf } from './testing/exchange.ts'
import { brokerRecord, idOf, imageOf, partitionRecord, topicRecords } from './testing/images.ts'

const image = imageOf(
  brokerRecord(1, { rack: 'r1' }),
  brokerRecord(2, { fenced: true }),
  ...topicRecords('b', idOf(1), [1], [1], [1]),
  ...topicRecords('a', idOf(2), [1], [1]),
  ...topicRecords('c', idOf(3)),
  partitionRecord(idOf(3), 0, [1, 2], { isr: [1], eligibleLeaderReplicas: [2], lastKnownElr: [1] }),
)

describe('DescribeCluster', () => {
  const handler = describeClusterHandler({ image: () => image, random: new SeededRandom(1) })

  test('lists live brokers, fenced ones only if asked', async () => {
    for (const version of versionsOf(describeClusterApi)) {
      const answer = await exchange(handler, describeClusterApi, createDescribeClusterRequest(), version)
      expect(answer).toMatchObject({
        errorCode: 0,
        errorMessage: null,
        clusterId: 'cluster-1',
        controllerId: 1,
        brokers: [{ brokerId: 1, host: 'host-1', port: 9093, rack: 'r1' }],
        clusterAuthorizedOperations: -2_147_483_648,
      })
    }
    const all = createDescribeClusterRequest({ includeFencedBrokers: true, includeClusterAuthorizedOperations: true })
    const answer = await exchange(handler, describeClusterApi, all)
    expect(answer.brokers.map(({ brokerId, isFenced }) => [brokerId, isFenced])).toEqual([
      [1, false],
      [2, true],
    ])
    expect(answer.clusterAuthorizedOperations).toBe(8096)
  })

  test('is no controller', async () => {
    const errorOf = async (endpointType: number) =>
      (await exchange(handler, describeClusterApi, createDescribeClusterRequest({ endpointType }), 1)).errorCode
    expect(await errorOf(2)).toBe(ErrorCode.MISMATCHED_ENDPOINT_TYPE)
    expect(await errorOf(7)).toBe(ErrorCode.UNSUPPORTED_ENDPOINT_TYPE)
  })
})

describe('DescribeTopicPartitions', () => {
  interface Wish {
    topics?: string[]
    limit?: number
    cursor?: [topic: string, partition: number]
    maxPartitions?: number
    image?: MetadataImage
  }

  async function page({ topics = [], limit = 2000, cursor, maxPartitions = 2000 }: Wish) {
    const handler = describeTopicPartitionsHandler({
      image: () => image,
      maxPartitions: () => maxPartitions,
      authorizer: null,
    })
    const request = createDescribeTopicPartitionsRequest({
      topics: topics.map((name) => createDescribeTopicPartitionsRequestTopicRequest({ name })),
      responsePartitionLimit: limit,
      cursor:
        cursor === undefined
          ? null
          : createDescribeTopicPartitionsRequestCursor({ topicName: cursor[0], partitionIndex: cursor[1] }),
    })
    const answer = await exchange(handler, describeTopicPartitionsApi, request)
    const next = answer.nextCursor
    return {
      answer,
      shown: answer.topics.map((topic) => [
        topic.name,
        ...topic.partitions.map((partition) => partition.partitionIndex),
      ]),
      next: next === null ? null : [next.topicName, next.partitionIndex],
    }
  }

  test('shows all topics by name, with eligible replicas', async () => {
    const { answer, shown, next } = await page({})
    expect(shown).toEqual([
      ['a', 0, 1],
      ['b', 0, 1, 2],
      ['c', 0],
    ])
    expect(next).toBeNull()
    expect(answer.topics[2]).toMatchObject({ topicId: idOf(3), isInternal: false, topicAuthorizedOperations: 3576 })
    expect(answer.topics[2]?.partitions[0]).toMatchObject({
      errorCode: 0,
      leaderId: 1,
      leaderEpoch: 3,
      replicaNodes: [1, 2],
      isrNodes: [1],
      eligibleLeaderReplicas: [2],
      lastKnownElr: [1],
      offlineReplicas: [2],
    })
  })

  test('pages through them, within and between topics', async () => {
    let cursor: [string, number] | undefined
    const pages: unknown[] = []
    do {
      const { shown, next } = await page({ limit: 2, ...(cursor === undefined ? {} : { cursor }) })
      pages.push(shown)
      cursor = next as typeof cursor
    } while (cursor !== null && cursor !== undefined)
    expect(pages).toEqual([
      [['a', 0, 1]],
      [['b', 0, 1]],
      [
        ['b', 2],
        ['c', 0],
      ],
    ])
  })

  test('keeps pages between one partition and the broker’s limit', async () => {
    expect((await page({ limit: 0 })).shown).toEqual([['a', 0]])
    expect((await page({ limit: -5 })).next).toEqual(['a', 1])
    expect((await page({ maxPartitions: 3 })).next).toEqual(['b', 1])
  })

  test('tells absent and illegal names apart, if they were named', async () => {
    const { answer } = await page({ topics: ['none', 'a b', 'a'] })
    expect(answer.topics.map((topic) => [topic.name, topic.errorCode])).toEqual([
      ['a', 0],
      ['a b', ErrorCode.INVALID_TOPIC_EXCEPTION],
      ['none', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    ])
  })

  test('a cursor outside of the named topics, or before the first partition, is wrong', async () => {
    const codes = async (wish: Wish) => (await page(wish)).answer.topics.map((topic) => topic.errorCode)
    expect(await codes({ topics: ['a'], cursor: ['b', 0] })).toEqual([ErrorCode.INVALID_REQUEST])
    expect(await codes({ topics: ['a'], cursor: ['a', -1] })).toEqual([ErrorCode.INVALID_REQUEST])
    expect((await page({ cursor: ['bb', 0] })).shown).toEqual([['c', 0]])
  })
})

describe('DescribeLogDirs', () => {
  const replica = (topic: string, partition: number) => ({
    topic,
    partition,
    sizeBytes: 10 * partition,
    offsetLag: 0,
    isFuture: false,
  })
  const directories: LogDirDescription[] = [
    {
      path: '/d1',
      error: 0,
      totalBytes: 1000,
      usableBytes: 500,
      replicas: [replica('t', 0), replica('t', 1), replica('u', 0)],
    },
    { path: '/d2', error: ErrorCode.KAFKA_STORAGE_ERROR, totalBytes: 0, usableBytes: 0, replicas: [replica('t', 2)] },
  ]
  const handler = describeLogDirsHandler({ logDirs: () => directories, nextTurn: () => Promise.resolve() })

  test('has a row per directory, offline ones too, in every version', async () => {
    for (const version of versionsOf(describeLogDirsApi)) {
      const answer = await exchange(
        handler,
        describeLogDirsApi,
        createDescribeLogDirsRequest({ topics: null }),
        version,
      )
      expect(answer.results).toMatchObject([
        {
          errorCode: 0,
          logDir: '/d1',
          topics: [
            { name: 't', partitions: [{}, { partitionIndex: 1, partitionSize: 10, offsetLag: 0, isFutureKey: false }] },
            { name: 'u' },
          ],
        },
        { errorCode: ErrorCode.KAFKA_STORAGE_ERROR, logDir: '/d2', topics: [] },
      ])
      if (version >= 4) expect(answer.results[0]).toMatchObject({ totalBytes: 1000, usableBytes: 500 })
      if (version >= 4) expect(answer.results[1]).toMatchObject({ totalBytes: -1, usableBytes: -1 })
    }
  })

  test('shows only what is asked for', async () => {
    const topics = [
      createDescribableLogDirTopic({ topic: 't', partitions: [1, 7] }),
      createDescribableLogDirTopic({ topic: 'none', partitions: [0] }),
    ]
    const { results } = await exchange(handler, describeLogDirsApi, createDescribeLogDirsRequest({ topics }))
    expect(results[0]?.topics).toMatchObject([{ name: 't', partitions: [{ partitionIndex: 1 }] }])
    expect(results[0]?.topics).toHaveLength(1)
    const none = await exchange(handler, describeLogDirsApi, createDescribeLogDirsRequest({ topics: [] }))
    expect(none.results.map((result) => result.topics)).toEqual([[], []])
  })
})

test('DescribeProducers shows producers of led partitions', async () => {
  const producer = {
    producerId: 7,
    producerEpoch: 1,
    lastSequence: 9,
    lastTimestamp: 1000,
    coordinatorEpoch: -1,
    currentTxnStartOffset: -1,
  }
  const handler = describeProducersHandler({
    image: () => image,
    producersOf: (topic, partition) =>
      topic === 'a' && partition === 0 ? [producer] : { errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER },
    nextTurn: () => Promise.resolve(),
  })
  const ask = (name: string, ...partitionIndexes: number[]) =>
    createDescribeProducersRequestTopicRequest({ name, partitionIndexes })
  const request = createDescribeProducersRequest({ topics: [ask('a', 0, 1), ask('none', 0), ask('a b', 0)] })
  const { topics } = await exchange(handler, describeProducersApi, request)
  expect(topics[0]?.partitions).toMatchObject([
    { partitionIndex: 0, errorCode: 0, errorMessage: null, activeProducers: [producer] },
    { partitionIndex: 1, errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER, activeProducers: [] },
  ])
  expect(topics[1]?.partitions[0]?.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  expect(topics[2]?.partitions[0]?.errorCode).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
})

const NO_TRANSACTIONS = { initProducerId: () => expect.fail('there is no transactional id') }

describe('InitProducerId', () => {
  async function start() {
    const metadata = openMetadata()
    await metadata.registerBroker(thisBroker)
    const handler = initProducerIdHandler({
      producerIds: new ProducerIdSource(metadata),
      transactions: NO_TRANSACTIONS,
    })
    return (init: Partial<InitProducerIdRequest> = {}, version = initProducerIdApi.maxVersion) =>
      exchange(handler, initProducerIdApi, createInitProducerIdRequest({ transactionalId: null, ...init }), version)
  }

  test('hands out ids that are never the same, over blocks, in every version', async () => {
    const init = await start()
    const ids = new Set<unknown>()
    for (let count = 0; count < 2500; count++) {
      const answer = await init({}, count % (initProducerIdApi.maxVersion + 1))
      expect(answer).toMatchObject({ errorCode: 0, producerEpoch: 0 })
      ids.add(answer.producerId)
    }
    expect(ids.size).toBe(2500)
    expect(Math.max(...(ids as Set<number>))).toBe(2499)
  })

  test('many at once share the wait for a block', async () => {
    const init = await start()
    const answers = await Promise.all(Array.from({ length: 1500 }, () => init()))
    expect(new Set(answers.map((answer) => answer.producerId)).size).toBe(1500)
  })

  test('refuses half an identity', async () => {
    const init = await start()
    expect(await init({ producerId: 5, producerEpoch: -1 })).toMatchObject({
      errorCode: ErrorCode.INVALID_REQUEST,
      producerId: -1,
    })
    expect((await init({ producerId: -1, producerEpoch: 5 })).errorCode).toBe(ErrorCode.INVALID_REQUEST)
    expect((await init({ producerId: 5, producerEpoch: 5 })).errorCode).toBe(0)
  })

  test('before the broker is registered clients are asked to wait', async () => {
    const producerIds = new ProducerIdSource(openMetadata())
    const handler = initProducerIdHandler({ producerIds, transactions: NO_TRANSACTIONS })
    const request = createInitProducerIdRequest({ transactionalId: null })
    expect((await exchange(handler, initProducerIdApi, request)).errorCode).toBe(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
  })
})
