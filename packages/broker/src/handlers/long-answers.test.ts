import {
  type ApiDefinition,
  alterConfigsApi,
  createAlterConfigsResponse,
  createAlterConfigsResponseAlterConfigsResourceResponse,
  createCreatableTopicConfigs,
  createCreatableTopicResult,
  createCreateTopicsResponse,
  createDescribeConfigsResourceResult,
  createDescribeConfigsResponse,
  createDescribeConfigsResult,
  createDescribedGroupMember,
  createDescribeGroupsResponse,
  createDescribeGroupsResponseDescribedGroup,
  createDescribeProducersResponse,
  createFindCoordinatorResponse,
  createFindCoordinatorResponseCoordinator,
  createJoinGroupResponse,
  createJoinGroupResponseMember,
  createListedGroup,
  createListGroupsResponse,
  createListOffsetsPartitionResponse,
  createListOffsetsResponse,
  createListOffsetsTopicResponse,
  createMetadataResponse,
  createMetadataResponseBroker,
  createMetadataResponsePartition,
  createMetadataResponseTopic,
  createOffsetFetchResponse,
  createOffsetFetchResponseGroup,
  createOffsetFetchResponsePartition,
  createOffsetFetchResponsePartitions,
  createOffsetFetchResponseTopic,
  createOffsetFetchResponseTopics,
  createPartitionResponse,
  createProducerState,
  createTopicResponse,
  createTopicsApi,
  describeConfigsApi,
  describeGroupsApi,
  describeProducersApi,
  findCoordinatorApi,
  joinGroupApi,
  listGroupsApi,
  listOffsetsApi,
  metadataApi,
  offsetFetchApi,
  Writer,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { encodeInSlices, LongAnswers, longListsOf } from './long-answers.ts'
import { SLICE_ELEMENTS } from './slices.ts'

const COUNT = 2100
const times = <Item>(count: number, make: (n: number) => Item): Item[] =>
  Array.from({ length: count }, (_, n) => make(n))

/** Answers of {@link COUNT} items, by API and version. */
const answers: [ApiDefinition<never, never>, (version: number) => object][] = [
  [
    metadataApi as never,
    () =>
      createMetadataResponse({
        brokers: [createMetadataResponseBroker({ nodeId: 1, host: 'a-host', port: 9092 })],
        clusterId: 'cluster',
        topics: times(COUNT, (n) =>
          createMetadataResponseTopic({
            name: `topic-${n}`,
            partitions: times(n % 3, (partitionIndex) =>
              createMetadataResponsePartition({ partitionIndex, replicaNodes: [1], isrNodes: [1] }),
            ),
          }),
        ),
      }),
  ],
  [
    listOffsetsApi as never,
    () =>
      createListOffsetsResponse({
        topics: times(COUNT, (n) =>
          createListOffsetsTopicResponse({
            name: `topic-${n}`,
            partitions: [createListOffsetsPartitionResponse({ partitionIndex: n, offset: 1 })],
          }),
        ),
      }),
  ],
  [
    offsetFetchApi as never,
    (version) =>
      version >= 8
        ? createOffsetFetchResponse({
            groups: times(COUNT, (n) =>
              createOffsetFetchResponseGroup({
                groupId: `group-${n}`,
                topics: [
                  createOffsetFetchResponseTopics({
                    name: 't',
                    partitions: [createOffsetFetchResponsePartitions({ committedOffset: n })],
                  }),
                ],
              }),
            ),
          })
        : createOffsetFetchResponse({
            topics: times(COUNT, (n) =>
              createOffsetFetchResponseTopic({
                name: `topic-${n}`,
                partitions: [createOffsetFetchResponsePartition({ committedOffset: n })],
              }),
            ),
          }),
  ],
  [
    findCoordinatorApi as never,
    (version) =>
      createFindCoordinatorResponse(
        version >= 4
          ? { coordinators: times(COUNT, (n) => createFindCoordinatorResponseCoordinator({ key: `${n}` })) }
          : {},
      ),
  ],
  [
    describeGroupsApi as never,
    () =>
      createDescribeGroupsResponse({
        groups: times(COUNT, (n) =>
          createDescribeGroupsResponseDescribedGroup({
            groupId: `group-${n}`,
            members: times(n % 4, () =>
              createDescribedGroupMember({ memberId: 'm', memberMetadata: Buffer.from('x') }),
            ),
          }),
        ),
      }),
  ],
  [
    joinGroupApi as never,
    () =>
      createJoinGroupResponse({
        protocolType: 'consumer',
        protocolName: 'range',
        leader: 'm0',
        memberId: 'm0',
        members: times(COUNT, (n) =>
          createJoinGroupResponseMember({ memberId: `m${n}`, metadata: Buffer.from('metadata') }),
        ),
      }),
  ],
  [
    listGroupsApi as never,
    () => createListGroupsResponse({ groups: times(COUNT, (n) => createListedGroup({ groupId: `group-${n}` })) }),
  ],
  [
    describeConfigsApi as never,
    () =>
      createDescribeConfigsResponse({
        results: times(COUNT, (n) =>
          createDescribeConfigsResult({
            resourceName: `${n}`,
            configs: times(n % 3, (m) => createDescribeConfigsResourceResult({ name: `${m}`, value: 'v' })),
          }),
        ),
      }),
  ],
  [
    createTopicsApi as never,
    (version) =>
      createCreateTopicsResponse({
        topics: times(COUNT, (n) =>
          createCreatableTopicResult({
            name: `${n}`,
            configs: version >= 5 ? [createCreatableTopicConfigs({ name: 'c', value: 'v' })] : [],
          }),
        ),
      }),
  ],
  [
    alterConfigsApi as never,
    () =>
      createAlterConfigsResponse({
        responses: times(COUNT, (n) =>
          createAlterConfigsResponseAlterConfigsResourceResponse({ resourceName: `${n}` }),
        ),
      }),
  ],
]

const cases = answers.flatMap(([api, responseOf]) => {
  return times(api.maxVersion - api.minVersion + 1, (n) => {
    const version = api.minVersion + n
    return { name: api.name, version, api, response: responseOf(version) }
  })
})

/** A response in slices, and how many turns that took. */
async function slicedAnswer(api: ApiDefinition<never, never>, version: number, response: object) {
  let turns = 0
  let pieceBytes = 0
  const pieces = await encodeInSlices(response, longListsOf(api.key, version, response)!, {
    encode: (writer, part) => api.encodeResponse(writer, part as never, version),
    nextTurn: async () => {
      turns++
    },
    isGone: () => false,
    onPiece: (sizeBytes) => {
      pieceBytes += sizeBytes
    },
  })
  return { bytes: Buffer.concat(pieces!), turns, pieceBytes }
}

function wholeAnswer(api: ApiDefinition<never, never>, version: number, response: object): Buffer {
  const whole = new Writer()
  api.encodeResponse(whole, response as never, version)
  return whole.toBuffer()
}

const partitions = (count: number) =>
  times(count, (partitionIndex) =>
    createMetadataResponsePartition({ partitionIndex, replicaNodes: [1, 2], isrNodes: [1] }),
  )
const topicsOf = (...counts: number[]) =>
  createMetadataResponse({
    topics: counts.map((count, n) => createMetadataResponseTopic({ name: `t${n}`, partitions: partitions(count) })),
  })

describe('a long answer', () => {
  test.each(cases)('of $name version $version is the same in slices', async ({ api, version, response }) => {
    if (api.key === findCoordinatorApi.key && version < 4) {
      expect(longListsOf(api.key, version, response)).toBeNull()
      return
    }
    const { bytes, turns, pieceBytes } = await slicedAnswer(api, version, response)
    expect(bytes.equals(wholeAnswer(api, version, response))).toBe(true)
    expect(turns).toBeGreaterThanOrEqual(Math.floor(COUNT / SLICE_ELEMENTS))
    expect(pieceBytes).toBeGreaterThan(0.9 * bytes.length)
  })

  test.each(times(14, (version) => version))('of one long item is cut within it (Metadata %i)', async (version) => {
    const api = metadataApi as never
    for (const counts of [[5000], [3, 5000, 0, 4000, 1]]) {
      const response = topicsOf(...counts)
      const { bytes, turns } = await slicedAnswer(api, version, response)
      expect(bytes.equals(wholeAnswer(api, version, response))).toBe(true)
      expect(turns).toBeGreaterThanOrEqual(10)
    }
  })

  test('of the offsets of one group is cut in their topics, and in the partitions of one', async () => {
    const topics = [3000, 1, 2, 2500].map((count, n) =>
      createOffsetFetchResponseTopics({
        name: `t${n}`,
        partitions: times(count, (partitionIndex) => createOffsetFetchResponsePartitions({ partitionIndex })),
      }),
    )
    const groups = ['few', 'many', 'none'].map((groupId) =>
      createOffsetFetchResponseGroup({ groupId, topics: groupId === 'many' ? topics : [] }),
    )
    const response = createOffsetFetchResponse({ groups })
    for (const version of [8, 9, 10]) {
      const { bytes, turns } = await slicedAnswer(offsetFetchApi as never, version, response)
      expect(bytes.equals(wholeAnswer(offsetFetchApi as never, version, response))).toBe(true)
      expect(turns).toBeGreaterThanOrEqual(11)
    }
  })

  test('of the producers of one partition is cut in them', async () => {
    const partition = (partitionIndex: number, count: number) =>
      createPartitionResponse({
        partitionIndex,
        activeProducers: times(count, (producerId) => createProducerState({ producerId, lastSequence: 3 })),
      })
    const topics = [
      createTopicResponse({ name: 'few', partitions: [partition(0, 3), partition(1, 0)] }),
      createTopicResponse({ name: 'many', partitions: [partition(0, 2), partition(1, 5000), partition(2, 1)] }),
    ]
    const response = createDescribeProducersResponse({ topics })
    const { bytes, turns } = await slicedAnswer(describeProducersApi as never, 0, response)
    expect(bytes.equals(wholeAnswer(describeProducersApi as never, 0, response))).toBe(true)
    expect(turns).toBeGreaterThanOrEqual(11)
  })

  test('ends when who asked for it has gone', async () => {
    let encoded = 0
    const pieces = await encodeInSlices(topicsOf(5000), ['topics', 'partitions'], {
      encode(writer, part) {
        encoded++
        metadataApi.encodeResponse(writer, part as never, 12)
      },
      nextTurn: () => Promise.resolve(),
      isGone: () => encoded > 4,
      onPiece: () => undefined,
    })
    expect([pieces, encoded]).toEqual([null, 5])
  })

  test('is made when the one before it is, or has failed, or is not wanted any more', async () => {
    const answers = new LongAnswers()
    const order: string[] = []
    const make = (name: string, options: { fails?: boolean; isGone?: boolean } = {}) =>
      answers.encode(topicsOf(2500), ['topics', 'partitions'], {
        encode(writer, part) {
          if (options.fails === true) throw new Error('cannot be encoded')
          if (order.at(-1) !== name) order.push(name)
          metadataApi.encodeResponse(writer, part as never, 12)
        },
        nextTurn: () => Promise.resolve(),
        isGone: () => options.isGone === true,
        onPiece: () => undefined,
      })
    const [first, failed, gone, last] = [
      make('first'),
      make('failed', { fails: true }),
      make('gone', { isGone: true }),
      make('last'),
    ]
    await expect(failed).rejects.toThrow('cannot be encoded')
    expect(await gone).toBeNull()
    expect(Buffer.concat((await last)!).equals(Buffer.concat((await first)!))).toBe(true)
    expect(order).toEqual(['first', 'last'])
  })

  test('is one of many elements', () => {
    const isLong = (...counts: number[]) => longListsOf(metadataApi.key, 12, topicsOf(...counts)) !== null
    expect([isLong(10, 10), isLong(1900), isLong(1000, 1100), isLong(2100)]).toEqual([false, false, true, true])
  })
})
