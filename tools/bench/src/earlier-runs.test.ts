import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { ResultRow } from './bench-case.ts'
import { lastWholeSet, readRows } from './earlier-runs.ts'
import type { VariantName } from './variant.ts'

const row = (variant: VariantName, round: number, commit = 'abc'): ResultRow => ({
  group: 'start-up',
  name: 'fresh',
  variant,
  round,
  commit,
  figures: {},
  load1: 1,
})
const both = ['kafka', 'millrace'] as const
const set = (commit: string) => [
  row('kafka', 1, commit),
  row('millrace', 1, commit),
  row('millrace', 2, commit),
  row('kafka', 2, commit),
]

it('takes a whole set, whatever a run that was stopped left before or behind it', () => {
  expect(lastWholeSet(set('one'), both, 2)).toEqual(set('one'))
  expect(lastWholeSet([...set('half').slice(0, 3), ...set('one')], both, 2)).toEqual(set('one'))
  expect(lastWholeSet([...set('one'), ...set('half').slice(0, 3)], both, 2)).toEqual(set('one'))
  expect(lastWholeSet([...set('one'), ...set('two')], both, 2)).toEqual(set('two'))
})

it('takes nothing when no set is whole', () => {
  expect(lastWholeSet(set('half').slice(0, 3), both, 2)).toEqual([])
  expect(lastWholeSet(set('fewer rounds'), both, 3)).toEqual([])
  expect(lastWholeSet(set('fewer variants'), [...both, 'kafka-flush'], 2)).toEqual([])
  expect(lastWholeSet([...set('one').slice(0, 3), row('kafka', 1)], both, 2)).toEqual([])
  expect(lastWholeSet(set('one'), [], 2)).toEqual([])
})

it('names the line of a results file that it cannot read', () => {
  const directory = mkdtempSync(join(tmpdir(), 'bench-'))
  try {
    const file = join(directory, 'rows.jsonl')
    expect(readRows(file)).toEqual([])
    writeFileSync(file, `${JSON.stringify(row('kafka', 1))}\n\n${JSON.stringify(row('millrace', 1))}\n`)
    expect(readRows(file)).toEqual([row('kafka', 1), row('millrace', 1)])
    writeFileSync(file, `${JSON.stringify(row('kafka', 1))}\n{"group":"st`)
    expect(() => readRows(file)).toThrow('line 2')
  } finally {
    rmSync(directory, { recursive: true })
  }
})
