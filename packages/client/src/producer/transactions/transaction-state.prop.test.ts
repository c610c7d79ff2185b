import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  AbortableTransactionError,
  FatalTransactionError,
  TransactionAbortedError,
} from '../../errors/transaction-errors.ts'
import { TransactionState } from './transaction-state.ts'

const MOVES = ['uninitialized', 'ready', 'open', 'flushing', 'committing', 'aborting'] as const

test('whatever fails when, only open transactions take records, and what is broken is never committed', () => {
  const steps = fc.array(
    fc.oneof(
      fc.constantFrom(...MOVES).map((to) => ({ kind: 'move' as const, to })),
      fc.constantFrom('abortable' as const, 'fatal' as const, 'aborted' as const).map((kind) => ({ kind })),
    ),
    { maxLength: 40 },
  )
  fc.assert(
    fc.property(steps, (list) => {
      const state = new TransactionState()
      let mayCommit = true
      for (const step of list) {
        const before = state.status
        if (step.kind === 'move') {
          try {
            state.moveTo(step.to)
          } catch {
            expect(state.status).toBe(before)
            continue
          }
          if (step.to === 'open') mayCommit = true
          if (step.to === 'committing') expect(mayCommit).toBe(true)
        } else {
          const error =
            step.kind === 'fatal'
              ? new FatalTransactionError('f')
              : step.kind === 'abortable'
                ? new AbortableTransactionError('a')
                : new TransactionAbortedError()
          const changed = state.fail(error)
          expect(changed).toBe(state.status !== before)
          if (changed) mayCommit = false
          if (step.kind === 'fatal') expect(state.status).toBe('dead')
        }
        expect(state.error !== null).toBe(state.status === 'broken' || state.status === 'dead')
        expect(state.isSending && state.isDropping).toBe(false)
        if (state.status === 'open') state.assertOpen()
        else expect(() => state.assertOpen()).toThrow()
      }
    }),
  )
})
