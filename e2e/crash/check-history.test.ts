import { describe, expect, it } from 'vitest'
import { type Allowances, checkHistory } from './check-history.ts'
import {
  type Acknowledged,
  type History,
  type ProducerKind,
  partitionCount,
  partitionOf,
  type Stored,
  textOf,
} from './history.ts'

/** Method: a good history made by hand, and one change each that the checker must notice. */
function goodHistory(kind: ProducerKind = 'idempotent'): { producers: [Mutable]; stored: Stored[] } {
  const sequences = Array.from({ length: 12 }, (_, sequence) => sequence)
  const offsetOf = (sequence: number) => Math.floor(sequence / partitionCount)
  const acknowledged = sequences.map((sequence) => ({
    producer: 'p',
    sequence,
    partition: partitionOf(sequence),
    offset: offsetOf(sequence),
  }))
  const stored = acknowledged.map(({ sequence, partition, offset }) => ({
    partition,
    offset,
    value: textOf('p', sequence),
  }))
  return { producers: [{ name: 'p', kind, sentCount: 12, acknowledged }], stored: inOrder(stored) }
}

interface Mutable {
  name: string
  kind: ProducerKind
  sentCount: number
  acknowledged: Acknowledged[]
}

const inOrder = (stored: Stored[]) => [...stored].sort((a, b) => a.partition - b.partition || a.offset - b.offset)

const kinds = (history: History, allowances: Allowances = {}) =>
  [...new Set(checkHistory(history, allowances).map((problem) => problem.split(':')[0]))].sort()

