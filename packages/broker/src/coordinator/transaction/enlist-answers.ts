import type { MetadataImage } from '@millrace/consensus'
import {
  type AddPartitionsToTxnResult,
  type AddPartitionsToTxnTransaction,
  createAddPartitionsToTxnPartitionResult,
  createAddPartitionsToTxnResult,
  createAddPartitionsToTxnTopicResult,
  ErrorCode,
} from '@millrace/protocol'
import { GROUP_METADATA_TOPIC, isInternalTopic } from '../../metadata/internal-topics.ts'

/** The same error, or none, for every partition that was to be added. */
export function resultOf(transaction: AddPartitionsToTxnTransaction, errorCode: number): AddPartitionsToTxnResult {
  return answerPerPartition(transaction, () => errorCode)
}

export function answerPerPartition(
  { transactionalId, topics }: AddPartitionsToTxnTransaction,
  codeOf: (topic: string, partition: number) => number,
): AddPartitionsToTxnResult {
  return createAddPartitionsToTxnResult({
    transactionalId,
    topicResults: topics.map(({ name, partitions }) =>
      createAddPartitionsToTxnTopicResult({
        name,
        resultsByPartition: partitions.map((partitionIndex) =>
          createAddPartitionsToTxnPartitionResult({ partitionIndex, partitionErrorCode: codeOf(name, partitionIndex) }),
        ),
      }),
    ),
  })
}

/**
 * The answer where a partition cannot be added, whatever the transaction: then none is. Null: all can. Topics of the broker's own have no
 * transactions of clients; only offsets of groups, which have a request of their own, and brokers ask for that partition. `mayWrite`
 * says of which topics the client may write to; left out, of all.
 */
export function refusedPartitions(
  transaction: AddPartitionsToTxnTransaction,
  image: MetadataImage,
  isOfBroker: boolean,
  mayWrite: (topic: string) => boolean = () => true,
): AddPartitionsToTxnResult | null {
  let isRefused = false
  const codeOf = (topic: string, partition: number): number => {
    const isForbidden = isInternalTopic(topic) && !(isOfBroker && topic === GROUP_METADATA_TOPIC)
    if (isForbidden || !mayWrite(topic)) return ErrorCode.TOPIC_AUTHORIZATION_FAILED
    return image.topics.get(topic)?.partitions[partition] === undefined
      ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      : ErrorCode.NONE
  }
  const answer = answerPerPartition(transaction, (topic, partition) => {
    const code = codeOf(topic, partition)
    if (code !== ErrorCode.NONE) isRefused = true
    return code === ErrorCode.NONE ? ErrorCode.OPERATION_NOT_ATTEMPTED : code
  })
  return isRefused ? answer : null
}
