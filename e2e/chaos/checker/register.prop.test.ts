import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkRegister, type RegisterOperation } from './register.ts'

/** Method: every small history is also tried in all orders that its times permit. */
function isAtomic(operations: readonly RegisterOperation[], value: string | null = null): boolean {
  // Who must come first: nobody that another one ended before.
  const ends = operations.map(({ completedMs }) => completedMs)
  if (operations.every(({ kind, completedMs }) => kind === 'read' || completedMs === Number.POSITIVE_INFINITY)) {
    if (operations.every(({ kind }) => kind === 'write')) return true
  }
  return operations.some((operation, slot) => {
    if (ends.some((endMs) => endMs < operation.invokedMs)) return false
    if (operation.kind === 'read' && operation.value !== value) return false
    const rest = operations.filter((_, other) => other !== slot)
    return isAtomic(rest, operation.kind === 'write' ? operation.value : value)
  })
}

const times = fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 0, max: 9 }))

const histories = fc
  .tuple(fc.array(times, { minLength: 1, maxLength: 4 }), fc.array(fc.tuple(times, fc.nat(4)), { maxLength: 4 }))
  .map(([writes, reads]): RegisterOperation[] => [
    ...writes.map(([beginMs, lengthMs, unknown], slot) => ({
      kind: 'write' as const,
      value: `v${slot}`,
      // No two times are equal, so that before and after are never in doubt.
      invokedMs: beginMs + slot / 100,
      completedMs: unknown === 0 ? Number.POSITIVE_INFINITY : beginMs + lengthMs + slot / 100 + 0.001,
    })),
    ...reads.map(([[beginMs, lengthMs], which], slot) => ({
      kind: 'read' as const,
      value: which < writes.length ? `v${which}` : null,
      invokedMs: beginMs + slot / 100 + 0.5,
      completedMs: beginMs + lengthMs + slot / 100 + 0.501,
    })),
  ])

describe('zones of a register', () => {
  it('say the same as trying all orders', () => {
    let atomicCount = 0
    fc.assert(
      fc.property(histories, (operations) => {
        const expected = isAtomic(operations)
        if (expected) atomicCount++
        expect(checkRegister(operations).length === 0).toBe(expected)
      }),
      { numRuns: 3000, seed: 7 },
    )
    // Neither kind is rare among them, or the comparison would say little.
    expect(atomicCount).toBeGreaterThan(300)
    expect(atomicCount).toBeLessThan(2700)
  })

  it('name a value that nobody wrote, and one that was read too early', () => {
    const read: RegisterOperation = { kind: 'read', value: 'x', invokedMs: 0, completedMs: 1 }
    const write: RegisterOperation = { kind: 'write', value: 'x', invokedMs: 2, completedMs: 3 }
    expect(checkRegister([read])).toEqual(['x was read and never written'])
    expect(checkRegister([read, write])).toEqual(['x was read before it was written'])
  })

  it('take nothing from a write without an end that nobody read', () => {
    const write: RegisterOperation = { kind: 'write', value: 'x', invokedMs: 0, completedMs: Number.POSITIVE_INFINITY }
    expect(checkRegister([write, { kind: 'read', value: null, invokedMs: 5, completedMs: 6 }])).toEqual([])
  })
})
