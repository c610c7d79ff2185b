import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { beforeEach, describe, expect, test } from 'vitest'
import type { ShareStateStore } from '../../coordinator/share/share-state.ts'
import { topicId } from '../../coordinator/testing/group-driver.ts'
import { NO_SHARES } from '../../coordinator/testing/no-shares.ts'
import { RecordingLogger } from '../../coordinator/testing/recording-logger.ts'
import type { ShareGroupSettings } from '../share-settings.ts'
import { PLAIN_SETTINGS } from '../testing/plain-settings.ts'
import { WorldBroker } from '../testing/world-broker.ts'
import { WorldLog } from '../testing/world-log.ts'
import { AcknowledgeType } from '../window/acknowledge.ts'
import { type Acquired, AcquireMode } from '../window/acquire.ts'

const LOCK_MS = 1000
const SETTINGS: ShareGroupSettings = { ...PLAIN_SETTINGS, recordLockDurationMs: LOCK_MS, maxRecordLocks: 10 }

let clock: SimulatedClock
let timers: SimulatedTimers
let log: WorldLog
let broker: WorldBroker
let brokerWith: (settings: ShareGroupSettings) => WorldBroker
/** What the coordinator says when a share partition is loaded. */
let readError: number
/** What members were given, as it was answered. */
let given: { readonly memberId: string; readonly errorCode: number; readonly acquired: readonly Acquired[] }[]

beforeEach(() => {
  clock = new SimulatedClock()
  timers = new SimulatedTimers(clock)
  log = new WorldLog()
  readError = 0
  given = []
  const done = { errorCode: ErrorCode.NONE, errorMessage: null }
  const store: ShareStateStore = {
    ...NO_SHARES.shareStates,
    read: () => Promise.resolve({ ...done, errorCode: readError, stateEpoch: 1, startOffset: 0, stateBatches: [] }),
  }
  brokerWith = (settings) =>
    new WorldBroker({
      ...{ clock, timers, log, store, settings },
      key: { groupId: 'queue', topicId: topicId('topic'), partition: 0 },
      topic: 'topic',
      leaderEpoch: 1,
      logger: new RecordingLogger(),
      onFault: (error) => {
        throw error
      },
    })
  broker = brokerWith(SETTINGS)
})

async function settle(): Promise<void> {
  for (let count = 0; count < 40; count++) await Promise.resolve()
}

async function begin(memberId: string, mode: number = AcquireMode.BATCH_OPTIMIZED, maxWaitMs = 1000): Promise<void> {
  const parameters = { memberId, maxRecords: 100, mode, maxWaitMs, minBytes: 1, maxBytes: 10_000, batchSize: 100 }
  broker.fetch(parameters, ({ errorCode, acquired }) => given.push({ memberId, errorCode, acquired }))
  await settle()
}

/** What a member is given by a fetch that hardly waits. */
async function fetch(memberId: string, mode?: number) {
  await begin(memberId, mode, 10)
  if (broker.isWaiting(memberId)) timers.advance(10)
  await settle()
  return given.at(-1)!.acquired.map(({ firstOffset, lastOffset, deliveryCount }) => {
    return `${firstOffset}-${lastOffset}×${deliveryCount}`
  })
}

async function acknowledge(memberId: string, firstOffset: number, lastOffset: number, type: number): Promise<number> {
  return broker.share!.acknowledge(memberId, [{ firstOffset, lastOffset, acknowledgeTypes: [type] }])
}

