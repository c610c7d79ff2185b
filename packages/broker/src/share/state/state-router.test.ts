import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import {
  type ApiDefinition,
  ApiKey,
  createWriteShareGroupStateResponse,
  createWriteShareGroupStateResponsePartitionResult,
  createWriteStateResult,
  ErrorCode,
  type WriteShareGroupStateRequest,
} from '@millrace/protocol'
import { beforeEach, expect, test } from 'vitest'
import type { ShareKey, StateWrite } from '../../coordinator/share/share-state.ts'
import { imageOf } from '../../coordinator/testing/coordinator-fixture.ts'
import { topicId } from '../../coordinator/testing/group-driver.ts'
import { NO_SHARES } from '../../coordinator/testing/no-shares.ts'
import { elementLimitOf } from '../../handlers/element-limits.ts'
import { type BrokerConnection, BrokerConnectionError } from '../../replication/broker-connection.ts'
import { StateRouter } from './state-router.ts'

const ELSEWHERE = 1
const WRITE: StateWrite = { stateEpoch: 1, leaderEpoch: 1, startOffset: 0, deliveryCompleteCount: 0, stateBatches: [] }

/** Share partitions of even numbers are coordinated by partition 0 of the topic of states, others by partition 1. */
const keyOf = (partition: number): ShareKey => ({ groupId: 'g', topicId: topicId('topic'), partition })

let clock: SimulatedClock
let timers: SimulatedTimers
let router: StateRouter
/** Requests as they came, by connection. */
let requests: number[][]
/** What a request is answered with; null: it is not. */
let answer: (partitions: readonly number[]) => number | null

beforeEach(() => {
  clock = new SimulatedClock()
  timers = new SimulatedTimers(clock)
  requests = []
  answer = () => ErrorCode.NONE
  const image = imageOf(['topic', '__share_group_state'])
  router = new StateRouter({
    nodeId: 5,
    clock,
    timers,
    local: { ...NO_SHARES.shareStates, partitionFor: ({ partition }) => partition % 2 },
    metadata: () => image,
    ensureTopic: () => Promise.resolve(true),
    open: (brokerId) => {
      expect(brokerId).toBe(ELSEWHERE)
      return Promise.resolve(connection())
    },
  })
})

function connection(): BrokerConnection {
  const call = (_api: ApiDefinition, { topics }: WriteShareGroupStateRequest) => {
    const partitions = topics.flatMap((topic) => topic.partitions.map(({ partition }) => partition))
    requests.push(partitions)
    const errorCode = answer(partitions)
    if (errorCode === null) return new Promise(() => undefined)
    if (errorCode === ErrorCode.NETWORK_EXCEPTION) return Promise.reject(new BrokerConnectionError('lost'))
    const results = partitions.map((partition) =>
      createWriteShareGroupStateResponsePartitionResult({ partition, errorCode }),
    )
    const result = createWriteStateResult({ topicId: topicId('topic'), partitions: results })
    return Promise.resolve(createWriteShareGroupStateResponse({ results: [result] }))
  }
  return { isClosed: false, close: () => undefined, call } as unknown as BrokerConnection
}

async function settle(): Promise<void> {
  for (let count = 0; count < 20; count++) await Promise.resolve()
}

test('a coordinator that does not answer holds up the share partitions that are its own, and no other', async () => {
  answer = (partitions) => (partitions.some((partition) => partition % 2 === 0) ? null : ErrorCode.NONE)
  let isSlowDone = false
  void router.write(keyOf(0), WRITE).then(() => {
    isSlowDone = true
  })
  await settle()
  expect(await router.write(keyOf(1), WRITE)).toMatchObject({ errorCode: 0 })
  expect(await router.write(keyOf(3), WRITE)).toMatchObject({ errorCode: 0 })
  expect(isSlowDone).toBe(false)
})

test('what waits together goes in one request', async () => {
  const written = [0, 2, 4].map((partition) => router.write(keyOf(partition), WRITE))
  expect((await Promise.all(written)).map(({ errorCode }) => errorCode)).toEqual([0, 0, 0])
  expect(requests).toEqual([[0], [2, 4]])
})

test('requests have no more elements than a broker takes, however much there is to say of each share partition', async () => {
  const stateBatches = Array.from({ length: 4000 }, (_, slot) => {
    return { firstOffset: 2 * slot, lastOffset: 2 * slot, deliveryState: 2, deliveryCount: 1 }
  })
  const partitions = [0, 2, 4, 6, 8, 10]
  const written = partitions.map((partition) => router.write(keyOf(partition), { ...WRITE, stateBatches }))
  expect((await Promise.all(written)).map(({ errorCode }) => errorCode)).toEqual(partitions.map(() => 0))
  expect(requests).toEqual([[0], [2, 4], [6, 8], [10]])
  // The first of a request may have any number by itself.
  expect(2 * (4000 + 1)).toBeLessThan(elementLimitOf(ApiKey.WRITE_SHARE_GROUP_STATE))
  expect(10_000).toBeLessThan(elementLimitOf(ApiKey.WRITE_SHARE_GROUP_STATE))
})

test('what may pass is tried again, for a while', async () => {
  const codes = [ErrorCode.NETWORK_EXCEPTION, ErrorCode.NOT_COORDINATOR, ErrorCode.NONE]
  answer = () => codes.shift() ?? ErrorCode.NONE
  const written = router.write(keyOf(0), WRITE)
  for (let count = 0; count < 5; count++) {
    await settle()
    timers.advance(50)
  }
  expect(await written).toMatchObject({ errorCode: 0 })
  expect(requests).toHaveLength(3)
  answer = () => ErrorCode.COORDINATOR_NOT_AVAILABLE
  const failed = router.write(keyOf(0), WRITE)
  for (let count = 0; count < 30; count++) {
    await settle()
    timers.advance(1000)
  }
  expect(await failed).toMatchObject({ errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE })
})

test('what is for good is not', async () => {
  answer = () => ErrorCode.FENCED_LEADER_EPOCH
  expect(await router.write(keyOf(0), WRITE)).toMatchObject({ errorCode: ErrorCode.FENCED_LEADER_EPOCH })
  expect(requests).toHaveLength(1)
})
