import { expect, test } from 'vitest'
import type { BudgetReading } from '../../load/scrape.ts'
import { tooLittle } from '../../load/work.ts'
import { judge, largeProduces, type Observation } from './verdict.ts'

const MIB = 1024 * 1024

const good: Observation = {
  judgesTimes: true,
  quietP99Ms: 4,
  loadedP99Ms: 7.9,
  undisturbedSecondsMissing: 0,
  largeMostMs: 9000,
  neighbourErrors: [],
  busyErrors: [],
  anonymousBeforeBytes: 80 * MIB,
  anonymousMostBytes: 400 * MIB,
  anonymousAfterBytes: 120 * MIB,
  anonymousAllowedBytes: 500 * MIB,
  anonymousKeptBytes: 160 * MIB,
  descriptorsBefore: 40,
  descriptorsAfter: 60,
  idleWanted: 100,
  idleKept: 100,
  works: [{ what: 'produces of the neighbour', count: 4000, least: 3000 }],
  budgetsUnderLoad: [
    { name: 'answers', used: 100, limit: 100 },
    { name: 'request-frames', used: 150, limit: 100 },
    { name: 'connections', used: 5000, limit: Number.POSITIVE_INFINITY },
  ],
  budgetsAfter: [
    { name: 'answers', used: 0, limit: 100 },
    { name: 'connections', used: 2, limit: 100 },
    { name: 'request-frames', used: 0, limit: 100 },
    { name: 'fetch-sessions', used: 50, limit: 1000 },
  ],
}

/** Readings with another one in the place of the one of its name, or with none of that name. */
function withReading(readings: readonly BudgetReading[], name: string, other: BudgetReading | null): BudgetReading[] {
  return readings.flatMap((reading) => (reading.name !== name ? [reading] : other === null ? [] : [other]))
}

const answers = (used: number, limit: number) => ({ name: 'answers', used, limit })
const under = (used: number, limit: number) => withReading(good.budgetsUnderLoad, 'answers', answers(used, limit))

const complaints = (changes: Partial<Observation>) => judge({ ...good, ...changes }).filter((found) => found !== null)

test('a broker that keeps its bounds passes every check', () => {
  expect(complaints({})).toEqual([])
  expect(judge(good)).toHaveLength(21)
})

test('a neighbour that gets fewer large produces done than it may take time for is found', () => {
  expect(tooLittle([largeProduces(3, 60_000, 0.5)])).toEqual([])
  expect(tooLittle([largeProduces(2, 60_000, 0.5)])).toHaveLength(1)
  expect(tooLittle([largeProduces(1, 8000, 0.1)])).toEqual([])
  expect(tooLittle([largeProduces(0, 8000, 0.1)])).toHaveLength(1)
})

test('frames may be above their bound by as much again, and no other budget may', () => {
  const reading = (used: number) => ({ name: 'request-frames', used, limit: 100 })
  const frames = (used: number) => withReading(good.budgetsUnderLoad, 'request-frames', reading(used))
  expect(complaints({ budgetsUnderLoad: frames(200) })).toEqual([])
  expect(complaints({ budgetsUnderLoad: frames(201) })).toHaveLength(1)
})

test('times are judged only where a run asks for it', () => {
  expect(
    complaints({ judgesTimes: false, loadedP99Ms: 100, largeMostMs: 60_000, undisturbedSecondsMissing: 9 }),
  ).toEqual([])
  expect(complaints({ judgesTimes: false, idleKept: 99 })).toHaveLength(1)
})

test.each([
  ['a neighbour that waits three times as long', { loadedP99Ms: 12 }, '3.0 times'],
  ['a large produce that waits for long', { largeMostMs: 11_000 }, '11.0 s'],
  ['a latency that is no number', { loadedP99Ms: Number.NaN }, 'NaN'],
  ['a neighbour that was refused', { neighbourErrors: ['error 7'] }, 'error 7'],
  ['a busy client that was refused', { busyErrors: ['lost'] }, 'lost'],
  ['an idle connection that was lost', { idleKept: 99 }, '99 of 100'],
  ['memory above what is allowed', { anonymousMostBytes: 581 * MIB }, 'grew by 501 MiB'],
  ['memory that stays', { anonymousAfterBytes: 241 * MIB }, '161 MiB'],
  ['descriptors that stay', { descriptorsAfter: 105 }, '65 descriptors'],
  ['a budget above its limit', { budgetsUnderLoad: under(101, 100) }, 'answers: 101'],
  ['a budget without a limit', { budgetsUnderLoad: under(1, Number.NaN) }, 'answers'],
  [
    'a budget that is not given back',
    { budgetsAfter: withReading(good.budgetsAfter, 'answers', answers(1, 100)) },
    'still used',
  ],
  [
    'a budget that is not told of',
    { budgetsUnderLoad: withReading(good.budgetsUnderLoad, 'request-frames', null) },
    'request-frames: the broker does not tell',
  ],
  ['a neighbour that is not served', { works: [{ what: 'produces', count: 2, least: 3000 }] }, '2 produces'],
  ['a latency of nothing', { loadedP99Ms: 0 }, 'was not measured'],
  ['a machine that others slowed down', { undisturbedSecondsMissing: 7 }, '7 seconds'],
] satisfies [string, Partial<Observation>, string][])('%s is found', (_name, changes, text) => {
  const found = complaints(changes)
  expect(found).toHaveLength(1)
  expect(found[0]).toContain(text)
})
