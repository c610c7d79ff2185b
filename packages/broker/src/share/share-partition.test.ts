import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { beforeEach, expect, test } from 'vitest'
import {
  DeliveryState,
  type ShareStateStore,
  type StateBatch,
  type StateWrite,
} from '../coordinator/share/share-state.ts'
import { topicId } from '../coordinator/testing/group-driver.ts'
import { NO_SHARES } from '../coordinator/testing/no-shares.ts'
import { RecordingLogger } from '../coordinator/testing/recording-logger.ts'
import type { Partition } from '../partition/partition.ts'
import { Breaker } from './breaker.ts'
import { SharePartition } from './share-partition.ts'
import type { ShareGroupSettings } from './share-settings.ts'
import { ShareTotals } from './share-totals.ts'
import { PLAIN_SETTINGS } from './testing/plain-settings.ts'
import { WorldPartition } from './testing/world-broker.ts'
import { WorldLog } from './testing/world-log.ts'
import { acquire } from './window/acquire.ts'

const SETTINGS: ShareGroupSettings = {
  ...PLAIN_SETTINGS,
  breaker: { failureCount: 1, windowMs: 1000, pauseMs: 5000 },
}
const KEY = { groupId: 'queue', topicId: topicId('topic'), partition: 0 }
const DONE = { errorCode: ErrorCode.NONE, errorMessage: null }

let timers: SimulatedTimers
let clock: SimulatedClock
let log: WorldLog
let breaker: Breaker
/** What the coordinator has; `calls`: what it was asked, in order. */
let stored: { stateEpoch: number; startOffset: number; stateBatches: readonly StateBatch[] }
let calls: (string | StateWrite)[]
/** The next summary waits for it. */
let summaryGate: Promise<void>

beforeEach(() => {
  clock = new SimulatedClock()
  timers = new SimulatedTimers(clock)
  log = new WorldLog()
  breaker = new Breaker()
  stored = { stateEpoch: 1, startOffset: 0, stateBatches: [] }
  calls = []
  summaryGate = Promise.resolve()
})

const store: ShareStateStore = {
  ...NO_SHARES.shareStates,
  read: (_key, leaderEpoch) => {
    calls.push(`read ${leaderEpoch}`)
    return Promise.resolve({ ...DONE, ...stored })
  },
  readSummary: async () => {
    await summaryGate
    return { ...DONE, ...stored, leaderEpoch: 1, deliveryCompleteCount: 0 }
  },
  initialize: (_key, stateEpoch, startOffset) => {
    calls.push(`initialize ${stateEpoch} ${startOffset}`)
    stored = { stateEpoch, startOffset, stateBatches: [] }
    return Promise.resolve(DONE)
  },
  write: (_key, write) => {
    calls.push(write)
    stored = { ...stored, startOffset: write.startOffset }
    return Promise.resolve(DONE)
  },
}

async function loaded(leaderEpoch = 1): Promise<SharePartition> {
  const partition = new WorldPartition({ key: KEY, topic: 'topic', leaderEpoch, log })
  const share = new SharePartition(KEY, partition as unknown as Partition, {
    ...{ clock, timers, store, logger: new RecordingLogger() },
    totals: new ShareTotals(),
    usage: { recordCount: 0 },
    settings: () => SETTINGS,
    initialOffset: () => Promise.resolve(0),
    breakerOf: () => breaker,
    onDeadLetters: () => undefined,
    onQuiet: () => undefined,
    onClosed: () => undefined,
  })
  await share.load()
  await settle()
  return share
}

async function settle(): Promise<void> {
  for (let count = 0; count < 20; count++) await Promise.resolve()
}

/** The member holds `[0, count)`. */
function hold(share: SharePartition, memberId: string, count: number): void {
  acquire(share.window!, {
    ...{ memberId, mode: 0, maxRecords: count, batchSize: count, fetchOffset: 0, hasRoom: true },
    batches: [{ startOffset: 0, endOffset: count }],
    deliveryCountLimit: 5,
    nowMs: clock.monotonicMs(),
  })
  share.onChanged()
}

test('a member that goes while the state is looked after gives back what it holds', async () => {
  log.append(5, false)
  const share = await loaded()
  hold(share, 'a', 5)
  const { promise, resolve } = Promise.withResolvers<void>()
  summaryGate = promise
  share.setUnattended(true)
  share.setUnattended(false)
  expect(share.state).toBe('loading')
  share.release('a')
  resolve()
  await settle()
  expect(share.state).toBe('active')
  expect(share.window!.nextFetchOffset()).toBe(0)
})

test('a group that was made anew meanwhile, with epochs as before, begins where it was told to', async () => {
  log.append(5, false)
  const share = await loaded()
  hold(share, 'a', 5)
  expect(await share.acknowledge('a', [{ firstOffset: 0, lastOffset: 3, acknowledgeTypes: [1] }])).toBe(0)
  share.setUnattended(true)
  share.setUnattended(false)
  await settle()
  expect([share.state, share.window!.startOffset]).toEqual(['active', 4])
  share.setUnattended(true)
  stored = { stateEpoch: 1, startOffset: 2, stateBatches: [] }
  share.setUnattended(false)
  await settle()
  expect([share.state, share.closeCode]).toEqual(['closed', ErrorCode.NOT_LEADER_OR_FOLLOWER])
})

test('what was stored of a log that lost its end is forgotten before new records stand there', async () => {
  log.append(4, false)
  stored = {
    stateEpoch: 3,
    startOffset: 2,
    stateBatches: [
      { firstOffset: 3, lastOffset: 3, deliveryState: DeliveryState.ACKNOWLEDGED, deliveryCount: 2 },
      { firstOffset: 5, lastOffset: 9, deliveryState: DeliveryState.ACKNOWLEDGED, deliveryCount: 1 },
    ],
  }
  const share = await loaded(7)
  expect(calls.slice(0, 3)).toEqual(['read 7', 'initialize 3 2', 'read 7'])
  expect(calls[3]).toMatchObject({
    startOffset: 2,
    stateBatches: [{ firstOffset: 3, lastOffset: 3, deliveryState: DeliveryState.ACKNOWLEDGED, deliveryCount: 2 }],
  })
  expect([share.window!.startOffset, share.window!.endOffset]).toEqual([2, 4])
  stored = { stateEpoch: 3, startOffset: 50, stateBatches: [] }
  calls = []
  const next = await loaded(8)
  expect(calls.slice(0, 3)).toEqual(['read 8', 'initialize 3 4', 'read 8'])
  expect(next.window!.startOffset).toBe(4)
})

test('whoever waits is woken when a pause is over that began before it was loaded', async () => {
  log.append(5, false)
  breaker.onFailed(1, SETTINGS.breaker, clock.monotonicMs())
  const share = await loaded()
  let wakeCount = 0
  share.addWaiter({ onShareChanged: () => wakeCount++ })
  expect(share.isReadable).toBe(false)
  timers.advance(4900)
  expect(wakeCount).toBe(0)
  timers.advance(200)
  expect([share.isReadable, wakeCount]).toEqual([true, 1])
})
