import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { withDefect } from './defect.ts'
import { defects, quickDefects } from './defects.ts'

const sources = join(import.meta.dirname, '../../../../../packages/storage/src')

test('there are at least 30 defects, each with a name of its own', () => {
  expect(new Set(defects.map(({ name }) => name)).size).toBe(defects.length)
  expect(defects.length).toBeGreaterThanOrEqual(30)
  expect(quickDefects.length).toBe(26)
})

test.each(defects)('the source that "$name" replaces is still there, once', (defect) => {
  const source = readFileSync(join(sources, defect.file), 'utf8')
  expect(withDefect(source, defect)).not.toBe(source)
})

test('a defect whose source is gone, or stands twice, is refused', () => {
  const defect = { name: 'x', file: 'y.ts', from: 'one', to: 'two' }
  expect(withDefect('just one', defect)).toBe('just two')
  expect(() => withDefect('zero', defect)).toThrow('0 times')
  expect(() => withDefect('one one', defect)).toThrow('2 times')
})
