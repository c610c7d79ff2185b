import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { withMutation } from './mutation.ts'
import { mutations } from './mutations.ts'

const root = join(import.meta.dirname, '../../../..')

describe('the deliberate defects', () => {
  it('have names of their own', () => {
    expect(new Set(mutations.map(({ name }) => name)).size).toBe(mutations.length)
  })

  it.each(mutations)('"$name" stands in the source as it is now, once', (mutation) => {
    const source = readFileSync(join(root, mutation.file), 'utf8')
    expect(withMutation(source, mutation)).not.toBe(source)
  })

  it('are refused where the source has changed', () => {
    const mutation = { name: 'x', file: 'y.ts', from: 'a', to: 'b', layer: 'consensus' } as const
    expect(() => withMutation('a a', mutation)).toThrow('2 times')
    expect(() => withMutation('c', mutation)).toThrow('0 times')
  })
})
