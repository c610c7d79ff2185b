import { ZERO_UUID } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { GROUP, GroupDriver } from '../testing/group-driver.ts'

const MINUTE_MS = 60_000
/** Retention of one hour, scanned every ten minutes. */
const CONFIG = { offsetsRetentionMinutes: 60, offsetsRetentionCheckIntervalMs: 10 * MINUTE_MS }

/** A machine whose scans run, as after a load. */
function loaded(): GroupDriver {
  const driver = new GroupDriver(CONFIG)
  driver.step((machine, step) => machine.onLoaded(step))
  return driver
}

describe('offsets expire', () => {
  test('of many groups a few at a time, so that no scan holds the loop', () => {
    const driver = loaded()
    for (let n = 0; n < 500; n++) driver.commit({ topic: 1 }, { groupId: `g${n}` })
    driver.advance(60 * MINUTE_MS - 1)
    for (let ms = 0; ms < 2000 && driver.machine.list().length === 500; ms++) driver.advance(1)
    // The scan has begun a moment ago.
    expect(driver.machine.list().length).toBeGreaterThan(400)
    driver.advance(1000)
    expect(driver.machine.list()).toEqual([])
    driver.commit({ topic: 1 })
    driver.advance(70 * MINUTE_MS)
    expect(driver.offsetOf('topic')).toBe(-1)
  })

  test('of a simple group an hour after their commit, and then the group goes', () => {
    const driver = loaded()
    driver.commit({ topic: 1 })
    driver.advance(30 * MINUTE_MS)
    driver.commit({ other: 2 })
    driver.advance(29 * MINUTE_MS)
    expect(driver.offsetOf('topic')).toBe(1)
    driver.advance(MINUTE_MS)
    expect([driver.offsetOf('topic'), driver.offsetOf('other')]).toEqual([-1, 2])
    expect(driver.state).toBe('Empty')
    driver.advance(30 * MINUTE_MS)
    expect(driver.state).toBe('Dead')
    expect(driver.records.at(-1)).toEqual({ type: 'group-metadata', groupId: GROUP, value: null })
  })

  test('of a group that members have left an hour after it became Empty, whenever they were committed', () => {
    const driver = loaded()
    const [memberId] = driver.stabilize([{ sessionTimeoutMs: 1_800_000 }])
    driver.commit({ topic: 1 }, { memberId: memberId!, generationId: 1 })
    for (let minute = 0; minute < 120; minute += 10) {
      driver.advance(10 * MINUTE_MS)
      driver.heartbeat({ memberId: memberId! })
    }
    driver.leave(memberId!)
    driver.advance(59 * MINUTE_MS)
    expect(driver.offsetOf('topic')).toBe(1)
    driver.advance(11 * MINUTE_MS)
    expect(driver.state).toBe('Dead')
  })

  test('of a Stable group of consumers for topics that they do not subscribe to', () => {
    const driver = loaded()
    driver.commit({ topic: 1, other: 2 })
    const [memberId] = driver.stabilize([{ sessionTimeoutMs: 1_800_000 }])
    for (let minute = 0; minute < 120; minute += 10) {
      driver.advance(10 * MINUTE_MS)
      driver.heartbeat({ memberId: memberId! })
    }
    expect([driver.offsetOf('topic'), driver.offsetOf('other')]).toEqual([1, -1])
  })

  test('never while the group rebalances or has members that are no consumers', () => {
    const driver = loaded()
    driver.commit({ topic: 1 })
    const [memberId] = driver.stabilize([{ sessionTimeoutMs: 1_800_000, protocolType: 'connect' }])
    for (let minute = 0; minute < 120; minute += 10) {
      driver.advance(10 * MINUTE_MS)
      driver.heartbeat({ memberId: memberId! })
    }
    expect(driver.offsetOf('topic')).toBe(1)

    const rebalancing = loaded()
    rebalancing.commit({ topic: 1 })
    const [leader, follower] = rebalancing.stabilize([
      { sessionTimeoutMs: 1_800_000, rebalanceTimeoutMs: 10_000_000 },
      { sessionTimeoutMs: 1_800_000, rebalanceTimeoutMs: 10_000_000 },
    ])
    rebalancing.join({ memberId: leader!, rebalanceTimeoutMs: 10_000_000 })
    for (let minute = 0; minute < 120; minute += 10) {
      rebalancing.advance(10 * MINUTE_MS)
      rebalancing.heartbeat({ memberId: follower! })
    }
    expect(rebalancing.state).toBe('PreparingRebalance')
    expect(rebalancing.offsetOf('topic')).toBe(1)
  })

  test('at the time that their own commit asked for, instead of by the retention', () => {
    const driver = loaded()
    driver.commit({ soon: 1 }, { retentionTimeMs: 5 * MINUTE_MS })
    driver.commit({ late: 1 }, { retentionTimeMs: 200 * MINUTE_MS })
    driver.advance(10 * MINUTE_MS)
    expect([driver.offsetOf('soon'), driver.offsetOf('late')]).toEqual([-1, 1])
    driver.advance(180 * MINUTE_MS)
    expect(driver.offsetOf('late')).toBe(1)
    driver.advance(20 * MINUTE_MS)
    expect(driver.state).toBe('Dead')
  })

  test('not while a transaction holds another for the same partition', () => {
    const driver = loaded()
    driver.commit({ topic: 1 })
    const value = {
      committedOffset: 2,
      leaderEpoch: -1,
      metadata: '',
      commitTimestampMs: driver.nowMs,
      expireTimestampMs: -1,
      topicId: ZERO_UUID,
    }
    const record = { type: 'offset-commit', groupId: GROUP, topic: 'topic', partition: 0, value } as const
    driver.step((machine) => machine.apply(record, { offset: 5, producerId: 1, producerEpoch: 0 }))
    driver.advance(200 * MINUTE_MS)
    expect(driver.offsetOf('topic')).toBe(1)
    expect(driver.state).toBe('Empty')
    driver.step((machine) => machine.endTransaction(1, false))
    driver.advance(10 * MINUTE_MS)
    expect(driver.state).toBe('Dead')
  })

  test('and an Empty group that never committed goes at the next scan', () => {
    const driver = loaded()
    driver.join({ requiresKnownMemberId: true })
    expect(driver.state).toBe('Empty')
    driver.advance(10 * MINUTE_MS)
    expect(driver.state).toBe('Dead')
  })
})
