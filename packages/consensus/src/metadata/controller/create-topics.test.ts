import { ZERO_UUID } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import {
  cluster,
  contextOf,
  directoryOf,
  idOf,
  imageOf,
  partition,
  registration,
  topic,
} from '../../testing/cluster.ts'
import { DirectoryId } from '../image.ts'
import { applyRecords } from '../reducer.ts'
import { MetadataErrorCode } from './api-error.ts'
import { createPartitions } from './create-partitions.ts'
import { type CreateTopicResult, createTopics, type NewTopic, splitCreateTopics } from './create-topics.ts'

function wish(name: string, init: Partial<NewTopic> = {}): NewTopic {
  return { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [], ...init }
}

const threeBrokers = imageOf(...cluster(1, 2, 3))

function create(topics: readonly NewTopic[], image = threeBrokers): readonly CreateTopicResult[] {
  return createTopics(contextOf(image), { topics, validateOnly: false }).response
}

function errorOf(init: Partial<NewTopic>, image = threeBrokers): number | undefined {
  return create([wish('t', init)], image)[0]?.errorCode
}

describe('names', () => {
  test('illegal names are refused with the reason', () => {
    for (const [name, reason] of [
      ['', /empty/],
      ['.', /'\.' is not allowed/],
      ['..', /'\.\.' is not allowed/],
      ['a'.repeat(250), /250 characters/],
      ['a b', /other than ASCII/],
      ['café', /other than ASCII/],
    ] as const) {
      const [result] = create([wish(name)])
      expect(result?.errorCode, name).toBe(MetadataErrorCode.INVALID_TOPIC_EXCEPTION)
      expect(result?.errorMessage).toMatch(reason)
    }
    expect(create([wish('a'.repeat(249))])[0]?.errorCode).toBe(0)
  })

  test('names that differ only by period and underscore collide, but an equal name is an existing topic', () => {
    const image = imageOf(...cluster(1), topic('a.b_c'))
    const [collision, exists] = create([wish('a_b.c'), wish('a.b_c')], image)
    expect(collision?.errorCode).toBe(MetadataErrorCode.INVALID_TOPIC_EXCEPTION)
    expect(collision?.errorMessage).toContain('a.b_c')
    expect(exists?.errorCode).toBe(MetadataErrorCode.TOPIC_ALREADY_EXISTS)
  })

  test('a name given twice fails once, after the others', () => {
    const results = create([wish('twice'), wish('once'), wish('twice')])
    expect(results.map((result) => [result.name, result.errorCode])).toEqual([
      ['once', 0],
      ['twice', MetadataErrorCode.INVALID_REQUEST],
    ])
  })

  test('the metadata log is nobody’s topic', () => {
    expect(create([wish('__cluster_metadata')])[0]?.errorCode).toBe(MetadataErrorCode.INVALID_REQUEST)
  })
})

describe('counts', () => {
  test('-1 takes the defaults of the controller', () => {
    const [result] = create([wish('t', { numPartitions: -1, replicationFactor: -1 })])
    expect(result).toMatchObject({ errorCode: 0, numPartitions: 3, replicationFactor: 1 })
  })

  test('zero and less are refused', () => {
    expect(errorOf({ numPartitions: 0 })).toBe(MetadataErrorCode.INVALID_PARTITIONS)
    expect(errorOf({ numPartitions: -2 })).toBe(MetadataErrorCode.INVALID_PARTITIONS)
    expect(errorOf({ replicationFactor: 0 })).toBe(MetadataErrorCode.INVALID_REPLICATION_FACTOR)
    expect(errorOf({ replicationFactor: -2 })).toBe(MetadataErrorCode.INVALID_REPLICATION_FACTOR)
  })

  test('more replicas than brokers are refused, with both numbers', () => {
    const [result] = create([wish('t', { replicationFactor: 4 })])
    expect(result?.errorCode).toBe(MetadataErrorCode.INVALID_REPLICATION_FACTOR)
    expect(result?.errorMessage).toMatch(/Unable to replicate the partition 4 time\(s\).*only 3 broker/)
  })

  test('fenced brokers may follow but not lead, and brokers that shut down get nothing', () => {
    const image = imageOf(
      registration(1),
      registration(2, { fenced: true }),
      registration(3, { inControlledShutdown: true }),
    )
    const { records, response } = createTopics(contextOf(image), {
      topics: [wish('t', { replicationFactor: 2, numPartitions: 4 }), wish('u', { replicationFactor: 3 })],
      validateOnly: false,
    })
    expect(response.map((result) => result.errorCode)).toEqual([0, MetadataErrorCode.INVALID_REPLICATION_FACTOR])
    const made = applyRecords(image, records).image.topics.get('t')!
    for (const part of made.partitions) {
      expect(part).toMatchObject({ replicas: [1, 2], isr: [1], leader: 1, leaderEpoch: 0, partitionEpoch: 0 })
    }
    expect(errorOf({}, imageOf(registration(1, { fenced: true })))).toBe(MetadataErrorCode.INVALID_REPLICATION_FACTOR)
  })

  test('a request for more than ten thousand partitions is refused as a whole, before any is laid out', () => {
    const results = create([wish('small'), wish('huge', { numPartitions: 2_147_483_647 })])
    expect(results.map((result) => result.errorCode)).toEqual([
      MetadataErrorCode.POLICY_VIOLATION,
      MetadataErrorCode.POLICY_VIOLATION,
    ])
    const twice = create([wish('twice'), wish('twice'), wish('huge', { numPartitions: 10_001 })])
    expect(twice.map((result) => result.name)).toEqual(['twice', 'huge'])
    expect(errorOf({ numPartitions: 10_000 })).toBe(MetadataErrorCode.POLICY_VIOLATION)
    expect(errorOf({ numPartitions: 9_999 })).toBe(0)
  })
})

