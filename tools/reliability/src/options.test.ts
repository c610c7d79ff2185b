import { expect, test } from 'vitest'
import type { Campaign } from './campaign.ts'
import { refuseStrangers, sizeOf, UsageError } from './options.ts'

const campaign = (name: string, ...options: string[]): Campaign => ({
  name,
  summary: name,
  sizes: {
    ci: Object.fromEntries(options.map((option) => [option, 1])),
    full: Object.fromEntries(options.map((option) => [option, 1000])),
  },
  run: () => Promise.reject(new Error('not run')),
})
const [kills, frames] = [campaign('kills', 'kills'), campaign('frames', 'frames', 'epoch')]

test('a size is CI’s or the full one, but for what is given', () => {
  expect(sizeOf(frames, false, {})).toEqual({ frames: 1000, epoch: 1000 })
  expect(sizeOf(frames, true, { epoch: '7', frames: undefined, other: '3' })).toEqual({ frames: 1, epoch: 7 })
})

test.each(['', ' ', '-1', '1.5', 'many', 'NaN'])('%j is no count', (text) => {
  expect(() => sizeOf(frames, false, { frames: text })).toThrow(UsageError)
})

test('an option of a campaign that does not run is refused', () => {
  refuseStrangers([kills, frames], [frames], { frames: '1' })
  refuseStrangers([kills, frames], [kills, frames], { kills: '1' })
  expect(() => refuseStrangers([kills, frames], [frames], { kills: '1' })).toThrow('frames: there is no option --kills')
})
