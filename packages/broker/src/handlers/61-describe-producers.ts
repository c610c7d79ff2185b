import { type MetadataImage, topicNameComplaint } from '@millrace/consensus'
import {
  createDescribeProducersResponse,
  createPartitionResponse,
  createProducerState,
  createTopicResponse,
  type DescribeProducersRequest,
  type DescribeProducersResponse,
  describeProducersApi,
  ErrorCode,
  errorInfo,
  type PartitionResponse,
} from '@millrace/protocol'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import { mapInSlices, type NextTurn, whenMapped } from './slices.ts'

/** What a partition remembers of a producer. -1 stands for none. */
export interface ActiveProducer {
  readonly producerId: number
  readonly producerEpoch: number
  readonly lastSequence: number
  readonly lastTimestamp: number
  readonly coordinatorEpoch: number
  /** First offset of the open transaction. */
  readonly currentTxnStartOffset: number
}

export interface DescribeProducersDeps {
  image(): MetadataImage
  /** The producers that the partition's leader knows, or the error if this node does not lead it. */
  producersOf(topic: string, partition: number): readonly ActiveProducer[] | { readonly errorCode: number }
  readonly nextTurn: NextTurn
}

/** A partition may have some hundred producers. */
const SLICE_PARTITIONS = 10

/** DescribeProducers 0: producers active on partitions that this node leads (KIP-664). A partition that is named again is answered once. */
export function describeProducersHandler(
  deps: DescribeProducersDeps,
): ApiHandler<DescribeProducersRequest, DescribeProducersResponse> {
  return defineHandler(describeProducersApi, (request, context) => {
    const wanted = new Map<string, Set<number>>()
    for (const { name, partitionIndexes } of request.topics) {
      const indexes = wanted.get(name) ?? new Set()
      for (const partition of partitionIndexes) indexes.add(partition)
      wanted.set(name, indexes)
    }
    const topics = Array.from(wanted, ([name]) => createTopicResponse({ name }))
    const places = topics.flatMap((topic) => {
      const refusal = topicError(deps, topic.name)
      return Array.from(wanted.get(topic.name)!, (partitionIndex) => ({ topic, partitionIndex, refusal }))
    })
    const described = mapInSlices(
      places,
      deps.nextTurn,
      ({ topic, partitionIndex, refusal }) => {
        const partition = describePartition(deps, topic.name, partitionIndex, refusal)
        topic.partitions.push(partition)
        return partition
      },
      context,
      SLICE_PARTITIONS,
      ({ activeProducers }) => 1 + activeProducers.length,
    )
    return whenMapped(described, () => createDescribeProducersResponse({ topics }))
  })
}

interface Refusal {
  readonly errorCode: number
  readonly errorMessage: string | null
}

function topicError(deps: DescribeProducersDeps, name: string): Refusal | null {
  const complaint = topicNameComplaint(name)
  if (complaint !== null) return { errorCode: ErrorCode.INVALID_TOPIC_EXCEPTION, errorMessage: complaint }
  if (deps.image().topics.has(name)) return null
  const errorCode = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  return { errorCode, errorMessage: errorInfo(errorCode).description }
}

function describePartition(
  deps: DescribeProducersDeps,
  topic: string,
  partitionIndex: number,
  refusal: Refusal | null,
): PartitionResponse {
  if (refusal !== null) return createPartitionResponse({ partitionIndex, ...refusal })
  const producers = deps.producersOf(topic, partitionIndex)
  if ('errorCode' in producers) {
    return createPartitionResponse({ partitionIndex, errorCode: producers.errorCode, errorMessage: null })
  }
  return createPartitionResponse({
    partitionIndex,
    errorMessage: null,
    activeProducers: producers.map((producer) => createProducerState(producer)),
  })
}