describe('with a full window', () => {
  test('records of a batch that is longer than the window are delivered again', async () => {
    log.append(25, false)
    expect(await fetch('a', AcquireMode.RECORD_LIMIT)).toEqual(['0-9×1'])
    expect(await fetch('b', AcquireMode.RECORD_LIMIT)).toEqual([])
    timers.advance(LOCK_MS + 100)
    expect(await fetch('b', AcquireMode.RECORD_LIMIT)).toEqual(['0-9×2'])
    expect(await acknowledge('b', 0, 9, AcknowledgeType.ACCEPT)).toBe(ErrorCode.NONE)
    expect(await fetch('b', AcquireMode.RECORD_LIMIT)).toEqual(['10-19×1'])
  })

  test('records that compaction took meanwhile are finished, though nothing is left below the end of the window', async () => {
    for (let count = 0; count < 8; count++) log.append(5, false)
    expect(await fetch('a')).toEqual(['0-9×1'])
    timers.advance(LOCK_MS + 100)
    log.compact(0, 30)
    expect(await fetch('b')).toEqual(['30-34×1'])
    expect(broker.share!.window!.startOffset).toBe(30)
  })

  test('what compaction took at its end is finished, and nothing new is taken in while others hold its beginning', async () => {
    for (let count = 0; count < 8; count++) log.append(5, false)
    await fetch('a')
    await acknowledge('a', 5, 9, AcknowledgeType.RELEASE)
    log.compact(5, 30)
    expect(await fetch('b')).toEqual([])
    const window = broker.share!.window!
    expect([window.startOffset, window.endOffset, window.deliveryCompleteCount]).toEqual([0, 10, 5])
    expect(await acknowledge('a', 0, 4, AcknowledgeType.ACCEPT)).toBe(ErrorCode.NONE)
    expect(await fetch('b')).toEqual(['30-39×1'])
  })
})

test.each([true, false])(
  'nothing is acquired for a member that goes while its fetch reads (polite: %s)',
  async (isPolite) => {
    log.append(3, false)
    await fetch('keeper')
    await acknowledge('keeper', 0, 2, AcknowledgeType.RELEASE)
    log.isCold = true
    await fetch('a')
    expect(broker.isWaiting('a')).toBe(true)
    broker.leave('a', isPolite)
    log.finishReads()
    log.isCold = false
    await settle()
    expect(given.filter(({ memberId, acquired }) => memberId === 'a' && acquired.length > 0)).toEqual([])
    expect(await fetch('b')).toEqual(['0-2×2'])
  },
)

test('whoever waits behind a member that goes amid its read is served', async () => {
  log.append(3, false)
  log.isCold = true
  await begin('a')
  log.isCold = false
  await begin('b')
  expect(given).toEqual([])
  broker.leave('a', true)
  log.finishReads()
  await settle()
  expect(given).toMatchObject([
    { memberId: 'a', acquired: [] },
    { memberId: 'b', acquired: [{ firstOffset: 0, lastOffset: 2 }] },
  ])
})

test('a read that fails is the error of its partition, and says nothing of others', async () => {
  log.append(3, false)
  await fetch('a')
  await acknowledge('a', 0, 2, AcknowledgeType.RELEASE)
  log.isBroken = true
  expect(await fetch('a')).toEqual([])
  expect(given.at(-1)!.errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
  log.isBroken = false
  timers.advance(200)
  expect(await fetch('a')).toEqual(['0-2×2'])
})

test('a share partition that cannot be loaded is told in a way that does not end the clients of Java', async () => {
  log.append(3, false)
  readError = ErrorCode.COORDINATOR_NOT_AVAILABLE
  await fetch('a')
  expect(given).toMatchObject([{ errorCode: ErrorCode.OFFSET_NOT_AVAILABLE, acquired: [] }])
})

test('a member does not wait behind records that nobody may see', async () => {
  broker = brokerWith({ ...SETTINGS, isReadCommitted: true })
  for (let count = 0; count < 500; count++) log.append(1, true)
  log.endTransaction(false)
  log.append(2, false)
  await begin('a', AcquireMode.RECORD_LIMIT, 10_000)
  for (let count = 0; count < 100 && given.length === 0; count++) {
    timers.advance(1)
    await settle()
  }
  // The marker comes with them: what is none of the transaction's records clients tell themselves.
  expect(given).toMatchObject([{ memberId: 'a', acquired: [{ firstOffset: 500, lastOffset: 502 }] }])
})
