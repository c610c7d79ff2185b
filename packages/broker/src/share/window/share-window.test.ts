import { ErrorCode } from '@millrace/protocol'
import { describe, expect, test, vi } from 'vitest'
import { DeliveryState } from '../../coordinator/share/share-state.ts'
import { WindowModel } from '../testing/window-model.ts'
import { AcknowledgeType, acknowledge, checkAcknowledgements } from './acknowledge.ts'
import { acquire, hide } from './acquire.ts'
import { ShareWindow } from './share-window.ts'

const { ACCEPT, RELEASE, REJECT, RENEW } = AcknowledgeType
const LOCK_MS = 100

/** A window of ten records, in the hands of one member. */
function held(settings: ConstructorParameters<typeof WindowModel>[0] = {}): WindowModel {
  const model = new WindowModel({ maxRecordLocks: 100, ...settings })
  for (let count = 0; count < 3; count++) model.append()
  model.acquire('a', 100, false)
  return model
}

describe('what was given up', () => {
  test('stays so when the write of it fails, whatever its lock was', () => {
    const model = held({ deliveryCountLimit: 2 })
    model.tick(LOCK_MS + 1)
    model.acquire('a', 100, false)
    model.tick(LOCK_MS + 1)
    model.beginWrite()
    model.endWrite(false, false)
    expect(model.acquire('b', 100, false)).toEqual([])
    model.tick(10 * LOCK_MS)
    expect(model.acquire('b', 100, false)).toEqual([])
    model.beginWrite()
    model.endWrite(true, true)
    model.failOver()
    expect(model.acquire('b', 100, false)).toEqual([])
  })

  test('by a member is in its hands again when the write fails, and with others once its lock is over', () => {
    const model = held()
    expect(model.acknowledge('a', 0, 10, REJECT)).toBe(0)
    model.beginWrite()
    expect(model.acquire('b', 100, false)).toEqual([])
    model.endWrite(false, false)
    expect(model.acquire('b', 100, false)).toEqual([])
    expect(model.acknowledge('a', 0, 0, ACCEPT)).toBe(0)
    model.tick(LOCK_MS + 1)
    expect(model.acquire('b', 100, false)[0]).toMatchObject({ firstOffset: 1, deliveryCount: 2 })
  })

  test('whose lock was over before the write failed goes to others, or is given up at the limit', () => {
    const model = held({ deliveryCountLimit: 2 })
    expect(model.acknowledge('a', 0, 4, ACCEPT)).toBe(0)
    model.beginWrite()
    model.nowMs += 2 * LOCK_MS
    model.endWrite(false, false)
    expect(model.acquire('b', 2, true)).toMatchObject([{ firstOffset: 0, deliveryCount: 2 }])
    expect(model.acknowledge('b', 0, 0, RELEASE)).toBe(0)
    model.beginWrite()
    model.nowMs += 2 * LOCK_MS
    model.endWrite(false, false)
    expect(model.window.startOffset).toBe(1)
  })

  test('is archived only after its dead letter, which waits until that it is given up is stored', () => {
    const model = held({ keepsDeadLetters: true })
    model.acknowledge('a', 0, 10, REJECT)
    expect(model.window.nextDeadLetter()).toBeNull()
    model.beginWrite()
    model.endWrite(false, false)
    expect(model.window.nextDeadLetter()).toBeNull()
    model.acknowledge('a', 0, 10, REJECT)
    model.beginWrite()
    model.endWrite(true, true)
    expect(model.window.startOffset).toBe(0)
    model.failOver()
    expect(model.window.nextDeadLetter()).toMatchObject({ startOffset: 0, endOffset: 11, deliveryCount: 1 })
    while (model.writeDeadLetter() !== null);
    expect(model.window.startOffset).toBe(11)
  })
})

test('deleted records leave the window in whoever’s hands they are', () => {
  const model = held()
  model.acknowledge('a', 2, 5, ACCEPT)
  model.beginWrite()
  model.deleteRecords(4)
  expect(model.window.startOffset).toBe(4)
  model.endWrite(true, true)
  expect(model.window.startOffset).toBe(6)
  expect(model.acknowledge('a', 0, 3, ACCEPT)).toBe(0)
  expect(model.acknowledge('a', 6, 10, RENEW)).toBe(0)
  model.beginWrite()
  model.endWrite(true, true)
  model.deleteRecords(100)
  expect(model.window.length).toBe(0)
  expect(model.window.nextFetchOffset()).toBe(model.logEndOffset)
})

test('a record that is on its last delivery comes alone, and those near it in small groups', () => {
  const model = new WindowModel({ deliveryCountLimit: 4, maxRecordLocks: 100 })
  for (let count = 0; count < 4; count++) model.append()
  const sizes: number[] = []
  for (let delivery = 1; delivery <= 4; delivery++) {
    const acquired = model.acquire('a', 100, false)
    sizes.push(acquired.reduce((sum, { firstOffset, lastOffset }) => sum + lastOffset - firstOffset + 1, 0))
    model.tick(LOCK_MS + 1)
  }
  expect(sizes[0]).toBe(13)
  expect(sizes[2]).toBeLessThan(13)
  model.converge()
})

