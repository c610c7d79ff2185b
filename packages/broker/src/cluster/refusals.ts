import {
  type AlterConfigsResult,
  type AlterReassignmentsRequest,
  type AlterScramCredentialsRequest,
  type AlterScramResult,
  type ApiError,
  ControllerRequestError,
  ControllerUnavailableError,
  type CreatePartitionsRequest,
  type CreatePartitionsResult,
  type CreateTopicResult,
  type CreateTopicsRequest,
  type DeleteTopicResult,
  DirectoryId,
  type ReassignmentTopicResult,
  scramRefusal,
  type TopicToDelete,
} from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'

/**
 * What clients are told of a request that no controller answered, or that one refused as a whole; null: not such an error. Kafka's brokers
 * answer REQUEST_TIMED_OUT when no controller can be found, which clients try again.
 */
export function refusalOf(error: unknown): ApiError | null {
  if (error instanceof ControllerUnavailableError) return { code: ErrorCode.REQUEST_TIMED_OUT, message: error.message }
  if (error instanceof ControllerRequestError) return { code: error.errorCode, message: error.message }
  return null
}

/** The answer of which every topic bears the refusal; likewise below. */
export function refusedCreations(request: CreateTopicsRequest, refusal: ApiError): CreateTopicResult[] {
  return request.topics.map(({ name }) => ({
    name,
    topicId: DirectoryId.MIGRATING,
    errorCode: refusal.code,
    errorMessage: refusal.message,
    numPartitions: -1,
    replicationFactor: -1,
    configs: [],
  }))
}

export function refusedDeletions(topics: readonly TopicToDelete[], refusal: ApiError): DeleteTopicResult[] {
  return topics.map(({ name, topicId }) => ({
    name,
    topicId,
    errorCode: refusal.code,
    errorMessage: refusal.message,
  }))
}

export function refusedPartitions(request: CreatePartitionsRequest, refusal: ApiError): CreatePartitionsResult[] {
  const names = new Set(request.topics.map(({ name }) => name))
  return [...names].map((name) => ({ name, errorCode: refusal.code, errorMessage: refusal.message }))
}

export function refusedAlterations(
  resources: readonly { readonly resourceType: number; readonly resourceName: string }[],
  refusal: ApiError,
): AlterConfigsResult[] {
  return resources.map(({ resourceType, resourceName }) => ({
    resourceType,
    resourceName,
    errorCode: refusal.code,
    errorMessage: refusal.message,
  }))
}

export function refusedReassignments(request: AlterReassignmentsRequest, refusal: ApiError): ReassignmentTopicResult[] {
  return request.topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map(({ partitionIndex }) => ({
      partitionIndex,
      errorCode: refusal.code,
      errorMessage: refusal.message,
    })),
  }))
}

/** Each user once, however often it is named. */
export function refusedScramCredentials(
  { deletions, upsertions }: AlterScramCredentialsRequest,
  refusal: ApiError,
): AlterScramResult[] {
  const users = new Set([...deletions, ...upsertions].map(({ name }) => name))
  return [...users].map((user) => scramRefusal(user, refusal))
}
