import { describe, expect, it } from 'vitest'
import { CHAIN_BYTES, chainOf, FIRST_CHAIN } from './chain.ts'
import type { EntryKind } from './types.ts'

const entry = { index: 1, term: 1, kind: 'command' as EntryKind, data: Buffer.from('value') }

describe('chainOf', () => {
  it('is what it was when the first logs were written: it stands on disks', () => {
    expect(chainOf(FIRST_CHAIN, entry).toString('hex')).toBe('768b46e717b47651e6a3e4345e40a265')
  })

  it('differs with each part of the entry and with what is before it', () => {
    const changed = [
      { ...entry, index: 2 },
      { ...entry, index: 1 + 2 ** 32 },
      { ...entry, term: 2 },
      { ...entry, term: 1 + 2 ** 40 },
      { ...entry, kind: 'empty' as const },
      { ...entry, data: Buffer.from('valve') },
      { ...entry, data: Buffer.alloc(0) },
    ]
    const chains = [entry, ...changed].map((other) => chainOf(FIRST_CHAIN, other).toString('hex'))
    chains.push(chainOf(chainOf(FIRST_CHAIN, entry), entry).toString('hex'))
    expect(new Set(chains).size).toBe(chains.length)
    expect(chains.every((chain) => chain.length === 2 * CHAIN_BYTES)).toBe(true)
  })
})
