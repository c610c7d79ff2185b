import { SimulatedClock, SimulatedTimers, type Uuid } from '@millrace/base'
import {
  createWriteShareGroupStateRequest,
  createWriteShareGroupStateRequestPartitionData,
  createWriteShareGroupStateRequestStateBatch,
  createWriteStateData,
  ErrorCode,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { SHARE_GROUP_STATE_TOPIC } from '../../metadata/internal-topics.ts'
import { imageOf } from '../testing/coordinator-fixture.ts'
import { FakeCoordinatorLog } from '../testing/fake-coordinator-log.ts'
import { topicId } from '../testing/group-driver.ts'
import { ManualTurn } from '../testing/manual-turn.ts'
import { RecordingLogger } from '../testing/recording-logger.ts'
import { ShareCoordinator, type ShareCoordinatorConfig } from './share-coordinator.ts'
import { ShareStateRequests } from './share-requests.ts'
import { parseShareKey, type ShareKey, type StateBatch, shareKeyText } from './share-state.ts'

const CONFIG: ShareCoordinatorConfig = {
  shareCoordinatorStateTopicNumPartitions: 1,
  shareCoordinatorSnapshotUpdateRecordsPerSnapshot: 3,
  shareCoordinatorWriteTimeoutMs: 5000,
  shareCoordinatorAppendLingerMs: -1,
  shareCoordinatorMaxPartitions: 3,
  messageMaxBytes: 1_048_588,
}

/** A share coordinator on simulated ports, with the log of its one partition. */
class Fixture {
  readonly clock = new SimulatedClock()
  readonly timers = new SimulatedTimers(this.clock)
  readonly turn = new ManualTurn()
  readonly logger = new RecordingLogger()
  readonly pruned: number[] = []
  image = imageOf([SHARE_GROUP_STATE_TOPIC, 'topic', 'other'], 4)
  log: FakeCoordinatorLog
  readonly coordinator: ShareCoordinator

  constructor(log = new FakeCoordinatorLog()) {
    this.log = log
    this.coordinator = new ShareCoordinator({
      config: CONFIG,
      clock: this.clock,
      timers: this.timers,
      logger: this.logger,
      metadata: () => this.image,
      enqueueEndOfTurn: this.turn.enqueue,
      nextTurn: () => Promise.resolve(),
      pruneLog: (_partition, offset) => this.pruned.push(offset),
      onFault: (error) => {
        throw error
      },
    })
  }

  static async started(log?: FakeCoordinatorLog): Promise<Fixture> {
    const fixture = new Fixture(log)
    // The number of partitions is that of the topic.
    fixture.image = imageOf(['topic', 'other'], 4)
    fixture.coordinator.startup()
    await fixture.coordinator.onElection(0, fixture.log)
    return fixture
  }

  settle(): void {
    this.turn.end()
    this.log.commit()
  }

  /** The outcome of an operation whose write is committed at once. */
  async done<Outcome>(outcome: Promise<Outcome>): Promise<Outcome> {
    this.settle()
    return outcome
  }
}

const KEY: ShareKey = { groupId: 'a:b', topicId: topicId('topic'), partition: 1 }

function batch(firstOffset: number, lastOffset: number, deliveryState: number, deliveryCount: number): StateBatch {
  return { firstOffset, lastOffset, deliveryState, deliveryCount }
}

function write(startOffset: number, stateBatches: StateBatch[], leaderEpoch = 0, stateEpoch = 1) {
  return { stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount: 0, stateBatches }
}

test('keys are read from the right', () => {
  expect(parseShareKey(shareKeyText(KEY))).toEqual(KEY)
  for (const text of ['', 'group', 'group:1', `group:${KEY.topicId}:x`, `:${KEY.topicId}:1`, 'group:short:1']) {
    expect([text, parseShareKey(text)]).toEqual([text, null])
  }
})

describe('a share partition', () => {
  test('has the state that was written, after a new election as well', async () => {
    const fixture = await Fixture.started()
    const { coordinator } = fixture
    expect(await fixture.done(coordinator.initialize(KEY, 1, 10))).toMatchObject({ errorCode: 0 })
    await fixture.done(coordinator.write(KEY, write(10, [batch(10, 14, 2, 1)])))
    await fixture.done(coordinator.write(KEY, write(10, [batch(15, 19, 0, 2)])))
    const expected = { errorCode: 0, stateEpoch: 1, startOffset: 10 }
    const stateBatches = [batch(10, 14, 2, 1), batch(15, 19, 0, 2)]
    expect(await fixture.done(coordinator.read(KEY, 0))).toMatchObject({ ...expected, stateBatches })
    const again = await Fixture.started(fixture.log.crash())
    expect(await again.done(again.coordinator.read(KEY, 0))).toMatchObject({ ...expected, stateBatches })
  })

  test('has no state before it is initialized', async () => {
    const fixture = await Fixture.started()
    const { coordinator } = fixture
    expect(await fixture.done(coordinator.read(KEY, 0))).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST })
    expect(await fixture.done(coordinator.write(KEY, write(0, [])))).toMatchObject({
      errorCode: ErrorCode.INVALID_REQUEST,
    })
    expect(await fixture.done(coordinator.readSummary(KEY))).toMatchObject({
      errorCode: 0,
      startOffset: -1,
      deliveryCompleteCount: -1,
    })
    expect(await fixture.done(coordinator.delete(KEY))).toMatchObject({ errorCode: 0 })
  })

  test('fences leaders and states of before, also once it is initialized anew', async () => {
    const fixture = await Fixture.started()
    const { coordinator } = fixture
    await fixture.done(coordinator.initialize(KEY, 1, 0))
    await fixture.done(coordinator.read(KEY, 5))
    const fenced = { errorCode: ErrorCode.FENCED_LEADER_EPOCH }
    expect(await fixture.done(coordinator.read(KEY, 4))).toMatchObject(fenced)
    expect(await fixture.done(coordinator.write(KEY, write(0, [], 4)))).toMatchObject(fenced)
    expect(await fixture.done(coordinator.write(KEY, write(0, [], 5)))).toMatchObject({ errorCode: 0 })
    expect(await fixture.done(coordinator.initialize(KEY, 2, 7))).toMatchObject({ errorCode: 0 })
    expect(await fixture.done(coordinator.write(KEY, write(0, [], 5, 1)))).toMatchObject({
      errorCode: ErrorCode.FENCED_STATE_EPOCH,
    })
    expect(await fixture.done(coordinator.initialize(KEY, 1, 7))).toMatchObject({
      errorCode: ErrorCode.FENCED_STATE_EPOCH,
    })
    expect(await fixture.done(coordinator.write(KEY, write(0, [], 4, 2)))).toMatchObject(fenced)
  })

  test('that is initialized once more with the same epoch keeps what was consumed since', async () => {
    const fixture = await Fixture.started()
    const { coordinator } = fixture
    await fixture.done(coordinator.initialize(KEY, 3, -1))
    await fixture.done(coordinator.write(KEY, write(7, [batch(9, 9, 2, 1)], 0, 3)))
    expect(await fixture.done(coordinator.initialize(KEY, 3, -1))).toMatchObject({ errorCode: 0 })
    expect(await fixture.done(coordinator.read(KEY, 0))).toMatchObject({
      startOffset: 7,
      stateBatches: [batch(9, 9, 2, 1)],
    })
    await fixture.done(coordinator.initialize(KEY, 4, -1))
    expect(await fixture.done(coordinator.read(KEY, 0))).toMatchObject({ startOffset: -1, stateBatches: [] })
  })

  test('of an unknown topic or partition has none', async () => {
    const fixture = await Fixture.started()
    const { coordinator } = fixture
    const unknown = { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }
    const strange = { ...KEY, topicId: topicId('strange') }
    expect(await fixture.done(coordinator.initialize(strange, 1, 0))).toMatchObject(unknown)
    expect(await fixture.done(coordinator.initialize({ ...KEY, partition: 4 }, 1, 0))).toMatchObject(unknown)
    expect(await fixture.done(coordinator.readSummary(strange))).toMatchObject(unknown)
  })

  test('is as it was before a write that failed', async () => {
    const fixture = await Fixture.started()
    const { coordinator, log } = fixture
    await fixture.done(coordinator.initialize(KEY, 1, 0))
    log.appendError = ErrorCode.NOT_ENOUGH_REPLICAS
    const failed = coordinator.write(KEY, write(5, [batch(5, 6, 2, 1)]))
    fixture.turn.end()
    expect(await failed).toMatchObject({ errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE })
    log.appendError = 0
    expect(await fixture.done(coordinator.read(KEY, 0))).toMatchObject({ startOffset: 0, stateBatches: [] })
  })

  test('goes with its topic, also if that went while nobody coordinated it', async () => {
    const fixture = await Fixture.started()
    const { coordinator } = fixture
    const other = { ...KEY, topicId: topicId('other') }
    await fixture.done(coordinator.initialize(KEY, 1, 0))
    await fixture.done(coordinator.initialize(other, 1, 0))
    fixture.image = imageOf(['topic'], 4)
    coordinator.onTopicsDeleted([{ id: topicId('other') }])
    fixture.settle()
    expect(coordinator.budgets()[0]).toMatchObject({ used: 1 })
    const again = new Fixture(fixture.log.crash())
    again.image = imageOf(['other'], 4)
    again.coordinator.startup()
    await again.coordinator.onElection(0, again.log)
    again.settle()
    expect(again.coordinator.budgets()[0]).toMatchObject({ used: 0 })
  })
})

