import { numberKey } from '@millrace/base'
import {
  createDescribeLogDirsPartition,
  createDescribeLogDirsResponse,
  createDescribeLogDirsResult,
  createDescribeLogDirsTopic,
  type DescribeLogDirsRequest,
  type DescribeLogDirsResponse,
  type DescribeLogDirsResult,
  type DescribeLogDirsTopic,
  describeLogDirsApi,
  ErrorCode,
} from '@millrace/protocol'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import { mapInSlices, type NextTurn, whenMapped } from './slices.ts'

/** A log directory as the storage knows it. */
export interface LogDirDescription {
  /** Absolute path. */
  readonly path: string
  /** NONE, or KAFKA_STORAGE_ERROR while the directory is offline; then the rest says nothing. */
  readonly error: number
  readonly totalBytes: number
  readonly usableBytes: number
  readonly replicas: readonly {
    readonly topic: string
    readonly partition: number
    readonly sizeBytes: number
    /** How far the log end is behind the high watermark; of a future log, behind that of the current one. -1 if that is not known. */
    readonly offsetLag: number
    /** It is being filled from the current log, in another directory. */
    readonly isFuture: boolean
  }[]
}

/** DescribeLogDirs 1–5: one row per data directory, with the asked partitions that lie in it; a null list asks for all. */
export function describeLogDirsHandler(deps: {
  logDirs(): readonly LogDirDescription[]
  readonly nextTurn: NextTurn
}): ApiHandler<DescribeLogDirsRequest, DescribeLogDirsResponse> {
  return defineHandler(describeLogDirsApi, (request, context) => {
    const asked = askedPartitions(request)
    const results: DescribeLogDirsResult[] = []
    const replicas: FoundReplica[] = []
    for (const directory of deps.logDirs()) {
      const { path: logDir, error: errorCode, totalBytes, usableBytes } = directory
      const isOnline = errorCode === ErrorCode.NONE
      const result = createDescribeLogDirsResult(isOnline ? { logDir, totalBytes, usableBytes } : { errorCode, logDir })
      results.push(result)
      if (!isOnline) continue
      const topics = new Map<string, DescribeLogDirsTopic>()
      for (const replica of directory.replicas) {
        const isAsked = asked === null || asked.get(replica.topic)?.has(numberKey(replica.partition)) === true
        if (isAsked) replicas.push({ ...replica, result, topics })
      }
    }
    const placed = mapInSlices(replicas, deps.nextTurn, place, context)
    return whenMapped(placed, () => createDescribeLogDirsResponse({ results }))
  })
}

type ReplicaDescription = LogDirDescription['replicas'][number]

/** A partition that was asked for, and where in the answer it belongs. */
interface FoundReplica extends ReplicaDescription {
  readonly result: DescribeLogDirsResult
  /** Of that result, by name. */
  readonly topics: Map<string, DescribeLogDirsTopic>
}

function place({ result, topics, topic: name, partition, sizeBytes, offsetLag, isFuture }: FoundReplica): void {
  let topic = topics.get(name)
  if (topic === undefined) {
    topic = createDescribeLogDirsTopic({ name })
    topics.set(name, topic)
    result.topics.push(topic)
  }
  topic.partitions.push(
    createDescribeLogDirsPartition({
      partitionIndex: partition,
      partitionSize: sizeBytes,
      offsetLag,
      isFutureKey: isFuture,
    }),
  )
}

/** Keys of partition numbers by topic; null: all. A topic may be named more than once. */
function askedPartitions(request: DescribeLogDirsRequest): ReadonlyMap<string, ReadonlySet<number>> | null {
  if (request.topics === null) return null
  const asked = new Map<string, Set<number>>()
  for (const { topic, partitions } of request.topics) {
    const numbers = asked.get(topic) ?? new Set()
    for (const partition of partitions) numbers.add(numberKey(partition))
    asked.set(topic, numbers)
  }
  return asked
}
