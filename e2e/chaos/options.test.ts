import { describe, expect, it } from 'vitest'
import { commandOptions, help, UsageError } from './options.ts'

const parse = (...args: string[]) => commandOptions(args, 42)
const names = (...args: string[]) => parse(...args).faults.map(({ name }) => name)

describe('the options of the chaos command', () => {
  it('have defaults, and a seed that is new each time', () => {
    expect(parse()).toMatchObject({ nodes: 3, seconds: 300, seed: 42, page: null, isRecorded: false, check: null })
    expect(parse('--seed', '7', '--minutes', '0.5', '--nodes', '5')).toMatchObject({ seed: 7, seconds: 30, nodes: 5 })
  })

  it('are the same each time in CI, and need no privileges there', () => {
    expect(parse('--ci')).toEqual(commandOptions(['--ci'], 43))
    expect(names('--ci')).toContain('kill-leader')
    expect(names('--ci')).not.toContain('disk-full')
    expect(parse('--ci', '--seed', '5', '--faults', 'kill')).toMatchObject({ seed: 5, faultNames: 'kill' })
  })

  it('take faults by family and by name', () => {
    expect(names('--faults', 'kill-all, cut-ring')).toEqual(['kill-all', 'cut-ring'])
    expect(names('--faults', 'kill')).toContain('kill-majority')
    expect(names('--faults', 'none')).toEqual([])
  })

  it('leave out what a smaller cluster cannot have, unless it was asked for by name', () => {
    expect(names('--nodes', '1', '--faults', 'kill')).toEqual(['kill-leader', 'kill-one', 'kill-all'])
    expect(() => parse('--nodes', '1', '--faults', 'kill-majority')).toThrow('kill-majority: needs 3 nodes')
    expect(() => parse('--nodes', '1', '--faults', 'membership')).toThrow('none of them')
  })

  it('refuse what they do not know', () => {
    expect(() => parse('--faults', 'earthquake')).toThrow(UsageError)
    expect(() => parse('--nodes', '4')).toThrow(UsageError)
    expect(() => parse('--minutes', 'many')).toThrow(UsageError)
    expect(() => parse('--system', 'abacus')).toThrow(UsageError)
    expect(() => parse('--unheard-of')).toThrow('unheard-of')
  })

  it('are explained', () => {
    for (const word of ['--minutes', 'kill-leader', 'cut-one-way', '--check']) expect(help()).toContain(word)
  })
})
