import { numberKey } from '@millrace/base'
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
import { type NextTurn, turnFor, watch } from './slices.ts'

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
  /** The producers that the partition's leader knows, one after the other, or the error if this node does not lead it. */
  producersOf(topic: string, partition: number): Iterable<ActiveProducer> | { readonly errorCode: number }
  readonly nextTurn: NextTurn
}

/** Idempotent producers are remembered for a day: a partition may have some hundred thousand. */
const SLICE_PRODUCERS = 1_000

/**
 * DescribeProducers 0: producers active on partitions that this node leads (KIP-664), the idempotent ones among them. A partition that is
 * named again is answered once. Many producers take several turns, within one partition, too.
 */
export function describeProducersHandler(
  deps: DescribeProducersDeps,
): ApiHandler<DescribeProducersRequest, DescribeProducersResponse> {
  return defineHandler(describeProducersApi, async (request, context) => {
    const wanted = new Map<string, Set<number>>()
    for (const { name, partitionIndexes } of request.topics) {
      const indexes = wanted.get(name) ?? new Set()
      for (const partition of partitionIndexes) indexes.add(numberKey(partition))
      wanted.set(name, indexes)
    }
    const topics = Array.from(wanted, ([name]) => createTopicResponse({ name }))
    const places = topics.flatMap((topic) => {
      const refusal = topicError(deps, topic.name)
      return Array.from(wanted.get(topic.name)!, (key) => ({ topic, partitionIndex: numberKey(key), refusal }))
    })
    const isGone = watch(context)
    let left = SLICE_PRODUCERS
    for (const { topic, partitionIndex, refusal } of places) {
      const partition = createPartitionResponse({ partitionIndex, errorMessage: null })
      topic.partitions.push(partition)
      for (const producer of describePartition(deps, topic.name, partition, refusal)) {
        if (producer !== null) partition.activeProducers.push(createProducerState(producer))
        if (--left > 0) continue
        await turnFor(context, deps.nextTurn)
        if (isGone()) return createDescribeProducersResponse({})
        context.growAnswer(SLICE_PRODUCERS)
        left = SLICE_PRODUCERS
      }
    }
    return createDescribeProducersResponse({ topics })
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

/** The producers of a partition, behind a null for the partition itself; of one that is refused only that, with its error set. */
function* describePartition(
  deps: DescribeProducersDeps,
  topic: string,
  partition: PartitionResponse,
  refusal: Refusal | null,
): Generator<ActiveProducer | null> {
  yield null
  if (refusal !== null) {
    Object.assign(partition, refusal)
    return
  }
  const producers = deps.producersOf(topic, partition.partitionIndex)
  if ('errorCode' in producers) partition.errorCode = producers.errorCode
  else yield* producers
}
