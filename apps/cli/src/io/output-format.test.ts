import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { renderRows } from './output-format.ts'
import { toYaml } from './yaml.ts'

const ROWS = [
  { name: 'a', count: 5, big: 10n, list: [1, 2], none: null },
  { name: 'long name', count: 12_345, big: 2n ** 60n, list: [], none: null },
]
const COLUMNS = [{ key: 'name' }, { key: 'count', title: 'N' }, { key: 'big' }, { key: 'list' }, { key: 'none' }]

describe('tables', () => {
  test('columns are as wide as their widest cell, numbers to the right, and no line ends in spaces', () => {
    expect(renderRows(ROWS, COLUMNS, 'table')).toBe(
      [
        'NAME           N                  BIG  LIST  NONE',
        'a              5                   10  1,2   -',
        'long name  12345  1152921504606846976  -     -',
        '',
      ].join('\n'),
    )
  })

  test('escape sequences in names do not reach the terminal', () => {
    const names = ['\u001b[31mred', '\u009b31m', '\u202egnp']
    expect(renderRows([{ names }], [{ key: 'names' }], 'table')).toBe('NAMES\n\\u001b[31mred,\\u009b31m,\\u202egnp\n')
  })

  test('without rows only the header is printed', () => {
    expect(renderRows([], [{ key: 'topic' }], 'table')).toBe('TOPIC\n')
  })
})

describe('data', () => {
  test('JSON has exact numbers, and texts where numbers would not be exact', () => {
    expect(JSON.parse(renderRows(ROWS, COLUMNS, 'json'))).toEqual([
      { name: 'a', count: 5, big: 10, list: [1, 2], none: null },
      { name: 'long name', count: 12_345, big: '1152921504606846976', list: [], none: null },
    ])
  })

  test('YAML nests lists and objects', () => {
    expect(toYaml([{ topic: 'a', partitions: [{ id: 0, isr: [1, 2] }], configs: {} }])).toBe(
      [
        '- topic: a',
        '  partitions:',
        '    - id: 0',
        '      isr:',
        '        - 1',
        '        - 2',
        '  configs: {}',
        '',
      ].join('\n'),
    )
  })

  test('YAML quotes what would be read as something else', () => {
    for (const text of [
      '',
      'true',
      'No',
      '~',
      '12',
      '1e3',
      '- a',
      'a: b',
      '#',
      "it's",
      'a\nb',
      ' a',
      '2026-11-21',
      '*a',
    ]) {
      expect(toYaml(text)).toBe(`${JSON.stringify(text)}\n`)
    }
    for (const text of ['orders', 'retention.ms', 'a-b_c', '/var/log']) expect(toYaml(text)).toBe(`${text}\n`)
  })

  test('a YAML scalar is a bare word or JSON', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const line = toYaml(text).slice(0, -1)
        if (line !== text) expect(JSON.parse(line)).toBe(text)
        else expect(line).toMatch(/^[A-Za-z_/][A-Za-z0-9_./-]*$/)
      }),
    )
  })
})
