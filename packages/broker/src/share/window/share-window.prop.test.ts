import fc from 'fast-check'
import { expect, test } from 'vitest'
import { WindowModel } from '../testing/window-model.ts'
import { AcknowledgeType } from './acknowledge.ts'

const member = fc.constantFrom('a', 'b', 'c')
const action = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('append' as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('acquire' as const),
      member,
      maxRecords: fc.integer({ min: 1, max: 30 }),
      isStrict: fc.boolean(),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('acknowledge' as const),
      member,
      first: fc.integer({ min: 0, max: 40 }),
      length: fc.integer({ min: 1, max: 12 }),
      type: fc.constantFrom(...Object.values(AcknowledgeType)),
      isOwn: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('release' as const), member }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('tick' as const), ms: fc.constantFrom(1, 30, 101, 500) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('begin-write' as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('end-write' as const), isApplied: fc.boolean(), isTold: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fail-over' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), count: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('dead-letter' as const) }) },
)

test.each([
  ['plain', {}],
  ['with dead letters and delays', { keepsDeadLetters: true, redeliveryDelayMs: 20, redeliveryMaxDelayMs: 50 }],
  ['with a narrow window and a large limit', { maxRecordLocks: 5, deliveryCountLimit: 6 }],
])('a window keeps its promises, %s', (_name, settings) => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 150, size: 'max' }), (actions) => {
      const model = new WindowModel(settings)
      const held: { member: string; firstOffset: number; lastOffset: number }[] = []
      for (const step of actions) {
        switch (step.kind) {
          case 'append':
            model.append()
            break
          case 'acquire':
            for (const range of model.acquire(step.member, step.maxRecords, step.isStrict)) {
              held.push({ member: step.member, ...range })
            }
            break
          case 'acknowledge': {
            const own = step.isOwn ? held.splice(step.first % Math.max(1, held.length), 1)[0] : undefined
            if (own !== undefined) model.acknowledge(own.member, own.firstOffset, own.lastOffset, step.type)
            else model.acknowledge(step.member, step.first, step.first + step.length - 1, step.type)
            break
          }
          case 'release':
            model.release(step.member)
            break
          case 'tick':
            model.tick(step.ms)
            break
          case 'begin-write':
            model.beginWrite()
            break
          case 'end-write':
            model.endWrite(step.isApplied, step.isTold)
            break
          case 'fail-over':
            model.failOver()
            break
          case 'delete':
            model.deleteRecords(step.count)
            break
          case 'dead-letter':
            model.writeDeadLetter()
            break
        }
      }
      model.converge()
      expect(model.window.startOffset).toBe(model.logEndOffset)
    }),
    { numRuns: 200 },
  )
})
