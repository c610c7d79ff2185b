import { setTimeout as delay } from 'node:timers/promises'
import { monotonicMs } from './monotonic.ts'
import type { Wait } from './neighbour.ts'
import { overlapMs, type Stretch, unionOf } from './standstills.ts'

/** Of a second that is judged, the processors stood still for so much at most. */
export const MAX_STANDSTILL_SHARE = 0.05

/** What was measured over some time. Latencies in milliseconds. */
export interface Spell {
  readonly all: readonly number[]
  /** Of the seconds that are judged, less the time in which a processor stood still meanwhile. */
  readonly undisturbed: readonly number[]
  readonly seconds: number
  readonly undisturbedSeconds: number
  /** Share of all the time in which at least one processor stood still. */
  readonly standstillShare: number
}

export interface SpellOptions {
  /** What was measured since the last call. */
  takeWaits(): readonly Wait[]
  /** When a processor stood still since the last call; what is missing at the end comes with the next call. Null: not watched. */
  readonly takeStandstills: (() => readonly Stretch[]) | null
  /** Undisturbed seconds after which there is enough. */
  readonly wantedSeconds: number
  /** When it is given up: seconds in all. */
  readonly maxSeconds: number
  readonly signal: AbortSignal
  progress(undisturbedSeconds: number): void
  nowMs?(): number
  /** Waits for a second. */
  pause?(): Promise<unknown>
}

interface Second {
  readonly startMs: number
  readonly endMs: number
  readonly waits: readonly Wait[]
}

/**
 * Collects until so many seconds were undisturbed. Virtual processors stand still for milliseconds, hundreds of times a second, when the
 * host's other guests are busy: that can last for minutes, with and without load alike, and then is all that a p99 tells of. Seconds in
 * which that is much are left out; in the others it is taken off what waited meanwhile. What has to be worked off after it is not.
 */
export async function collectSpell(options: SpellOptions): Promise<Spell> {
  const { takeWaits, takeStandstills, wantedSeconds, maxSeconds, signal, progress } = options
  const pause = options.pause ?? (() => delay(1000))
  const nowMs = options.nowMs ?? monotonicMs
  const all: number[] = []
  const undisturbed: number[] = []
  let standstills: readonly Stretch[] = []
  let standstillMs = 0
  let seconds = 0
  let undisturbedSeconds = 0
  let startMs = nowMs()
  const firstMs = startMs
  // A second is looked at when the next one is over: by then all is known of it.
  let last: Second | null = null
  for (;;) {
    await pause()
    standstills = unionOf([standstills, takeStandstills === null ? [] : takeStandstills()])
    if (last !== null) {
      seconds++
      const share = overlapMs(standstills, last.startMs, last.endMs) / (last.endMs - last.startMs)
      standstillMs += share * (last.endMs - last.startMs)
      for (const wait of last.waits) all.push(wait.endMs - wait.startMs)
      if (share <= MAX_STANDSTILL_SHARE) {
        undisturbedSeconds++
        for (const { startMs, endMs } of last.waits) {
          undisturbed.push(endMs - startMs - overlapMs(standstills, startMs, endMs))
        }
        progress(undisturbedSeconds)
      }
      const { startMs: overMs } = last
      standstills = standstills.filter(({ endMs }) => endMs > overMs - OLDEST_WAIT_MS)
    }
    if (undisturbedSeconds >= wantedSeconds || seconds >= maxSeconds || signal.aborted) break
    const endMs = nowMs()
    last = { startMs, endMs, waits: takeWaits() }
    startMs = endMs
  }
  const measuredMs = Math.max(1, startMs - firstMs)
  return { all, undisturbed, seconds, undisturbedSeconds, standstillShare: standstillMs / measuredMs }
}

/** A produce that waited for longer is slow, whatever the processors did. */
const OLDEST_WAIT_MS = 60_000
