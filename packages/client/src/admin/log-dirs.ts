import {
  alterReplicaLogDirsApi,
  createAlterReplicaLogDir,
  createAlterReplicaLogDirsRequest,
  createAlterReplicaLogDirTopic,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { groupByTopic, type TopicPartition } from '../cluster/topic-partition.ts'
import { type AdminCallOptions, errorOf, limitOf, type Outcome } from './outcome.ts'

/** Where a broker is to keep its replica of a partition. */
export interface LogDirMove extends TopicPartition {
  nodeId: number
  /** Path of a log directory of that broker, as {@link describeLogDirs} names it. */
  logDir: string
}

/**
 * Begins moves of replicas between log directories of their brokers (KIP-113); to the directory where a replica is, a move of it ends. An
 * outcome says that the move is begun, not that it is done: `describeLogDirs` shows what is under way.
 */
export async function alterReplicaLogDirs(
  core: ClientCore,
  moves: readonly LogDirMove[],
  options: AdminCallOptions,
): Promise<Outcome<LogDirMove>[]> {
  const timeoutMs = limitOf(core, options)
  await core.ensureMetadata(timeoutMs)
  const byNode = Map.groupBy(moves, ({ nodeId }) => nodeId)
  const outcomes = await Promise.all([...byNode].map(([nodeId, list]) => askNode(core, nodeId, list, timeoutMs)))
  return outcomes.flat()
}

async function askNode(
  core: ClientCore,
  nodeId: number,
  moves: readonly LogDirMove[],
  timeoutMs: number,
): Promise<Outcome<LogDirMove>[]> {
  const message = createAlterReplicaLogDirsRequest({
    dirs: [...Map.groupBy(moves, ({ logDir }) => logDir)].map(([path, list]) =>
      createAlterReplicaLogDir({
        path,
        topics: [...groupByTopic(list)].map(([name, partitions]) =>
          createAlterReplicaLogDirTopic({ name, partitions }),
        ),
      }),
    ),
  })
  const codes = await core.retrying(`moving replicas of broker ${nodeId}`, timeoutMs, async (leftMs) => {
    const limits = { timeoutMs: Math.min(leftMs, core.options.requestTimeoutMs) }
    const { response } = await core.requestNode(nodeId, 'main', alterReplicaLogDirsApi, message, limits)
    return new Map(
      response.results.flatMap(({ topicName, partitions }) =>
        partitions.map(({ partitionIndex, errorCode }) => [`${topicName}/${partitionIndex}`, errorCode] as const),
      ),
    )
  })
  return moves.map((move) => {
    const { topic, partition } = move
    const errorCode = codes.get(`${topic}/${partition}`) ?? UNKNOWN
    return { ...move, error: errorOf(errorCode, { topic, partition, subject: `broker ${nodeId}` }) }
  })
}

/** Of what the broker did not answer for. */
const UNKNOWN = -1
