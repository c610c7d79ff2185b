import { expect, test } from 'vitest'
import { ordersOf } from './orders.ts'
import { MAX_STALLS, MAX_SUSPECTS, type Stall, StallSuspects } from './stall-suspects.ts'

function stallOf(epoch: number, heldMs: number): Stall {
  const { value: order } = ordersOf({ seed: 1, frames: 25_000, firstEpoch: epoch }).next()
  if (order?.kind !== 'epoch') throw new Error('no epoch')
  return { order, where: `epoch ${epoch}`, what: 'a turn', sent: [], heldMs }
}

function suspectsOf(...stalls: Stall[]): StallSuspects {
  const suspects = new StallSuspects()
  for (const stall of stalls) suspects.note(stall)
  return suspects
}

test('an epoch is played again twice, however many of its turns took too long', () => {
  const suspects = suspectsOf(stallOf(4, 120), stallOf(4, 130), stallOf(9, 110))
  expect(suspects.orders().map(({ epoch }) => epoch)).toEqual([4, 9, 4, 9])
})

test("what comes again is the broker's, and what does not is counted", () => {
  const suspects = suspectsOf(stallOf(4, 120), stallOf(4, 130), stallOf(9, 110))
  const { guilty, ...others } = suspects.judge(new Set([9]))
  expect(guilty.map(({ order, heldMs }) => [order.epoch, heldMs])).toEqual([[9, 110]])
  expect(others).toEqual({ notRepeatedCount: 2, longestNotRepeatedMs: 130 })
})

test("all are the broker's where nothing was played again", () => {
  const { guilty, notRepeatedCount } = suspectsOf(stallOf(4, 120), stallOf(9, 110)).judge(null)
  expect([guilty.length, notRepeatedCount]).toEqual([2, 0])
})

test('too many are not tried again', () => {
  const stalls = Array.from({ length: MAX_SUSPECTS + 1 }, (_, epoch) => stallOf(epoch + 1, 120))
  expect(suspectsOf(...stalls).orders()).toEqual([])
  expect(suspectsOf(...stalls.slice(1)).orders()).toHaveLength(2 * MAX_SUSPECTS)
})

test('many in one epoch are too many as well', () => {
  const stalls = Array.from({ length: MAX_STALLS }, () => stallOf(4, 120))
  expect(suspectsOf(...stalls).areTooMany).toBe(true)
  expect(suspectsOf(...stalls.slice(1)).areTooMany).toBe(false)
})
