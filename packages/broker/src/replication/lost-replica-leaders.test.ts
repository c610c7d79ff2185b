import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { applyRecords, emptyImage, type MetadataImage, type MetadataRecord } from '@millrace/consensus'
import {
  createOffsetForLeaderEpochResponse,
  createOffsetForLeaderEpochResponseEpochEndOffset,
  createOffsetForLeaderTopicResult,
  ErrorCode,
  type OffsetForLeaderEpochRequest,
  type OffsetForLeaderEpochResponse,
} from '@millrace/protocol'
import { beforeEach, expect, test } from 'vitest'
import { RecordingLogger } from '../coordinator/testing/recording-logger.ts'
import { brokerRecord, idOf, partitionRecord } from '../handlers/testing/images.ts'
import type { AwaitedLeader } from '../partition/lost-replicas.ts'
import type { BrokerConnection } from './broker-connection.ts'
import { BrokerConnectionError } from './broker-connection.ts'
import { LostReplicaLeaders } from './lost-replica-leaders.ts'

const TOPIC = idOf(1)

/** A question, until the test answers it. */
interface Question {
  readonly brokerId: number
  readonly request: OffsetForLeaderEpochRequest
  answer(response: OffsetForLeaderEpochResponse): void
  reject(error: Error): void
}

let timers: SimulatedTimers
let image: MetadataImage
let waiting: Map<number, AwaitedLeader[]>
let found: number[]
let changed: string[][]
let questions: Question[]
let leaders: LostReplicaLeaders
let faults: Error[]

beforeEach(() => {
  timers = new SimulatedTimers(new SimulatedClock())
  image = emptyImage('cluster')
  ;[waiting, found, changed, questions, faults] = [new Map(), [], [], [], []]
  leaders = new LostReplicaLeaders({
    nodeId: 1,
    timers,
    logger: new RecordingLogger(),
    connections: { open: (brokerId) => Promise.resolve(connectionTo(brokerId)) },
    lost: {
      get count() {
        return waiting.size
      },
      awaited: () => waiting,
      onLeaderFound: ({ partition }) => found.push(partition),
    },
    image: () => image,
    onFound: (topics) => changed.push([...topics]),
    onFault: (error) => faults.push(error),
  })
})

function connectionTo(brokerId: number): BrokerConnection {
  const call = (_api: unknown, request: OffsetForLeaderEpochRequest) =>
    new Promise<OffsetForLeaderEpochResponse>((answer, reject) => {
      questions.push({ brokerId, request, answer, reject })
    })
  return { isClosed: false, call, close: () => undefined } as unknown as BrokerConnection
}

/** So many replicas wait for this leader, in its first epoch. */
function lose(leader: number, count: number): void {
  const partitions = Array.from({ length: count }, (_, partition) => partition)
  waiting.set(
    leader,
    partitions.map((partition) => ({ topic: 't', topicId: TOPIC, partition, leaderEpoch: 1 })),
  )
  commit(
    brokerRecord(leader),
    { type: 'TopicRecord', name: 't', topicId: TOPIC },
    ...partitions.map((partition) => partitionRecord(TOPIC, partition, [leader, 1], { leaderEpoch: 1 })),
  )
}

function commit(...records: MetadataRecord[]): void {
  image = applyRecords(image, records).image
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve()
}

/** As a leader does of those partitions for which `codeOf` gives no error. */
async function answer({ request, answer: give }: Question, codeOf = (_: number): number => ErrorCode.NONE) {
  const topics = request.topics.map(({ topic, partitions }) =>
    createOffsetForLeaderTopicResult({
      topic,
      partitions: partitions.map(({ partition }) =>
        createOffsetForLeaderEpochResponseEpochEndOffset({ partition, errorCode: codeOf(partition) }),
      ),
    }),
  )
  give(createOffsetForLeaderEpochResponse({ topics }))
  await settle()
}

test('very many are asked for in parts, in the epoch that the metadata has', async () => {
  lose(2, 2_500)
  leaders.look()
  const sizes: number[] = []
  for (let count = 0; count < 3; count++) {
    await settle()
    const question = questions.shift()!
    expect(question.request.replicaId).toBe(1)
    const { partitions } = question.request.topics[0]!
    expect(partitions[0]).toMatchObject({ currentLeaderEpoch: 1, leaderEpoch: 1 })
    sizes.push(partitions.length)
    await answer(question)
  }
  expect(sizes).toEqual([1_000, 1_000, 500])
  expect(found).toHaveLength(2_500)
  expect(changed).toEqual([['t'], ['t'], ['t']])
  expect(faults).toEqual([])
})

test('of several only those count that the leader leads, and it is asked again for the others', async () => {
  lose(2, 3)
  leaders.look()
  await settle()
  await answer(questions.shift()!, (partition) => (partition === 1 ? ErrorCode.NONE : ErrorCode.NOT_LEADER_OR_FOLLOWER))
  expect(found).toEqual([1])
  leaders.look()
  await settle()
  expect(questions).toEqual([])
  timers.advance(500)
  await settle()
  expect(questions).toHaveLength(1)
})

test('an answer for an epoch that is over by the metadata does not count', async () => {
  lose(2, 2)
  leaders.look()
  await settle()
  commit(partitionRecord(TOPIC, 0, [2, 1], { leaderEpoch: 2 }))
  await answer(questions.shift()!)
  expect(found).toEqual([1])
})

test('one that does not answer keeps no other from being asked, and is asked again', async () => {
  lose(2, 1)
  leaders.look()
  await settle()
  expect(questions.map(({ brokerId }) => brokerId)).toEqual([2])
  waiting.set(3, waiting.get(2)!)
  leaders.look()
  await settle()
  expect(questions.map(({ brokerId }) => brokerId)).toEqual([2, 3])
  questions[0]!.reject(new BrokerConnectionError('gone'))
  await settle()
  timers.advance(500)
  await settle()
  expect(questions.map(({ brokerId }) => brokerId)).toEqual([2, 3, 2])
  expect(faults).toEqual([])
})

test('nobody is asked by a node that stops, and no timer is left', async () => {
  lose(2, 1)
  leaders.look()
  await settle()
  await answer(questions.shift()!, () => ErrorCode.UNKNOWN_LEADER_EPOCH)
  leaders.close()
  timers.advance(10_000)
  leaders.look()
  await settle()
  expect(questions).toEqual([])
})
