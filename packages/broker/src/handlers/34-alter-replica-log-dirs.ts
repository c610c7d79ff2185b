import {
  type AlterReplicaLogDirsRequest,
  type AlterReplicaLogDirsResponse,
  type AlterReplicaLogDirTopicResult,
  alterReplicaLogDirsApi,
  createAlterReplicaLogDirPartitionResult,
  createAlterReplicaLogDirsResponse,
  createAlterReplicaLogDirTopicResult,
} from '@millrace/protocol'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** Replicas whose moves are asked for at a time: making a future log costs some calls of the file system. */
const AT_ONCE = 20

/**
 * AlterReplicaLogDirs 1–2: moves replicas of this broker to other log directories, given by their paths, or back (KIP-113). Answered once
 * the moves are begun, or given up; DescribeLogDirs tells how far they are. Of a replica that is named twice the last directory counts.
 */
export function alterReplicaLogDirsHandler(deps: {
  /** Resolves to an error code. */
  move(topic: string, partition: number, directory: string): Promise<number>
}): ApiHandler<AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse> {
  return defineHandler(alterReplicaLogDirsApi, async (request) => {
    const wanted = [...wantedMoves(request).values()]
    const results = new Map<string, AlterReplicaLogDirTopicResult>()
    for (let from = 0; from < wanted.length; from += AT_ONCE) {
      const some = wanted.slice(from, from + AT_ONCE)
      const codes = await Promise.all(some.map(({ topic, partition, path }) => deps.move(topic, partition, path)))
      for (const [slot, { topic, partition: partitionIndex }] of some.entries()) {
        let result = results.get(topic)
        if (result === undefined) {
          result = createAlterReplicaLogDirTopicResult({ topicName: topic })
          results.set(topic, result)
        }
        result.partitions.push(createAlterReplicaLogDirPartitionResult({ partitionIndex, errorCode: codes[slot]! }))
      }
    }
    return createAlterReplicaLogDirsResponse({ results: [...results.values()] })
  })
}

interface WantedMove {
  readonly topic: string
  readonly partition: number
  readonly path: string
}

function wantedMoves({ dirs }: AlterReplicaLogDirsRequest): Map<string, WantedMove> {
  const wanted = new Map<string, WantedMove>()
  for (const { path, topics } of dirs) {
    for (const { name: topic, partitions } of topics) {
      for (const partition of partitions) wanted.set(`${topic}-${partition}`, { topic, partition, path })
    }
  }
  return wanted
}
