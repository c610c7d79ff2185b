import { describe, expect, it } from 'vitest'
import { collectSpell } from './spell.ts'

/** A machine whose processors stand still for so many milliseconds at the start of each second; one wait of 100 ms begins there. */
async function spell(standstillMs: readonly number[], wantedSeconds: number, signal = new AbortController().signal) {
  let second = 0
  const shown: number[] = []
  const collected = await collectSpell({
    takeWaits: () => [{ startMs: (second - 1) * 1000, endMs: (second - 1) * 1000 + 100 }],
    // Each is told a second late.
    takeStandstills: () => {
      const startMs = (second - 2) * 1000
      const lengthMs = standstillMs[second - 2] ?? 0
      return lengthMs === 0 ? [] : [{ startMs, endMs: startMs + lengthMs }]
    },
    wantedSeconds,
    maxSeconds: standstillMs.length,
    signal,
    progress: (count) => shown.push(count),
    nowMs: () => second * 1000,
    pause: async () => {
      second++
    },
  })
  return { collected, shown }
}

describe('collectSpell', () => {
  it('leaves out seconds in which the processors stood still for long, and takes the rest off', async () => {
    const { collected, shown } = await spell([0, 20, 51, 50, 0], 3)
    expect(collected.undisturbed).toEqual([100, 80, 50])
    expect(collected.all).toEqual([100, 100, 100, 100])
    expect(collected).toMatchObject({ seconds: 4, undisturbedSeconds: 3 })
    expect(collected.standstillShare).toBeCloseTo(0.121 / 4)
    expect(shown).toEqual([1, 2, 3])
  })

  it('gives up after a time', async () => {
    const { collected } = await spell([500, 500, 0, 500], 2)
    expect(collected).toMatchObject({ seconds: 4, undisturbedSeconds: 1, undisturbed: [100] })
  })

  it('takes all seconds where nobody watches', async () => {
    let second = 0
    const collected = await collectSpell({
      takeWaits: () => [{ startMs: 0, endMs: 7 }],
      takeStandstills: null,
      wantedSeconds: 2,
      maxSeconds: 9,
      signal: new AbortController().signal,
      progress: () => undefined,
      nowMs: () => second * 1000,
      pause: async () => {
        second++
      },
    })
    expect(collected).toMatchObject({ all: [7, 7], undisturbed: [7, 7], undisturbedSeconds: 2 })
  })

  it('ends when it is stopped', async () => {
    const stop = new AbortController()
    stop.abort()
    expect((await spell([0, 0], 2, stop.signal)).collected).toMatchObject({ seconds: 0, all: [] })
  })
})
