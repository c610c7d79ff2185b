import { type Random, ZERO_UUID } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { cluster, contextOf, idOf, imageOf, partition, registration, topic } from '../../testing/cluster.ts'
import { applyRecords } from '../reducer.ts'
import { MetadataErrorCode } from './api-error.ts'
import { createPartitions, type TopicToGrow } from './create-partitions.ts'
import { deleteTopics } from './delete-topics.ts'

const [a, b] = [idOf(1), idOf(2)]
const image = imageOf(
  ...cluster(1, 2),
  topic('a', a),
  partition(a, 0, [1, 2]),
  partition(a, 1, [2, 1]),
  topic('b', b),
  partition(b, 0, [1]),
)

describe('many topics that grow at once', () => {
  test('are refused as soon as they are too many, each once, whatever comes behind them', () => {
    const names = Array.from({ length: 400 }, (_, slot) => `t${slot}`)
    const many = imageOf(
      ...cluster(1, 2, 3),
      ...names.flatMap((name, slot) => [topic(name, idOf(slot)), partition(idOf(slot), 0, [1, 2, 3])]),
    )
    let draws = 0
    const context = contextOf(many)
    const random: Random = {
      uint32() {
        draws++
        return context.random.uint32()
      },
      bytes: (sizeBytes) => context.random.bytes(sizeBytes),
    }
    const topics = names.map((name): TopicToGrow => ({ name, count: 9000, assignments: null }))
    const { records, response } = createPartitions(
      { ...context, random },
      { topics: [...topics, topics[0]!], validateOnly: false },
    )
    expect(records).toEqual([])
    expect(response.map((result) => result.name)).toEqual(names)
    expect(new Set(response.map((result) => result.errorCode))).toEqual(new Set([MetadataErrorCode.POLICY_VIOLATION]))
    // Each layout draws; all of them would draw for hundreds of topics.
    expect(draws).toBeLessThan(100_000)
  })
})

describe('deleting topics', () => {
  test('works by name and by id, each by itself', () => {
    const { records, response } = deleteTopics(contextOf(image), [
      { name: 'a', topicId: ZERO_UUID },
      { name: null, topicId: b },
      { name: 'none', topicId: ZERO_UUID },
      { name: null, topicId: idOf(9) },
    ])
    expect(applyRecords(image, records).image.topics.size).toBe(0)
    expect(response).toContainEqual({ name: 'a', topicId: a, errorCode: 0, errorMessage: null })
    expect(response).toContainEqual({ name: 'b', topicId: b, errorCode: 0, errorMessage: null })
    expect(response.find((result) => result.name === 'none')?.errorCode).toBe(
      MetadataErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    )
    expect(response.find((result) => result.topicId === idOf(9))?.errorCode).toBe(MetadataErrorCode.UNKNOWN_TOPIC_ID)
  })

  test('refuses neither, both, repeated names or ids, and a name beside its own id', () => {
    const errors = (topics: Parameters<typeof deleteTopics>[1]) => {
      const { records, response } = deleteTopics(contextOf(image), topics)
      expect(records).toEqual([])
      expect(response.length).toBe(1)
      return response[0]?.errorCode
    }
    const { INVALID_REQUEST } = MetadataErrorCode
    expect(errors([{ name: null, topicId: ZERO_UUID }])).toBe(INVALID_REQUEST)
    expect(errors([{ name: 'a', topicId: a }])).toBe(INVALID_REQUEST)
    expect(
      errors([
        { name: 'a', topicId: ZERO_UUID },
        { name: 'a', topicId: ZERO_UUID },
      ]),
    ).toBe(INVALID_REQUEST)
    expect(
      errors([
        { name: null, topicId: a },
        { name: null, topicId: a },
      ]),
    ).toBe(INVALID_REQUEST)
    expect(
      errors([
        { name: null, topicId: a },
        { name: 'a', topicId: ZERO_UUID },
      ]),
    ).toBe(INVALID_REQUEST)
  })

  test('can be forbidden', () => {
    const context = contextOf(image, { deleteTopicEnable: false })
    const { records, response } = deleteTopics(context, [{ name: 'a', topicId: ZERO_UUID }])
    expect(records).toEqual([])
    expect(response[0]?.errorCode).toBe(MetadataErrorCode.TOPIC_DELETION_DISABLED)
  })
})

describe('creating partitions', () => {
  function grow(...topics: TopicToGrow[]) {
    return createPartitions(contextOf(image), { topics, validateOnly: false })
  }

  test('continues the numbers with the topic’s number of replicas', () => {
    const { records, response } = grow({ name: 'a', count: 4, assignments: null })
    expect(response).toEqual([{ name: 'a', errorCode: 0, errorMessage: null }])
    const partitions = applyRecords(image, records).image.topics.get('a')!.partitions
    expect(partitions.map((part) => part.partition)).toEqual([0, 1, 2, 3])
    for (const part of partitions.slice(2)) expect([...part.replicas].sort()).toEqual([1, 2])
  })

  test('only ever grows a topic that exists', () => {
    expect(grow({ name: 'none', count: 4, assignments: null }).response[0]?.errorCode).toBe(
      MetadataErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    )
    for (const count of [2, 1, 0, -1]) {
      const { records, response } = grow({ name: 'a', count, assignments: null })
      expect(response[0]?.errorCode).toBe(MetadataErrorCode.INVALID_PARTITIONS)
      expect(records).toEqual([])
    }
  })

  test('takes assignments that fit in number and size', () => {
    const errorOf = (...lists: number[][]) =>
      grow({ name: 'a', count: 4, assignments: lists.map((brokerIds) => ({ brokerIds })) }).response[0]?.errorCode
    expect(errorOf([1, 2], [2, 1])).toBe(0)
    expect(errorOf([1, 2])).toBe(MetadataErrorCode.INVALID_REPLICA_ASSIGNMENT)
    expect(errorOf([1], [2])).toBe(MetadataErrorCode.INVALID_REPLICA_ASSIGNMENT)
    expect(errorOf([1, 2], [2, 7])).toBe(MetadataErrorCode.INVALID_REPLICA_ASSIGNMENT)
  })

  test('refuses a topic given twice and a hostile count', () => {
    const twice = grow({ name: 'a', count: 3, assignments: null }, { name: 'a', count: 4, assignments: null })
    expect(twice).toEqual({
      records: [],
      response: [{ name: 'a', errorCode: MetadataErrorCode.INVALID_REQUEST, errorMessage: 'Duplicate topic name.' }],
    })
    expect(grow({ name: 'a', count: 2_147_483_647, assignments: null }).response[0]?.errorCode).toBe(
      MetadataErrorCode.POLICY_VIOLATION,
    )
  })

  test('a validation writes nothing, and without an active broker nothing can be placed', () => {
    const topics = [{ name: 'b', count: 2, assignments: null }]
    expect(createPartitions(contextOf(image), { topics, validateOnly: true })).toMatchObject({
      records: [],
      response: [{ errorCode: 0 }],
    })
    const fenced = applyRecords(image, [registration(1, { fenced: true }), registration(2, { fenced: true })]).image
    expect(createPartitions(contextOf(fenced), { topics, validateOnly: false }).response[0]?.errorCode).toBe(
      MetadataErrorCode.INVALID_REPLICATION_FACTOR,
    )
  })
})
