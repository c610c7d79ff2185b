import { describe, expect, test } from 'vitest'
import { ExitCode } from '../command/cli-error.ts'
import { formatDuration, parseDuration, parseTime, requireTime } from './durations.ts'
import { formatBytes, formatCount, requireBytes, requireNumberList, requirePairs, requireWhole } from './numbers.ts'

const USAGE = expect.objectContaining({ exitCode: ExitCode.USAGE })

describe('durations', () => {
  test.each([
    ['250', 250],
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5m', 90_000],
    ['1h30m', 5_400_000],
    ['1.5ms', 2],
    ['2d', 172_800_000],
    ['1w', 604_800_000],
  ])('%s is %i ms', (text, durationMs) => {
    expect(parseDuration(text)).toBe(durationMs)
  })

  test.each(['', 'x', '5 s', '-5s', '5y', 's'])('%j is none', (text) => {
    expect(parseDuration(text)).toBeNull()
  })

  test.each([
    [850, '850 ms'],
    [12_340, '12.3 s'],
    [245_000, '4 m 5 s'],
    [7_500_000, '2 h 5 m'],
  ])('%i ms are shown as %s', (durationMs, text) => {
    expect(formatDuration(durationMs)).toBe(text)
  })
})

describe('times', () => {
  const nowMs = Date.UTC(2026, 10, 21, 12)

  test.each([
    ['now', nowMs],
    ['-15m', nowMs - 900_000],
    ['1795257624822', 1_795_257_624_822],
    ['2026-11-21T10:00Z', Date.UTC(2026, 10, 21, 10)],
    ['2026-11-21 10:00:30.5+02:00', Date.UTC(2026, 10, 21, 8, 0, 30, 500)],
    ['2026-11-21', new Date(2026, 10, 21).getTime()],
    ['2026-11', new Date(2026, 10, 1).getTime()],
    ['2026-11-21T00:00', new Date(2026, 10, 21).getTime()],
  ])('%s is read', (text, timeMs) => {
    expect(parseTime(text, nowMs)).toBe(timeMs)
  })

  test.each(['', 'tomorrow', '-15', '12345', '2026-13-45', '21.11.2026'])('%j is none', (text) => {
    expect(parseTime(text, nowMs)).toBeNull()
    expect(() => requireTime('--from', text, nowMs)).toThrow(USAGE)
  })
})

describe('numbers', () => {
  test('whole numbers keep to their range', () => {
    expect(requireWhole('-n', '7', 1, 10)).toBe(7)
    for (const text of ['0', '11', '1.5', 'x', '', '1e3']) expect(() => requireWhole('-n', text, 1, 10)).toThrow(USAGE)
  })

  test('lists take numbers and ranges, each number once', () => {
    expect(requireNumberList('-p', '5-7,0,6')).toEqual([0, 5, 6, 7])
    for (const text of ['', 'a', '3-1', '1,,2', '0-9999999']) expect(() => requireNumberList('-p', text)).toThrow(USAGE)
  })

  test('sizes take decimal and binary units', () => {
    expect(['100', '1kB', '1KiB', '1k', '1.5MiB', '1g', '0'].map((text) => requireBytes('-s', text))).toEqual([
      100, 1000, 1024, 1024, 1_572_864, 1_073_741_824, 0,
    ])
    for (const text of ['', 'x', '1t', '-1', '2g']) expect(() => requireBytes('-s', text)).toThrow(USAGE)
    expect(() => requireBytes('-s', '0', 1)).toThrow(USAGE)
  })

  test('sizes are shown in binary units', () => {
    expect([formatCount(1, 'member'), formatCount(2000, 'member')]).toEqual(['1 member', '2,000 members'])
    expect(formatBytes(4.484204460414411)).toBe('4 B') // a rate
    expect([512, 1536, 20 * 2 ** 20, 3 * 2 ** 40].map(formatBytes)).toEqual(['512 B', '1.5 KiB', '20.0 MiB', '3.0 TiB'])
  })

  test('pairs keep everything behind the first equals sign', () => {
    expect(requirePairs('-c', ['a=b=c', 'd='])).toEqual([
      ['a', 'b=c'],
      ['d', ''],
    ])
    for (const text of ['a', '=b']) expect(() => requirePairs('-c', [text])).toThrow(USAGE)
  })
})