describe('manual assignment', () => {
  const one = [{ partitionIndex: 0, brokerIds: [2, 1] }]
  const manual = { numPartitions: -1, replicationFactor: -1 }

  test('is taken as it is, its first active broker leads', () => {
    const image = imageOf(registration(1), registration(2, { fenced: true }))
    const { records, response } = createTopics(contextOf(image), {
      topics: [wish('t', { ...manual, assignments: one })],
      validateOnly: false,
    })
    expect(response[0]).toMatchObject({ errorCode: 0, numPartitions: 1, replicationFactor: 2 })
    expect(applyRecords(image, records).image.topics.get('t')?.partitions[0]).toMatchObject({
      replicas: [2, 1],
      isr: [1],
      leader: 1,
      directories: [directoryOf(2), directoryOf(1)],
    })
  })

  test('does not go with counts', () => {
    expect(errorOf({ assignments: one, numPartitions: 1, replicationFactor: -1 })).toBe(
      MetadataErrorCode.INVALID_REQUEST,
    )
    expect(errorOf({ assignments: one, numPartitions: -1, replicationFactor: 1 })).toBe(
      MetadataErrorCode.INVALID_REQUEST,
    )
  })

  test('is refused if it is not consecutive, repeats, is empty, uneven or names unknown brokers', () => {
    for (const assignments of [
      [{ partitionIndex: 1, brokerIds: [1] }],
      [...one, ...one],
      [{ partitionIndex: 0, brokerIds: [] }],
      [{ partitionIndex: 0, brokerIds: [1, 1] }],
      [{ partitionIndex: 0, brokerIds: [9] }],
      [...one, { partitionIndex: 1, brokerIds: [1] }],
    ]) {
      expect(errorOf({ ...manual, assignments })).toBe(MetadataErrorCode.INVALID_REPLICA_ASSIGNMENT)
    }
    const fenced = imageOf(registration(1, { fenced: true }), registration(2, { fenced: true }))
    expect(errorOf({ ...manual, assignments: one }, fenced)).toBe(MetadataErrorCode.INVALID_REPLICA_ASSIGNMENT)
  })
})

describe('configuration', () => {
  test('values that are too long for the protocol to tell them are refused', () => {
    const withValue = (value: string) => errorOf({ configs: [{ name: 'cleanup.policy', value }] })
    expect(withValue('x'.repeat(32_767))).toBe(0)
    expect(withValue('x'.repeat(32_768))).toBe(MetadataErrorCode.INVALID_CONFIG)
    expect(withValue('é'.repeat(16_384))).toBe(MetadataErrorCode.INVALID_CONFIG)
  })

  test('a null value and a value that the rules refuse fail the topic', () => {
    const [result] = create([wish('t', { configs: [{ name: 'retention.ms', value: null }] })])
    expect(result).toMatchObject({ errorCode: MetadataErrorCode.INVALID_CONFIG, topicId: ZERO_UUID })
    expect(result?.errorMessage).toContain('retention.ms')
    expect(errorOf({ configs: [{ name: 'retention.ms', value: 'soon' }] })).toBe(MetadataErrorCode.INVALID_CONFIG)
  })

  test('records stand as topic, configuration, partitions, and settings are answered', () => {
    const { records, response } = createTopics(contextOf(threeBrokers), {
      topics: [wish('t', { configs: [{ name: 'retention.ms', value: '5' }] })],
      validateOnly: false,
    })
    expect(records.map((record) => record.type)).toEqual(['TopicRecord', 'ConfigRecord', 'PartitionRecord'])
    expect(response[0]?.configs).toMatchObject([{ name: 'retention.ms', value: '5' }])
  })
})

test('a request that would lead to more partitions than there may be is refused, whoever asks for them', () => {
  const image = imageOf(...cluster(1), topic('a', idOf(1)), partition(idOf(1), 0, [1]), partition(idOf(1), 1, [1]))
  const context = contextOf(image, { maxPartitions: 4 })
  const ask = (numPartitions: number) =>
    createTopics(context, { topics: [wish('b', { numPartitions })], validateOnly: false }).response[0]!
  expect(ask(2).errorCode).toBe(0)
  expect(ask(3).errorCode).toBe(MetadataErrorCode.POLICY_VIOLATION)
  expect(ask(3).errorMessage).toContain('5 partitions, and there may be 4')
  const grow = (count: number) =>
    createPartitions(context, { topics: [{ name: 'a', count, assignments: null }], validateOnly: false }).response[0]!
  expect([grow(4).errorCode, grow(5).errorCode]).toEqual([0, MetadataErrorCode.POLICY_VIOLATION])
})

