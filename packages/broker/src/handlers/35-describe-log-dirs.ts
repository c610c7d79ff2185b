import {
  createDescribeLogDirsPartition,
  createDescribeLogDirsResponse,
  createDescribeLogDirsResult,
  createDescribeLogDirsTopic,
  type DescribeLogDirsRequest,
  type DescribeLogDirsResponse,
  type DescribeLogDirsTopic,
  describeLogDirsApi,
  ErrorCode,
} from '@millrace/protocol'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

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
    /** How far the log end is behind the high watermark; -1 if that is not known. */
    readonly offsetLag: number
  }[]
}

/** DescribeLogDirs 1–5: one row per data directory, with the asked partitions that lie in it; a null list asks for all. */
export function describeLogDirsHandler(deps: {
  logDirs(): readonly LogDirDescription[]
}): ApiHandler<DescribeLogDirsRequest, DescribeLogDirsResponse> {
  return defineHandler(describeLogDirsApi, (request) => {
    const asked = askedPartitions(request)
    const results = deps.logDirs().map((directory) => {
      if (directory.error !== ErrorCode.NONE) {
        return createDescribeLogDirsResult({ errorCode: directory.error, logDir: directory.path })
      }
      return createDescribeLogDirsResult({
        logDir: directory.path,
        topics: topicsIn(directory, asked),
        totalBytes: directory.totalBytes,
        usableBytes: directory.usableBytes,
      })
    })
    return createDescribeLogDirsResponse({ results })
  })
}

/** Partition numbers by topic; null: all. A topic may be named more than once. */
function askedPartitions(request: DescribeLogDirsRequest): ReadonlyMap<string, ReadonlySet<number>> | null {
  if (request.topics === null) return null
  const asked = new Map<string, Set<number>>()
  for (const { topic, partitions } of request.topics) {
    const numbers = asked.get(topic) ?? new Set()
    for (const partition of partitions) numbers.add(partition)
    asked.set(topic, numbers)
  }
  return asked
}

function topicsIn(
  directory: LogDirDescription,
  asked: ReadonlyMap<string, ReadonlySet<number>> | null,
): DescribeLogDirsTopic[] {
  const topics = new Map<string, DescribeLogDirsTopic>()
  for (const { topic: name, partition, sizeBytes, offsetLag } of directory.replicas) {
    if (asked !== null && asked.get(name)?.has(partition) !== true) continue
    let topic = topics.get(name)
    if (topic === undefined) {
      topic = createDescribeLogDirsTopic({ name })
      topics.set(name, topic)
    }
    topic.partitions.push(
      createDescribeLogDirsPartition({ partitionIndex: partition, partitionSize: sizeBytes, offsetLag }),
    )
  }
  return [...topics.values()]
}
