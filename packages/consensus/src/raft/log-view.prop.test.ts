import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chainOf, FIRST_CHAIN } from './chain.ts'
import { LogView, type LogWrite } from './log-view.ts'
import { voters } from './testing/memory-cluster.ts'
import { MemoryLog } from './testing/memory-log.ts'
import type { Entry } from './types.ts'
import { encodeVoters } from './voter-set.ts'

type Step =
  | { readonly type: 'append'; readonly count: number; readonly isVoters: boolean }
  | { readonly type: 'truncate' | 'restore' | 'compact'; readonly at: number }
  | { readonly type: 'take' | 'write' | 'finish' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('append' as const),
      count: fc.integer({ min: 1, max: 4 }),
      isVoters: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('truncate' as const),
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constantFrom('restore' as const, 'compact' as const),
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ type: fc.constantFrom('take' as const, 'write' as const, 'finish' as const) }) },
)

/** The log as one array, with what a snapshot replaced cut off in front. */
class Model {
  entries: Entry[] = []
  firstIndex = 1
  before = { term: 0, chain: FIRST_CHAIN }

  get lastIndex(): number {
    return this.firstIndex + this.entries.length - 1
  }
}

describe('LogView', () => {
  it('shows one log whatever is durable, in memory, or being written, and writes exactly that', () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), run), { numRuns: 500 })
  })

  it('does not take a finished write for that of entries which took the place of the written ones (C11)', () => {
    const log = new MemoryLog()
    const view = new LogView(log, voters(1))
    view.append([entryAfter(view, 1, 'a')])
    const first = view.takeWrite()
    view.truncate(1)
    view.append([entryAfter(view, 2, 'b')])
    log.write({ hardState: null, ...first })
    view.finishWrite()
    expect(view.stableIndex).toBe(0)
    const second = view.takeWrite()
    expect(second).toMatchObject({ truncateFrom: 1, entries: [{ term: 2 }] })
    log.write({ hardState: null, ...second })
    view.finishWrite()
    expect(view.stableIndex).toBe(1)
    expect(log.pointAt(1)!.term).toBe(2)
  })

  it('puts the voters before an entry in force again when it is cut off, also after a restart', () => {
    const log = new MemoryLog()
    const view = new LogView(log, voters(1))
    view.append([votersAfter(view, 1)])
    view.append([entryAfter(view, 1, 'a')])
    expect(view.newestVoters.index).toBe(1)
    log.write({ hardState: null, ...view.takeWrite() })
    view.finishWrite()
    expect(new LogView(log, voters(1)).newestVoters).toEqual({ index: 1, voters: voters(1, 2) })
    view.truncate(1)
    expect(view.newestVoters).toEqual({ index: 0, voters: voters(1) })
  })
})

function run(steps: readonly Step[]): void {
  const log = new MemoryLog()
  const view = new LogView(log, voters(1))
  const model = new Model()
  let taken: LogWrite | null = null
  let isWritten = false
  let term = 1
  for (const step of steps) {
    switch (step.type) {
      case 'append':
        for (let count = 0; count < step.count; count++) {
          const entry = step.isVoters && count === 0 ? votersAfter(view, term) : entryAfter(view, term, `${count}`)
          view.append([entry])
          model.entries.push(entry)
        }
        break
      case 'truncate': {
        const index = model.firstIndex + Math.floor(step.at * (model.entries.length + 1))
        view.truncate(index)
        model.entries.splice(index - model.firstIndex)
        term++
        break
      }
      case 'restore': {
        const index = model.lastIndex + 1 + Math.floor(step.at * 3)
        const chain = Buffer.alloc(16, index)
        const point = { index, term, chain, voters: voters(1), votersIndex: 0 }
        view.restore({ point, data: Buffer.from('state') })
        model.entries = []
        model.firstIndex = index + 1
        model.before = { term, chain }
        break
      }
      case 'compact': {
        // Only what is durable and in no doubt is in a snapshot of one's own; and not while a write is under way.
        if (taken !== null || view.hasWrite) break
        const index = log.firstIndex - 1 + Math.floor(step.at * (log.lastIndex - log.firstIndex + 2))
        if (index <= (log.snapshot?.index ?? 0)) break
        const { term: pointTerm, chain } = log.pointAt(index)!
        const { voters: set, index: votersIndex } = view.votersAt(index)!
        log.saveSnapshot({ index, term: pointTerm, chain, voters: set, votersIndex }, Buffer.from('own'), index + 1)
        view.onSnapshotSaved()
        model.before = { term: pointTerm, chain }
        model.entries.splice(0, index - model.firstIndex + 1)
        model.firstIndex = index + 1
        break
      }
      case 'take':
        if (taken === null) taken = view.takeWrite()
        break
      case 'write':
        if (taken !== null && !isWritten) log.write({ hardState: null, ...taken })
        isWritten = taken !== null
        break
      case 'finish':
        if (isWritten) {
          view.finishWrite()
          taken = null
          isWritten = false
        }
        break
    }
    compare(view, model)
  }
  if (taken !== null) {
    if (!isWritten) log.write({ hardState: null, ...taken })
    view.finishWrite()
  }
  log.write({ hardState: null, ...view.takeWrite() })
  view.finishWrite()
  expect(log.entries(log.firstIndex, log.lastIndex + 1, Number.POSITIVE_INFINITY)).toEqual(model.entries)
  expect(view.unstableBytes).toBe(0)
  compare(view, model)
}

function compare(view: LogView, model: Model): void {
  expect([view.firstIndex, view.lastIndex]).toEqual([model.firstIndex, model.lastIndex])
  expect(view.pointAt(model.firstIndex - 1)).toMatchObject(model.before)
  expect(view.pointAt(model.lastIndex + 1)).toBe(null)
  const seen: Entry[] = []
  while (model.firstIndex + seen.length <= model.lastIndex) {
    const next = view.entries(model.firstIndex + seen.length, model.lastIndex + 1, 150)
    expect(next.length).toBeGreaterThan(0)
    seen.push(...next)
  }
  expect(seen).toEqual(model.entries)
  const newest = model.entries.findLast((entry) => entry.kind === 'voters')
  if (newest !== undefined) expect(view.newestVoters.index).toBe(newest.index)
  else expect(view.newestVoters.index).toBeLessThan(model.firstIndex)
}

function entryAfter(view: LogView, term: number, text: string): Entry {
  const parts = { index: view.lastIndex + 1, term, kind: 'command', data: Buffer.from(text) } as const
  return { ...parts, chain: chainOf(view.lastPoint.chain, parts) }
}

function votersAfter(view: LogView, term: number): Entry {
  const parts = { index: view.lastIndex + 1, term, kind: 'voters', data: encodeVoters(voters(1, 2)) } as const
  return { ...parts, chain: chainOf(view.lastPoint.chain, parts) }
}