test('of several topics those that still fit are made, and one that exists is told so', () => {
  const parts = [0, 1, 2].map((index) => partition(idOf(1), index, [1]))
  const context = contextOf(imageOf(...cluster(1), topic('a', idOf(1)), ...parts), { maxPartitions: 5 })
  const { response } = createTopics(context, {
    topics: [wish('a', { numPartitions: 3 }), wish('b', { numPartitions: 2 }), wish('c', { numPartitions: 1 })],
    validateOnly: false,
  })
  const { TOPIC_ALREADY_EXISTS, POLICY_VIOLATION } = MetadataErrorCode
  expect(response.map((result) => result.errorCode)).toEqual([TOPIC_ALREADY_EXISTS, 0, POLICY_VIOLATION])
  const other = imageOf(...cluster(1), topic('a', idOf(1)), parts[0]!, topic('b', idOf(2)), partition(idOf(2), 0, [1]))
  const grown = createPartitions(contextOf(other, { maxPartitions: 4 }), {
    topics: ['a', 'b'].map((name) => ({ name, count: 3, assignments: null })),
    validateOnly: false,
  })
  expect(grown.response.map((result) => result.errorCode)).toEqual([0, POLICY_VIOLATION])
})

test('one topic that fails does not keep others from being created', () => {
  const { records, response } = createTopics(contextOf(threeBrokers), {
    topics: [wish('bad name'), wish('good')],
    validateOnly: false,
  })
  expect(response.map((result) => result.errorCode)).toEqual([MetadataErrorCode.INVALID_TOPIC_EXCEPTION, 0])
  expect(applyRecords(threeBrokers, records).image.topics.size).toBe(1)
})

test('a validation checks all and writes nothing', () => {
  const { records, response } = createTopics(contextOf(threeBrokers), {
    topics: [wish('t'), wish('', {})],
    validateOnly: true,
  })
  expect(records).toEqual([])
  expect(response[0]).toMatchObject({ errorCode: 0, numPartitions: 1 })
  expect(response[0]?.topicId).not.toBe(ZERO_UUID)
  expect(response[1]?.errorCode).toBe(MetadataErrorCode.INVALID_TOPIC_EXCEPTION)
})

test('replicas on a broker with several directories are placed by the broker', () => {
  const image = imageOf(registration(1, { logDirs: [idOf(1), idOf(2)] }), topic('x'), partition(idOf(1), 0, [1]))
  const { records } = createTopics(contextOf(image), { topics: [wish('t')], validateOnly: false })
  expect(records.at(-1)).toMatchObject({ directories: [DirectoryId.UNASSIGNED] })
})

describe('a large request', () => {
  const topics = Array.from({ length: 250 }, (_, n) => wish(`t${n}`, { numPartitions: 1 + (n % 5) }))

  test('in parts gives what it gives as a whole', () => {
    const all = [...topics, wish('t0'), wish('__cluster_metadata'), wish('a b'), wish('wide', { numPartitions: 700 })]
    const request = { topics: all, validateOnly: false }
    const { parts, settled } = splitCreateTopics(contextOf(threeBrokers), request)
    const results = [...parts.flatMap((part) => createTopics(contextOf(threeBrokers), part).response), ...settled]
    const facts = (list: readonly CreateTopicResult[]) =>
      list.map(({ name, errorCode, errorMessage, numPartitions }) => [name, errorCode, errorMessage, numPartitions])
    expect(facts(results)).toEqual(facts(create(all)))
    for (const part of parts) {
      const count = part.topics.reduce((sum, { numPartitions }) => sum + numPartitions, 0)
      expect(part.topics.length).toBeLessThanOrEqual(100)
      expect(part.topics.length === 1 || count <= 500).toBe(true)
    }
    expect(parts.length).toBeGreaterThan(2)
  })

  test('that asks for too many partitions in all is refused as a whole', () => {
    const request = { topics: [...topics, wish('wide', { numPartitions: 10_000 })], validateOnly: false }
    const { parts, settled } = splitCreateTopics(contextOf(threeBrokers), request)
    expect(parts).toEqual([])
    expect(new Set(settled.map(({ errorCode }) => errorCode))).toEqual(new Set([MetadataErrorCode.POLICY_VIOLATION]))
    expect(settled).toHaveLength(251)
  })

  test('of a hundred topics is one part', () => {
    const request = { topics: topics.slice(0, 100), validateOnly: true }
    expect(splitCreateTopics(contextOf(threeBrokers), request)).toEqual({ parts: [request], settled: [] })
  })
})
