import { expect, test } from 'vitest'
import { EPOCH_FRAMES, ordersOf } from './orders.ts'

const epochsOf = (frames: number, firstEpoch: number, seed = 1) =>
  [...ordersOf({ seed, frames, firstEpoch })].flatMap((order) => (order.kind === 'epoch' ? [order] : []))

test('epochs have all frames of a run together, and some of them many', () => {
  const epochs = epochsOf(1_000_000, 0)
  expect(epochs.reduce((sum, { frames }) => sum + frames, 0)).toBe(1_000_000)
  expect(epochs.map(({ epoch }) => epoch)).toEqual(epochs.map((_, at) => at))
  expect(epochs.some(({ frames }) => frames > 4 * EPOCH_FRAMES)).toBe(true)
  expect(epochsOf(10, 0).map(({ frames }) => frames)).toEqual([10])
})

test('what is known to be dear comes first, and not again in a run that goes on', () => {
  expect([...ordersOf({ seed: 1, frames: 1, firstEpoch: 0 })].map(({ kind }) => kind)).toEqual([
    'sweep',
    'corpus',
    'epoch',
  ])
  expect([...ordersOf({ seed: 1, frames: 1, firstEpoch: 4 })].map(({ kind }) => kind)).toEqual(['epoch'])
})

test('an epoch is the same wherever a run begins, and another with another seed', () => {
  const [, , third] = epochsOf(100_000, 0)
  expect(epochsOf(EPOCH_FRAMES, 2)).toEqual([third])
  expect(epochsOf(EPOCH_FRAMES, 2, 7)[0]!.seed).not.toBe(third!.seed)
})
