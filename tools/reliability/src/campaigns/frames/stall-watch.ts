import { constants, PerformanceObserver, performance } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** `reliability.md`, 6.3. */
export const MAX_STALL_MS = 100

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** What this thread's objects and buffers hold after everything that is garbage has gone. */
export function bytesAfterGc(): { heapBytes: number; bufferBytes: number } {
  collect()
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return { heapBytes: heapUsed, bufferBytes: arrayBuffers }
}

interface Spell {
  readonly startMs: number
  readonly endMs: number
}

/** Full collections are of the whole thread, the fuzzer's garbage included; young ones are counted as what they stop: the broker. */
const MAJOR = constants.NODE_PERFORMANCE_GC_MAJOR | constants.NODE_PERFORMANCE_GC_INCREMENTAL
/** Collections are told in a later turn than theirs. */
const TURNS_UNTIL_TOLD = 3

/** Where a watch reads the time, in ms. */
export interface StallClocks {
  nowMs(): number
  /** Processor time of this thread. A few microseconds a call. */
  cpuMs(): number
}

const CLOCKS: StallClocks = {
  nowMs: () => performance.now(),
  cpuMs: () => {
    const { user, system } = process.threadCpuUsage()
    return (user + system) / 1000
  },
}

/** A turn of the loop, without what was done elsewhere meanwhile. */
interface Turn extends Spell {
  readonly cpuMs: number
  readonly elsewhere: readonly Spell[]
}

/**
 * Measures how long the loop was held by what a turn did: the processor time that this thread took for it, as the system tells it and
 * with nothing taken off but full garbage collections. A machine that gives the thread away meanwhile is no fault of the broker's; one
 * that is slow is, as far as this goes.
 */
export class StallWatch {
  /** The longest turn so far, in ms. */
  longestMs = 0
  /** The longest collection of any kind, in ms of wall-clock time. */
  longestPauseMs = 0
  readonly #clocks: StallClocks
  /** Of the turn at hand: work that has a thread of its own in a real broker. */
  #elsewhere: Spell[] = []
  #elsewhereCpuMs = 0
  #pauses: Spell[] = []
  readonly #observer: PerformanceObserver

  constructor(clocks: StallClocks = CLOCKS) {
    this.#clocks = clocks
    this.#observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const { startTime, duration } = entry
        const { kind } = (entry as unknown as { detail: { kind: number } }).detail
        this.longestPauseMs = Math.max(this.longestPauseMs, duration)
        if ((kind & MAJOR) !== 0) this.#pauses.push({ startMs: startTime, endMs: startTime + duration })
      }
      if (this.#pauses.length > 1000) this.#pauses = this.#pauses.slice(-100)
    })
    this.#observer.observe({ entryTypes: ['gc'] })
  }

  /** Runs `work` and the turn of the loop that follows; returns for how many ms it held the loop. */
  async turn(work: () => void): Promise<number> {
    // Turns in which collections are waited for are judged like any other.
    const turns = [await this.#run(work)]
    let longestMs = 0
    for (const [number, turn] of turns.entries()) {
      if (turn.cpuMs > MAX_STALL_MS || (number === 0 && turn.cpuMs > this.longestMs)) {
        for (let count = 0; count < TURNS_UNTIL_TOLD; count++) turns.push(await this.#run(() => undefined))
      }
      longestMs = Math.max(longestMs, turn.cpuMs - collectingMs(turn, this.#pauses))
    }
    this.longestMs = Math.max(this.longestMs, longestMs)
    return longestMs
  }

  /** Runs what a real broker does beside the loop: its time is not counted. */
  elsewhere<Result>(work: () => Result): Result {
    const startMs = this.#clocks.nowMs()
    const startCpuMs = this.#clocks.cpuMs()
    try {
      return work()
    } finally {
      this.#elsewhereCpuMs += this.#clocks.cpuMs() - startCpuMs
      this.#elsewhere.push({ startMs, endMs: this.#clocks.nowMs() })
    }
  }

  stop(): void {
    this.#observer.disconnect()
  }

  async #run(work: () => void): Promise<Turn> {
    this.#elsewhere = []
    this.#elsewhereCpuMs = 0
    const startMs = this.#clocks.nowMs()
    const startCpuMs = this.#clocks.cpuMs()
    work()
    await new Promise((resolve) => setImmediate(resolve))
    const cpuMs = this.#clocks.cpuMs() - startCpuMs - this.#elsewhereCpuMs
    return { startMs, endMs: this.#clocks.nowMs(), cpuMs, elsewhere: this.#elsewhere }
  }
}

/**
 * Processor time of a turn that went to collections. They are told in wall-clock time, in which the thread may have waited for a core as
 * much as in the rest of the turn: so they get their share of its processor time.
 */
export function collectingMs(turn: Turn, pauses: readonly Spell[]): number {
  const { cpuMs, elsewhere } = turn
  const wallMs = commonMs(turn, turn) - totalMs(elsewhere, turn)
  if (wallMs <= 0) return 0
  let pausedMs = 0
  for (const pause of pauses) {
    const inside = { startMs: Math.max(pause.startMs, turn.startMs), endMs: Math.min(pause.endMs, turn.endMs) }
    if (inside.endMs > inside.startMs) pausedMs += commonMs(inside, inside) - totalMs(elsewhere, inside)
  }
  return Math.min(cpuMs, (pausedMs / wallMs) * cpuMs, pausedMs)
}

function totalMs(spells: readonly Spell[], within: Spell): number {
  return spells.reduce((sum, spell) => sum + commonMs(spell, within), 0)
}

function commonMs(a: Spell, b: Spell): number {
  return Math.max(0, Math.min(a.endMs, b.endMs) - Math.max(a.startMs, b.startMs))
}
