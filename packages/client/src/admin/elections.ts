import {
  createElectLeadersRequest,
  createElectLeadersRequestTopicPartitions,
  electLeadersApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { comparePartitions, groupByTopic, type TopicPartition } from '../cluster/topic-partition.ts'
import { throwIfError } from '../errors/protocol-error.ts'
import { type AdminCallOptions, askController, errorOf, limitOf, type Outcome } from './outcome.ts'

/**
 * `preferred`: the first replica of each partition takes over, if it is in sync. `unclean`: where no eligible replica lives, any live one
 * takes over and what it lacks is lost (KIP-460).
 */
export type ElectionType = 'preferred' | 'unclean'

const ELECTION_NUMBERS: Readonly<Record<ElectionType, number>> = { preferred: 0, unclean: 1 }

/**
 * Elects leaders of some partitions, or of all. Partitions that need no election have the outcome ELECTION_NOT_NEEDED, or none where all
 * were asked for.
 */
export async function electLeaders(
  core: ClientCore,
  type: ElectionType,
  partitions: readonly TopicPartition[] | null,
  options: AdminCallOptions,
): Promise<Outcome<TopicPartition>[]> {
  const timeoutMs = limitOf(core, options)
  const message = createElectLeadersRequest({
    electionType: ELECTION_NUMBERS[type],
    timeoutMs: Math.min(timeoutMs, core.options.requestTimeoutMs),
    topicPartitions:
      partitions === null
        ? null
        : [...groupByTopic(partitions)].map(([topic, numbers]) =>
            createElectLeadersRequestTopicPartitions({ topic, partitions: [...numbers] }),
          ),
  })
  const response = await askController(
    core,
    'electing leaders',
    electLeadersApi,
    message,
    timeoutMs,
    ({ errorCode, replicaElectionResults }) => [
      errorCode,
      ...replicaElectionResults.flatMap(({ partitionResult }) => partitionResult.map((result) => result.errorCode)),
    ],
    // Version 0 knows no kinds: it would hold a preferred election.
    type === 'preferred' ? {} : { minVersion: 1 },
  )
  throwIfError(response.errorCode, { subject: 'electing leaders' })
  return response.replicaElectionResults
    .flatMap(({ topic, partitionResult }) =>
      partitionResult.map(({ partitionId: partition, errorCode, errorMessage }) => ({
        topic,
        partition,
        error: errorOf(errorCode, { topic, partition, message: errorMessage }),
      })),
    )
    .sort(comparePartitions)
}
