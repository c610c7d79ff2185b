import { describe, expect, it } from 'vitest'
import { parseOptions, UsageError } from './options.ts'

describe('parseOptions', () => {
  it('runs a hundred seeds of both layers unless told otherwise', () => {
    expect(parseOptions([])).toMatchObject({ seed: null, seeds: 100, first: 1, layers: ['consensus', 'cluster'] })
    expect(parseOptions(['--seeds', '7', '--first', '40', '--consensus', '--check'])).toMatchObject({
      seeds: 7,
      first: 40,
      layers: ['consensus'],
      isChecked: true,
    })
  })

  it('takes one seed, traced or shrunk', () => {
    expect(parseOptions(['--seed', '0', '--cluster', '--trace', '--shrink'])).toMatchObject({
      seed: 0,
      layers: ['cluster'],
      isTraced: true,
      isShrunk: true,
    })
  })

  it('writes nothing down unless it is asked to', () => {
    expect(parseOptions(['--seeds', '7']).isRecorded).toBe(false)
    expect(parseOptions(['--seeds', '7', '--record', '--jobs', '2'])).toMatchObject({ isRecorded: true, jobs: 2 })
  })

  it('takes all defects or some', () => {
    expect(parseOptions([]).mutations).toBeNull()
    expect(parseOptions(['--mutations']).mutations).toEqual([''])
    expect(parseOptions(['--mutation', 'vote', '--mutation', 'read']).mutations).toEqual(['vote', 'read'])
  })

  it.each([
    ['--seed', 'x'],
    ['--seeds', '-1'],
    ['--seeds', ''],
    ['--seed', '1', '--seeds', '2'],
    ['--trace'],
    ['--consensus', '--cluster'],
    ['--nonsense'],
    ['word'],
  ])('refuses %j %j %j', (...args) => {
    expect(() => parseOptions(args.filter((arg) => arg !== undefined))).toThrow(UsageError)
  })
})
