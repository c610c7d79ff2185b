import {
  createListOffsetsPartition,
  createListOffsetsRequest,
  createListOffsetsTopic,
  ErrorCode,
  errorInfo,
  type ListOffsetsResponse,
  listOffsetsApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { partitionKey, type TopicPartition } from '../cluster/topic-partition.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { isRetriable } from '../errors/retriable.ts'

/** What to look for: an end of the log, or the first record at or after a time. */
export type OffsetSpec =
  | 'earliest'
  | 'latest'
  | 'max-timestamp'
  | 'earliest-local'
  | 'latest-tiered'
  | { timestamp: number }

export type IsolationLevel = 'read_uncommitted' | 'read_committed'

/** The answer for one partition. */
export interface FoundOffset extends TopicPartition {
  /** -1 if there is no record at or after the time. */
  offset: number
  /** Of the record found; -1 for the ends of the log. */
  timestamp: number
  /** -1 if the broker does not tell. */
  leaderEpoch: number
  errorCode: number
}

/** Numbers that stand for special places, and the version that brought each. */
const SPECIAL = {
  latest: { timestamp: -1, minVersion: 1 },
  earliest: { timestamp: -2, minVersion: 1 },
  'max-timestamp': { timestamp: -3, minVersion: 7 },
  'earliest-local': { timestamp: -4, minVersion: 8 },
  'latest-tiered': { timestamp: -5, minVersion: 9 },
} as const

/** A spec for each partition. */
export interface OffsetQuestion extends TopicPartition {
  spec: OffsetSpec
}

/** Kafka's number for an isolation level. */
export function isolationNumber(level: IsolationLevel): number {
  return level === 'read_committed' ? 1 : 0
}

/**
 * One round of ListOffsets: one request per leader. Partitions without a leader answer LEADER_NOT_AVAILABLE, those whose broker
 * failed NETWORK_EXCEPTION, both retriable; errors that mean stale metadata ask for fresh metadata. Never rejects for a
 * partition; rejects with `UnsupportedVersionError` when a broker does not know the kind of question.
 */
export async function askOffsets(
  core: ClientCore,
  questions: readonly OffsetQuestion[],
  isolationLevel: IsolationLevel,
  timeoutMs: number,
): Promise<FoundOffset[]> {
  const byLeader = Map.groupBy(
    questions,
    ({ topic, partition }) => core.metadata.partition(topic, partition)?.leaderId ?? -1,
  )
  const unasked = (byLeader.get(-1) ?? []).map((question) => failed(question, ErrorCode.LEADER_NOT_AVAILABLE))
  byLeader.delete(-1)
  const rounds = [...byLeader].map(([leaderId, list]) => askLeader(core, leaderId, list, isolationLevel, timeoutMs))
  const found = unasked.concat(...(await Promise.all(rounds)))
  if (found.some(({ errorCode }) => errorInfo(errorCode).refreshMetadata)) core.metadata.requestUpdate()
  return found
}

/**
 * Asks until every partition is answered. Rejects with {@link ProtocolError} for the first that fails for good, `TimeoutError` at the
 * limit. The topics must be in metadata's interest.
 */
export async function lookUpOffsets(
  core: ClientCore,
  questions: readonly OffsetQuestion[],
  isolationLevel: IsolationLevel,
  timeoutMs: number,
): Promise<FoundOffset[]> {
  let done: FoundOffset[] = []
  let open = [...questions]
  await core.retrying('looking up offsets', timeoutMs, async (leftMs) => {
    const round = await askOffsets(core, open, isolationLevel, Math.min(leftMs, core.options.requestTimeoutMs))
    done = done.concat(round.filter(({ errorCode }) => errorCode === ErrorCode.NONE))
    const answered = new Set(done.map(({ topic, partition }) => partitionKey(topic, partition)))
    open = open.filter(({ topic, partition }) => !answered.has(partitionKey(topic, partition)))
    const failure =
      round.find(({ errorCode }) => errorCode !== 0 && !errorInfo(errorCode).retriable) ??
      round.find(({ errorCode }) => errorCode !== 0)
    if (failure !== undefined) throw new ProtocolError(failure.errorCode, failure)
  })
  return done
}

async function askLeader(
  core: ClientCore,
  leaderId: number,
  questions: readonly OffsetQuestion[],
  isolationLevel: IsolationLevel,
  timeoutMs: number,
): Promise<FoundOffset[]> {
  const minVersion = questions.reduce(
    (version, { spec }) => Math.max(version, typeof spec === 'string' ? SPECIAL[spec].minVersion : 1),
    1,
  )
  const message = request(core, questions, isolationLevel, timeoutMs)
  try {
    const { response } = await core.requestNode(leaderId, 'main', listOffsetsApi, message, { timeoutMs, minVersion })
    return match(questions, response)
  } catch (error) {
    if (!isRetriable(error)) throw error
    return questions.map((question) => failed(question, ErrorCode.NETWORK_EXCEPTION))
  }
}

function request(
  core: ClientCore,
  questions: readonly OffsetQuestion[],
  isolationLevel: IsolationLevel,
  timeoutMs: number,
) {
  const byTopic = Map.groupBy(questions, ({ topic }) => topic)
  return createListOffsetsRequest({
    replicaId: -1,
    isolationLevel: isolationNumber(isolationLevel),
    timeoutMs,
    topics: [...byTopic].map(([name, list]) =>
      createListOffsetsTopic({
        name,
        partitions: list.map(({ partition, spec }) =>
          createListOffsetsPartition({
            partitionIndex: partition,
            currentLeaderEpoch: core.metadata.partition(name, partition)?.leaderEpoch ?? -1,
            timestamp: typeof spec === 'string' ? SPECIAL[spec].timestamp : spec.timestamp,
          }),
        ),
      }),
    ),
  })
}

function match(questions: readonly OffsetQuestion[], response: ListOffsetsResponse): FoundOffset[] {
  const answers = new Map<string, FoundOffset>()
  for (const { name, partitions } of response.topics) {
    for (const { partitionIndex, errorCode, offset, timestamp, leaderEpoch } of partitions) {
      answers.set(partitionKey(name, partitionIndex), {
        topic: name,
        partition: partitionIndex,
        errorCode,
        offset: Number(offset),
        timestamp: Number(timestamp),
        leaderEpoch,
      })
    }
  }
  return questions.map(
    (question) =>
      answers.get(partitionKey(question.topic, question.partition)) ?? failed(question, ErrorCode.NETWORK_EXCEPTION),
  )
}

function failed({ topic, partition }: TopicPartition, errorCode: number): FoundOffset {
  return { topic, partition, offset: -1, timestamp: -1, leaderEpoch: -1, errorCode }
}
