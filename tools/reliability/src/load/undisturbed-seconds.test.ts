import { describe, expect, it } from 'vitest'
import { collectSpell, type ProcessorTime, parseProcessorTime } from './undisturbed-seconds.ts'

describe('parseProcessorTime', () => {
  it('reads what the kernel writes', () => {
    const text = 'cpu  10 1 20 300 4 0 5 60 7 8\ncpu0 1 2 3 4 5 6 7 8 9 10\n'
    expect(parseProcessorTime(text)).toEqual({ stolen: 60, total: 400 })
  })

  it('refuses anything else', () => {
    expect(() => parseProcessorTime('cpu 1 2 3\n')).toThrow('/proc/stat')
  })
})

/** A machine with two processors whose host takes so many ticks in each second. */
function spell(stolenPerSecond: readonly number[], wantedSeconds: number, signal = new AbortController().signal) {
  let second = 0
  const times: ProcessorTime[] = [{ stolen: 0, total: 0 }]
  for (const stolen of stolenPerSecond) {
    const last = times.at(-1)!
    times.push({ stolen: last.stolen + stolen, total: last.total + 200 })
  }
  const shown: number[] = []
  const collected = collectSpell({
    take: () => [second],
    wantedSeconds,
    maxSeconds: stolenPerSecond.length,
    signal,
    progress: (count) => shown.push(count),
    readProcessorTime: () => times[second]!,
    pause: async () => {
      second++
    },
  })
  return { collected, shown }
}

describe('collectSpell', () => {
  it('keeps apart what was measured while the host was busy with others', async () => {
    const { collected, shown } = spell([0, 2, 3, 90, 1, 0], 3)
    expect(await collected).toEqual({ all: [1, 2, 3, 4, 5], undisturbed: [1, 2, 5], seconds: 5, undisturbedSeconds: 3 })
    expect(shown).toEqual([1, 2, 3])
  })

  it('gives up after a time', async () => {
    const { collected } = spell([50, 50, 0, 50], 2)
    expect(await collected).toMatchObject({ seconds: 4, undisturbedSeconds: 1, undisturbed: [3] })
  })

  it('ends when it is stopped', async () => {
    const stop = new AbortController()
    stop.abort()
    expect(await spell([0, 0], 2, stop.signal).collected).toMatchObject({ seconds: 0, all: [] })
  })
})