test('acknowledgements that cannot be are refused as a whole', () => {
  const check = (firstOffset: number, lastOffset: number, ...acknowledgeTypes: number[]): number =>
    checkAcknowledgements([{ firstOffset, lastOffset, acknowledgeTypes }], RENEW, false)
  expect([check(3, 2, 1), check(0, 2), check(0, 2, 1, 1), check(0, 0, 5), check(0, 0, -1), check(0, 0, RENEW)]).toEqual(
    new Array(6).fill(ErrorCode.INVALID_REQUEST),
  )
  const model = held()
  expect(model.acknowledge('b', 0, 10, ACCEPT)).toBe(ErrorCode.INVALID_RECORD_STATE)
  expect(model.acknowledge('a', 0, 11, ACCEPT)).toBe(ErrorCode.INVALID_REQUEST)
  expect(model.acknowledge('a', 11, 12, ACCEPT)).toBe(ErrorCode.INVALID_RECORD_STATE)
  expect(model.acknowledge('a', 0, 10, ACCEPT)).toBe(0)
  expect(model.acknowledge('a', 0, 10, ACCEPT)).toBe(ErrorCode.INVALID_RECORD_STATE)
})

test('a delivery that ended while a write was under way is stored, though the record is delivered again by then', () => {
  const model = held()
  model.acknowledge('a', 10, 10, ACCEPT)
  model.beginWrite()
  model.tick(LOCK_MS + 1)
  model.acquire('b', 100, false)
  model.endWrite(true, true)
  model.beginWrite()
  model.endWrite(true, true)
  model.failOver()
  expect(model.acquire('c', 100, false)[0]).toMatchObject({ firstOffset: 0, deliveryCount: 2 })
})

test('very many acknowledgements of single records cut a range in one go, and mean what each of them would', () => {
  const count = 20_000
  const settings = new WindowModel({ maxRecordLocks: count }).settings
  const window = new ShareWindow(0, [], () => settings)
  acquire(window, {
    ...{ memberId: 'a', mode: 0, maxRecords: count, batchSize: count, fetchOffset: 0, hasRoom: true, nowMs: 0 },
    batches: [{ startOffset: 0, endOffset: count }],
    deliveryCountLimit: 5,
  })
  const splitAt = vi.spyOn(window, 'splitAt')
  const request = { memberId: 'a', allowsRenewal: true, nowMs: 1 }
  const batches = Array.from({ length: count / 2 }, (_, slot) => {
    return { firstOffset: 2 * slot, lastOffset: 2 * slot, acknowledgeTypes: [slot % 2 === 0 ? ACCEPT : REJECT] }
  })
  const { errorCode, moved } = acknowledge(window, { ...request, batches })
  expect([errorCode, moved.length]).toEqual([0, count / 2])
  // Each cut by itself moves all ranges behind it.
  expect(splitAt).not.toHaveBeenCalled()
  expect(acknowledge(window, { ...request, batches }).errorCode).toBe(ErrorCode.INVALID_RECORD_STATE)
  const plan = window.takeWrite()!
  expect(plan.stateBatches.slice(0, 2)).toEqual([
    { firstOffset: 2, lastOffset: 2, deliveryState: DeliveryState.ARCHIVED, deliveryCount: 1 },
    { firstOffset: 4, lastOffset: 4, deliveryState: DeliveryState.ACKNOWLEDGED, deliveryCount: 1 },
  ])
  window.onWritten(plan, true, 1)
  expect([window.startOffset, window.deliveryCompleteCount]).toEqual([1, count / 2 - 1])
})

test('records of aborted transactions are taken out of what is told, wherever batches and ranges end', () => {
  const settings = new WindowModel({ maxRecordLocks: 100 }).settings
  const of = (...ends: number[]) => ends.map((endOffset, slot) => ({ startOffset: ends[slot - 1] ?? 0, endOffset }))
  const window = new ShareWindow(0, [], () => settings)
  const request = { memberId: 'a', mode: 0, maxRecords: 100, batchSize: 10, fetchOffset: 0, hasRoom: true, nowMs: 0 }
  const acquired = acquire(window, { ...request, batches: of(10, 12, 20, 25, 40), deliveryCountLimit: 5 })
  const hidden = [
    { startOffset: 0, endOffset: 3 },
    { startOffset: 8, endOffset: 13 },
    { startOffset: 15, endOffset: 16 },
    { startOffset: 18, endOffset: 30 },
    { startOffset: 39, endOffset: 45 },
  ]
  const shown = hide(window, acquired, hidden, 'a')
  expect(shown.map(({ firstOffset, lastOffset }) => [firstOffset, lastOffset])).toEqual([
    [3, 7],
    [13, 14],
    [16, 17],
    [30, 38],
  ])
  expect(window.startOffset).toBe(3)
  expect(window.deliveryCompleteCount).toBe(5 + 1 + 12 + 1)
})