test('so many share partitions are kept and no more', async () => {
  const fixture = await Fixture.started()
  const { coordinator } = fixture
  const initialized = [0, 1, 2, 3].map((partition) => coordinator.initialize({ ...KEY, partition }, 1, 0))
  fixture.settle()
  const codes = (await Promise.all(initialized)).map(({ errorCode }) => errorCode)
  expect(codes).toEqual([0, 0, 0, ErrorCode.COORDINATOR_NOT_AVAILABLE])
  await fixture.done(coordinator.delete({ ...KEY, partition: 0 }))
  expect(await fixture.done(coordinator.initialize({ ...KEY, partition: 3 }, 1, 0))).toMatchObject({ errorCode: 0 })
})

test('logs are cut behind the oldest of the last snapshots, and idle share partitions do not stand in the way', async () => {
  const fixture = await Fixture.started()
  const { coordinator, timers } = fixture
  const idle: ShareKey = { ...KEY, topicId: topicId('other') as Uuid }
  await fixture.done(coordinator.initialize(idle, 1, 0))
  await fixture.done(coordinator.initialize(KEY, 1, 0))
  for (let offset = 0; offset < 30; offset++) await fixture.done(coordinator.write(KEY, write(offset, [])))
  const passMinutes = async (): Promise<void> => {
    timers.advance(300_000)
    fixture.settle()
    for (let count = 0; count < 20; count++) await Promise.resolve()
  }
  await passMinutes()
  expect(fixture.pruned.at(-1)).toBe(0)
  await passMinutes()
  expect(fixture.pruned.at(-1)).toBeGreaterThan(25)
  expect(await fixture.done(coordinator.readSummary(idle))).toMatchObject({ startOffset: 0 })
})

