import { ZERO_UUID } from '@millrace/base'
import {
  alterPartitionReassignmentsApi,
  createAlterPartitionReassignmentsRequest,
  createCreatableTopic,
  createCreatableTopicConfig,
  createCreatePartitionsRequest,
  createCreatePartitionsTopic,
  createCreateTopicsRequest,
  createDeleteTopicState,
  createDeleteTopicsRequest,
  createElectLeadersRequest,
  createElectLeadersRequestTopicPartitions,
  createFeatureUpdateKey,
  createListPartitionReassignmentsRequest,
  createListPartitionReassignmentsTopics,
  createPartitionsApi,
  createReassignablePartition,
  createReassignableTopic,
  createTopicsApi,
  createUpdateFeaturesRequest,
  deleteTopicsApi,
  ErrorCode,
  electLeadersApi,
  listPartitionReassignmentsApi,
  updateFeaturesApi,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { configurationOf, metadataWith, newTopic, openMetadata, thisBroker } from '../metadata/testing/fixtures.ts'
import { createTopicsHandler } from './19-create-topics.ts'
import { deleteTopicsHandler } from './20-delete-topics.ts'
import { createPartitionsHandler } from './37-create-partitions.ts'
import { electLeadersHandler } from './43-elect-leaders.ts'
import { alterPartitionReassignmentsHandler } from './45-alter-partition-reassignments.ts'
import { listPartitionReassignmentsHandler } from './46-list-partition-reassignments.ts'
import { updateFeaturesHandler } from './57-update-features.ts'
import { exchange, versionsOf } from './testing/exchange.ts'
import { brokerRecord, idOf, imageOf, partitionRecord, topicRecords } from './testing/images.ts'

describe('CreateTopics', () => {
  const wish = (name: string) => createCreatableTopic({ name, numPartitions: 2, replicationFactor: 1 })

  test('answers in every version what the version can carry', async () => {
    for (const version of versionsOf(createTopicsApi)) {
      const metadata = await metadataWith()
      const request = createCreateTopicsRequest({ topics: [wish('t'), wish('a b'), wish('t')] })
      const { topics } = await exchange(createTopicsHandler({ metadata }), createTopicsApi, request, version)
      expect(topics.map((topic) => [topic.name, topic.errorCode])).toEqual([
        ['a b', ErrorCode.INVALID_TOPIC_EXCEPTION],
        ['t', ErrorCode.INVALID_REQUEST],
      ])
      expect(topics[0]?.errorMessage).toMatch(/Topic name is invalid/)
      const single = createCreateTopicsRequest({ topics: [wish('t')] })
      const [made] = (await exchange(createTopicsHandler({ metadata }), createTopicsApi, single, version)).topics
      expect(made).toMatchObject({ errorCode: 0, errorMessage: null })
      if (version >= 5) expect(made).toMatchObject({ numPartitions: 2, replicationFactor: 1, topicConfigErrorCode: 0 })
      if (version >= 5) expect(made?.configs?.length).toBeGreaterThan(30)
      if (version >= 7) expect(made?.topicId).toBe(metadata.image.topics.get('t')?.id)
    }
  })

  test('checks settings, and answers with those in effect', async () => {
    const metadata = await metadataWith()
    const config = (name: string, value: string) => createCreatableTopicConfig({ name, value })
    const request = createCreateTopicsRequest({
      topics: [
        { ...wish('good'), configs: [config('retention.ms', '5')] },
        { ...wish('bad'), configs: [config('retention.ms', '-5')] },
        { ...wish('unknown'), configs: [config('retention', '5')] },
      ],
    })
    const { topics } = await exchange(createTopicsHandler({ metadata }), createTopicsApi, request)
    expect(topics.map((topic) => topic.errorCode)).toEqual([0, ErrorCode.INVALID_CONFIG, ErrorCode.INVALID_CONFIG])
    expect(topics[0]?.configs?.find(({ name }) => name === 'retention.ms')).toMatchObject({
      value: '5',
      configSource: 1,
      isSensitive: false,
      readOnly: false,
    })
    expect(topics[1]).toMatchObject({ topicId: ZERO_UUID, numPartitions: -1, configs: [] })
  })
})

describe('DeleteTopics', () => {
  test('takes names, and from v6 on ids', async () => {
    for (const version of versionsOf(deleteTopicsApi)) {
      const metadata = await metadataWith(newTopic('a'), newTopic('b'))
      const idOfB = metadata.image.topics.get('b')!.id
      const request =
        version >= 6
          ? createDeleteTopicsRequest({
              topics: [
                createDeleteTopicState({ name: 'a', topicId: ZERO_UUID }),
                createDeleteTopicState({ name: null, topicId: idOfB }),
                createDeleteTopicState({ name: null, topicId: idOf(7) }),
              ],
            })
          : createDeleteTopicsRequest({ topicNames: ['a', 'b', 'c'] })
      const { responses } = await exchange(
        deleteTopicsHandler({ metadata, isEnabled: () => true }),
        deleteTopicsApi,
        request,
        version,
      )
      expect(metadata.image.topics.size).toBe(0)
      const errors = responses.filter((response) => response.errorCode !== 0)
      const expected = version >= 6 ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      expect(errors).toMatchObject([{ errorCode: expected }])
      if (version >= 5) expect(errors[0]?.errorMessage).toMatch(/./)
    }
  })

  test('can be forbidden by the broker, whatever its controller would say', async () => {
    const metadata = await metadataWith(newTopic('a'))
    const request = createDeleteTopicsRequest({ topics: [createDeleteTopicState({ name: 'a', topicId: ZERO_UUID })] })
    const handler = deleteTopicsHandler({ metadata, isEnabled: () => false })
    const { responses } = await exchange(handler, deleteTopicsApi, request, 6)
    expect(responses).toMatchObject([{ name: 'a', errorCode: ErrorCode.TOPIC_DELETION_DISABLED }])
    expect(metadata.image.topics.size).toBe(1)
  })

  test('can be forbidden, which the first versions do not know', async () => {
    const metadata = openMetadata({ configuration: configurationOf({ 'delete.topic.enable': 'false' }) })
    for (const version of versionsOf(deleteTopicsApi)) {
      const request =
        version >= 6
          ? createDeleteTopicsRequest({ topics: [createDeleteTopicState({ name: 'a', topicId: ZERO_UUID })] })
          : createDeleteTopicsRequest({ topicNames: ['a'] })
      const { responses } = await exchange(
        deleteTopicsHandler({ metadata, isEnabled: () => true }),
        deleteTopicsApi,
        request,
        version,
      )
      expect(responses[0]?.errorCode).toBe(version < 3 ? ErrorCode.INVALID_REQUEST : ErrorCode.TOPIC_DELETION_DISABLED)
    }
  })
})

test('CreatePartitions grows topics, in every version', async () => {
  for (const version of versionsOf(createPartitionsApi)) {
    const metadata = await metadataWith(newTopic('t'))
    const grow = (name: string, count: number) => createCreatePartitionsTopic({ name, count, assignments: null })
    const request = createCreatePartitionsRequest({ topics: [grow('t', 3), grow('none', 3)] })
    const { results } = await exchange(createPartitionsHandler({ metadata }), createPartitionsApi, request, version)
    expect(results).toMatchObject([
      { name: 't', errorCode: 0, errorMessage: null },
      { name: 'none', errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, errorMessage: null },
    ])
    expect(metadata.image.topics.get('t')?.partitions.length).toBe(3)
  }
})

describe('ElectLeaders', () => {
  const asked = [createElectLeadersRequestTopicPartitions({ topic: 't', partitions: [0, 9] })]

  test('answers per partition with words, in every version', async () => {
    const metadata = await metadataWith(newTopic('t'))
    for (const version of versionsOf(electLeadersApi)) {
      const request = createElectLeadersRequest({ topicPartitions: asked })
      const answer = await exchange(electLeadersHandler({ metadata }), electLeadersApi, request, version)
      expect(answer.errorCode).toBe(0)
      expect(answer.replicaElectionResults[0]?.partitionResult.map((result) => result.errorCode)).toEqual([
        ErrorCode.ELECTION_NOT_NEEDED,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
      ])
      for (const { errorMessage } of answer.replicaElectionResults[0]!.partitionResult)
        expect(errorMessage).toMatch(/./)
    }
  })

  test('refuses an unknown type as a whole', async () => {
    const metadata = await metadataWith(newTopic('t'))
    const request = createElectLeadersRequest({ electionType: 5, topicPartitions: asked })
    const answer = await exchange(electLeadersHandler({ metadata }), electLeadersApi, request)
    expect(answer.errorCode).toBe(ErrorCode.INVALID_REQUEST)
    expect(answer.replicaElectionResults[0]?.partitionResult.map((result) => result.errorCode)).toEqual([42, 42])
  })
})

describe('reassignments', () => {
  test('of a single node have nowhere to go', async () => {
    const metadata = await metadataWith(newTopic('t'))
    const errorsOf = async (version: number, ...targets: (number[] | null)[]) => {
      const request = createAlterPartitionReassignmentsRequest({
        topics: targets.map((replicas) =>
          createReassignableTopic({
            name: 't',
            partitions: [createReassignablePartition({ partitionIndex: 0, replicas })],
          }),
        ),
      })
      const handler = alterPartitionReassignmentsHandler({ metadata })
      const answer = await exchange(handler, alterPartitionReassignmentsApi, request, version)
      expect(answer).toMatchObject({ errorCode: 0, errorMessage: null })
      return answer.responses.map((topic) => topic.partitions[0]?.errorCode)
    }
    for (const version of versionsOf(alterPartitionReassignmentsApi)) {
      expect(await errorsOf(version, [2], [1], null)).toEqual([
        ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        0,
        ErrorCode.NO_REASSIGNMENT_IN_PROGRESS,
      ])
    }
  })

  test('under way are listed', async () => {
    const moving = { addingReplicas: [2], removingReplicas: [1] }
    const image = imageOf(
      brokerRecord(1),
      ...topicRecords('t', idOf(1)),
      partitionRecord(idOf(1), 0, [2, 1], moving),
      partitionRecord(idOf(1), 1, [1]),
    )
    const handler = listPartitionReassignmentsHandler({ image: () => image })
    const list = async (topics: { name: string; partitionIndexes: number[] }[] | null) => {
      const named = topics?.map((topic) => createListPartitionReassignmentsTopics(topic)) ?? null
      const request = createListPartitionReassignmentsRequest({ topics: named })
      return (await exchange(handler, listPartitionReassignmentsApi, request)).topics
    }
    const found = [{ name: 't', partitions: [{ partitionIndex: 0, replicas: [2, 1], ...moving }] }]
    expect(await list(null)).toMatchObject(found)
    expect(await list([{ name: 't', partitionIndexes: [0, 1, 7] }])).toMatchObject(found)
    expect(await list([{ name: 't', partitionIndexes: [1] }])).toEqual([])
  })
})

describe('UpdateFeatures', () => {
  const feature = 'eligible.leader.replicas.version'

  test('has a row per feature up to v1, and needs a permission to go down', async () => {
    for (const version of versionsOf(updateFeaturesApi)) {
      const metadata = openMetadata()
      await metadata.registerBroker(thisBroker)
      const down = (allowed: boolean) =>
        createUpdateFeaturesRequest({
          featureUpdates: [
            createFeatureUpdateKey(
              version === 0
                ? { feature, maxVersionLevel: 0, allowDowngrade: allowed }
                : { feature, maxVersionLevel: 0, upgradeType: allowed ? 2 : 1 },
            ),
          ],
        })
      const handler = updateFeaturesHandler({ metadata })
      const refused = await exchange(handler, updateFeaturesApi, down(false), version)
      expect(refused).toMatchObject({ errorCode: ErrorCode.INVALID_UPDATE_VERSION, results: [] })
      expect(refused.errorMessage).toMatch(/No feature was updated.*eligible\.leader\.replicas\.version/)
      const done = await exchange(handler, updateFeaturesApi, down(true), version)
      expect(done).toMatchObject({ errorCode: 0, errorMessage: null })
      expect(done.results.map((result) => result.feature)).toEqual(version <= 1 ? [feature] : [])
      expect(metadata.image.features.has(feature)).toBe(false)
    }
  })
})