describe('the checker of crash histories', () => {
  it('finds nothing wrong where all was kept', () => {
    expect(checkHistory(goodHistory())).toEqual([])
    expect(checkHistory(goodHistory('plain'))).toEqual([])
    expect(checkHistory(goodHistory('leader'))).toEqual([])
  })

  it('allows a record that was stored and never acknowledged', () => {
    const history = goodHistory()
    history.producers[0].acknowledged.splice(5, 1)
    expect(checkHistory(history)).toEqual([])
  })

  it('asks of a record that was acknowledged without an offset that it is there, wherever', () => {
    const history = goodHistory()
    const [first] = history.producers[0].acknowledged
    history.producers[0].acknowledged[0] = { ...(first as Acknowledged), offset: null }
    expect(checkHistory(history)).toEqual([])
    history.stored = history.stored.filter(({ value }) => value !== textOf('p', 0))
    expect(kinds(history)).toContain('lost')
  })

  it('notices an acknowledged record that is gone from the end', () => {
    const history = goodHistory()
    history.stored = history.stored.filter(({ value }) => value !== textOf('p', 11))
    expect(kinds(history)).toEqual(['lost'])
  })

  it('notices a record that is gone from the middle, its offset taken by the next', () => {
    const history = goodHistory()
    history.stored = history.stored
      .filter(({ value }) => value !== textOf('p', 4))
      .map((record) =>
        record.partition === 1 && record.offset > 1 ? { ...record, offset: record.offset - 1 } : record,
      )
    expect(kinds(history)).toEqual(['lost', 'moved'])
  })

  it('notices a gap in the offsets', () => {
    const history = goodHistory()
    history.producers[0].acknowledged.splice(4, 1)
    history.stored = history.stored.filter(({ value }) => value !== textOf('p', 4))
    expect(kinds(history)).toEqual(['gap'])
  })

  it('notices a repeated record of an idempotent producer and allows it to a plain one', () => {
    const again = (history: ReturnType<typeof goodHistory>) => {
      history.stored = inOrder([...history.stored, { partition: 2, offset: 4, value: textOf('p', 11) }])
      return history
    }
    expect(kinds(again(goodHistory('idempotent')))).toEqual(['repeated'])
    expect(kinds(again(goodHistory('plain')))).toEqual([])
  })

  it('notices two records that changed places, for either kind of producer', () => {
    for (const kind of ['idempotent', 'plain', 'leader'] as const) {
      const history = goodHistory(kind)
      const [a, b] = [textOf('p', 3), textOf('p', 6)]
      history.stored = history.stored.map((record) => ({
        ...record,
        value: record.value === a ? b : record.value === b ? a : record.value,
      }))
      expect(kinds(history)).toEqual(['moved', 'out of order'])
    }
  })

  it('notices acknowledgements that name offsets in the wrong order', () => {
    const history = goodHistory('plain')
    const [first, second] = [
      history.producers[0].acknowledged[0] as Acknowledged,
      history.producers[0].acknowledged[3] as Acknowledged,
    ]
    history.producers[0].acknowledged[0] = { ...first, offset: second.offset }
    history.producers[0].acknowledged[3] = { ...second, offset: first.offset }
    expect(kinds(history)).toEqual(['acknowledged out of order', 'moved'])
  })

  it('notices a value that nobody sent, was cut short or lies in the wrong partition', () => {
    const values: [string, number][] = [
      ['other:0:', 0],
      [textOf('p', 12), 0],
      [textOf('p', 9).slice(0, -1), 0],
      [textOf('p', 10), 0],
      ['\0\0\0\0', 0],
    ]
    for (const [value, partition] of values) {
      const history = goodHistory()
      history.stored = inOrder([...history.stored, { partition, offset: 4, value }])
      expect(kinds(history)).toContain('never sent')
    }
  })

  it('allows retention to remove what lies before the start, and nothing behind it', () => {
    const history: History & ReturnType<typeof goodHistory> = { ...goodHistory(), startOffsets: [2, 0, 0] }
    history.stored = history.stored.filter(({ partition, offset }) => partition !== 0 || offset >= 2)
    const retention = { retainedBytes: 100 }
    expect(checkHistory(history, retention)).toEqual([])
    expect(kinds({ ...history, startOffsets: [1, 0, 0] }, retention)).toEqual(['gap', 'lost'])
    const [first] = history.producers[0].acknowledged
    history.producers[0].acknowledged[0] = { ...(first as Acknowledged), offset: null }
    expect(checkHistory(history, retention)).toEqual([])
  })

  it('notices records that are gone from the front where nothing removes any, or that retention should have left', () => {
    const history: History & ReturnType<typeof goodHistory> = { ...goodHistory(), startOffsets: [2, 0, 0] }
    history.stored = history.stored.filter(({ partition, offset }) => partition !== 0 || offset >= 2)
    expect(kinds(history)).toEqual(['removed'])
    expect(kinds(history, { retainedBytes: 10_000 })).toEqual(['removed'])
    history.stored = history.stored.filter(({ partition }) => partition !== 0)
    expect(kinds({ ...history, startOffsets: [4, 0, 0] }, { retainedBytes: 100 })).toEqual(['removed'])
  })

  it('lets a power cut take the end from a producer that only the leader answered, in order, and from no other', () => {
    for (const kind of ['idempotent', 'plain', 'leader'] as const) {
      const history = goodHistory(kind)
      history.stored = history.stored.filter(({ offset }) => offset < 3)
      expect(kinds(history)).toEqual(['lost'])
      expect(checkHistory(history, { unsyncedLoss: true }).length === 0).toBe(kind === 'leader')
    }
    const history = goodHistory('leader')
    const [a, b] = [textOf('p', 3), textOf('p', 6)]
    history.stored = history.stored.map((record) => ({
      ...record,
      value: record.value === a ? b : record.value === b ? a : record.value,
    }))
    expect(checkHistory(history, { unsyncedLoss: true }).join()).toContain('out of order')
  })

  it('tells of a whole class of losses in a few lines', () => {
    const history = goodHistory()
    history.stored = []
    const problems = checkHistory(history)
    expect(problems).toHaveLength(6)
    expect(problems.at(-1)).toBe('lost: 12 in all')
  })
})
