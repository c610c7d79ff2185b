import { expect, test } from 'vitest'
import type { QuorumFigures, QuorumWait } from '../metrics/cluster-metrics.ts'
import { type StartState, startWords } from './start-words.ts'

const NOTHING_TOLD: StartState = {
  activeController: null,
  isCaughtUp: false,
  isRegistered: false,
  refusal: null,
  figures: null,
  wait: null,
}
const LEADERLESS: QuorumWait = { isFirst: false, voters: [1, 2, 3], missing: [2, 3], disagreeing: [] }
const FIGURES = { appliedIndex: 12, commitIndex: 3000 } as QuorumFigures

function words(state: Partial<StartState>): string {
  return startWords({ ...NOTHING_TOLD, ...state })
}

test('without a controller, what the quorum lacks is told as far as it is known', () => {
  expect(words({})).toBe('an active controller')
  expect(words({ wait: LEADERLESS })).toBe('a majority of the controllers (1, 2, 3); not connected: 2, 3')
  expect(words({ wait: { ...LEADERLESS, missing: [] } })).toBe(
    'the controllers (1, 2, 3) to elect one of them; all are connected',
  )
})

test('a quorum that has not begun waits for all of its first voters, and for one list of them', () => {
  const all = 'all of the first controllers (1, 2, 3) to be up once, with the same voters set'
  const first = { ...LEADERLESS, isFirst: true }
  expect(words({ wait: first })).toBe(`${all}; nothing is heard of 2, 3`)
  expect(words({ wait: { ...first, missing: [2], disagreeing: [3] } })).toBe(
    `${all}; nothing is heard of 2; other voters are set at 3`,
  )
  expect(words({ wait: { ...first, missing: [] } })).toBe(all)
})

test('with a controller it is the metadata, then the registration, then to be let in', () => {
  // Told once a second: what was told before there was a controller is not told on.
  const found = { activeController: 2, wait: LEADERLESS }
  expect(words(found)).toBe('the metadata of the cluster')
  expect(words({ ...found, figures: FIGURES })).toBe('the metadata of the cluster: 12 of 3000 entries are applied')
  expect(words({ ...found, isCaughtUp: true })).toBe('controller 2 to register it')
  expect(words({ ...found, isCaughtUp: true, refusal: 'the id is taken' })).toBe(
    'controller 2 to register it, which says: the id is taken',
  )
  expect(words({ ...found, isCaughtUp: true, isRegistered: true, refusal: 'before' })).toBe(
    'controller 2 to let it serve',
  )
})

test('a controller that is lost on the way is waited for first', () => {
  expect(words({ isCaughtUp: true, isRegistered: true, wait: LEADERLESS })).toBe(
    'a majority of the controllers (1, 2, 3); not connected: 2, 3',
  )
})