test('requests with offsets or states that no record has are refused', async () => {
  const fixture = await Fixture.started()
  const requests = new ShareStateRequests(fixture.coordinator)
  await fixture.done(fixture.coordinator.initialize(KEY, 1, 0))
  const written = async (startOffset: number, ...batches: StateBatch[]): Promise<number> => {
    const stateBatches = batches.map((one) => createWriteShareGroupStateRequestStateBatch(one))
    const data = { partition: KEY.partition, stateEpoch: 1, leaderEpoch: 0, startOffset, stateBatches }
    const partitions = [createWriteShareGroupStateRequestPartitionData(data)]
    const topics = [createWriteStateData({ topicId: KEY.topicId, partitions })]
    const request = createWriteShareGroupStateRequest({ groupId: KEY.groupId, topics })
    return (await fixture.done(requests.write(request))).results[0]!.partitions[0]!.errorCode
  }
  expect(await written(-1, batch(3, 4, 2, 1))).toBe(0)
  expect([
    await written(-2),
    await written(0, batch(3, 2, 2, 1)),
    await written(0, batch(-1, 2, 2, 1)),
    await written(0, batch(0, 2, 5, 1)),
    await written(0, batch(0, 2, -1, 1)),
    await written(0, batch(0, 2, 2, -1)),
  ]).toEqual(new Array(6).fill(ErrorCode.INVALID_REQUEST))
})
