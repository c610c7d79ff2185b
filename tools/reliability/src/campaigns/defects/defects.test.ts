import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { nameOfAttack } from './attack.ts'
import { withDefect } from './defect.ts'
import { defects, quickDefects } from './defects.ts'
import { defectsPage } from './defects-page.ts'
import { HUNT } from './hunt.ts'
import { soundComplaints } from './index.ts'
import { ALL_ATTACKS } from './run-attack.ts'
import { type Hunted, huntedOf, startHunt } from './start-hunt.ts'

const sources = join(import.meta.dirname, '../../../../../packages/storage/src')

test('there are at least 45 defects, each with a name of its own, and a place where it shows', () => {
  expect(new Set(defects.map(({ name }) => name)).size).toBe(defects.length)
  expect(defects.length).toBeGreaterThanOrEqual(45)
  expect(quickDefects.length).toBe(27)
  expect(defects.filter(({ shownBy }) => shownBy.length === 0)).toEqual([])
})

test.each(defects)('the source that "$name" replaces is still there, once', (defect) => {
  const source = readFileSync(join(sources, defect.file), 'utf8')
  expect(withDefect(source, defect)).not.toBe(source)
})

test('a defect whose source is gone, or stands twice, is refused', () => {
  const defect = { name: 'x', file: 'y.ts', from: 'one', to: 'two', shownBy: [] }
  expect(withDefect('just one', defect)).toBe('just two')
  expect(() => withDefect('zero', defect)).toThrow('0 times')
  expect(() => withDefect('one one', defect)).toThrow('2 times')
})

test('what is tried of its own accord is every kind of attack, each told apart by its name, and some of each among the first', () => {
  expect(new Set(ALL_ATTACKS.map(nameOfAttack)).size).toBe(ALL_ATTACKS.length)
  const kinds = new Set(ALL_ATTACKS.slice(0, 7).map(({ kind }) => kind))
  expect([...kinds].sort()).toEqual(['crashes', 'damage', 'faults', 'lost indexes', 'mixed crashes', 'traces'])
  const named = defects.flatMap(({ shownBy }) => shownBy).map(({ kind }) => kind)
  expect(new Set(ALL_ATTACKS.map(({ kind }) => kind))).toEqual(new Set([...named, 'mixed crashes', 'traces']))
})

test('a run in which storage without a defect was hardly tried proves nothing', () => {
  expect(soundComplaints(200, 4)).toEqual([])
  expect(soundComplaints(0, 4)).toHaveLength(1)
  expect(soundComplaints(0, 0)).toHaveLength(1)
})

test('a hunt tells which invariant did not hold, and one that did not end proves nothing', () => {
  const failure = 'rolls 7, crash 3 at write /data/topic-0: S1: log ends at 3, durable was 5'
  const output = `noise\n${JSON.stringify({ recoveries: 12, failure, attack: 'crashes, rolls' })}\n`
  expect(huntedOf(HUNT.found, output, '', 2)).toMatchObject({ kind: 'found', invariant: 'S1', recoveryCount: 12 })
  const broken = JSON.stringify({ recoveries: 1, failure: 'unhandled rejection: EIO', attack: 'traces' })
  expect(huntedOf(HUNT.found, broken, '', 2)).toMatchObject({ invariant: '-', attack: 'traces' })
  const nothing = JSON.stringify({ recoveries: 500, failure: null, attack: null })
  expect(huntedOf(HUNT.nothingFound, nothing, '', 2)).toMatchObject({ kind: 'not found', recoveryCount: 500 })
  expect(huntedOf(null, '', 'killed', 2)).toMatchObject({ kind: 'broken', reason: 'killed' })
  expect(huntedOf(HUNT.notApplied, '', 'ended with 20', 2)).toMatchObject({ kind: 'broken' })
})

test('a start that is killed while it builds a lost index anew is hunted in a process with the defect, and in one without', {
  timeout: 120_000,
}, async () => {
  const defect = defects.find(({ name }) => name === 'what a clean stop left is not compared after a kill')!
  const options = { seed: 1, named: defect.shownBy, general: [], signal: new AbortController().signal }
  expect(await startHunt(defect, { ...options, rounds: 5 })).toMatchObject({ kind: 'found', invariant: 'S4' })
  const sound = await startHunt(null, { ...options, rounds: 1 })
  expect(sound).toMatchObject({ kind: 'not found' })
  expect(sound.recoveryCount).toBeGreaterThan(0)
})

test('the page has a row for each defect that was caught', () => {
  const hunted: Hunted = {
    kind: 'found',
    recoveryCount: 1234,
    seconds: 2.4,
    invariant: 'S4',
    attack: 'crashes, rolls',
    reason: '',
  }
  const page = defectsPage([{ defect: defects[0]!, hunted }], 5678)
  expect(page).toContain(`| ${defects[0]!.name} | \`${defects[0]!.file}\` | S4 | crashes, rolls | 1,234 | 2 s |`)
  expect(page).toContain('5,678 recoveries found nothing')
})
