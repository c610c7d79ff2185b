import { closeSync, existsSync, openSync, readSync } from 'node:fs'
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
  /** The part of it that the system took: calls, and pages of memory that were not there. */
  systemMs(): number
  /** How long this thread has waited for a core that others had. */
  waitedMs(): number
}

/** Of the thread that calls it. Only Linux tells of waits; elsewhere there are none. */
function clocksOfThread(): StallClocks & { close(): void } {
  const path = '/proc/thread-self/schedstat'
  const fd = existsSync(path) ? openSync(path, 'r') : null
  const text = Buffer.alloc(128)
  return {
    nowMs: () => performance.now(),
    cpuMs: () => {
      const { user, system } = process.threadCpuUsage()
      return (user + system) / 1000
    },
    systemMs: () => process.threadCpuUsage().system / 1000,
    waitedMs: () => {
      if (fd === null) return 0
      const sizeBytes = readSync(fd, text, 0, text.length, 0)
      return Number(text.toString('latin1', 0, sizeBytes).split(' ')[1]) / 1e6
    },
    close: () => {
      if (fd !== null) closeSync(fd)
    },
  }
}

/** A turn of the loop, without what was done elsewhere meanwhile. */
interface Turn extends Spell {
  readonly cpuMs: number
  readonly systemMs: number
  readonly waitedMs: number
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
  /** What the longest turn of the last {@link turn} was made of, for the complaint. */
  account = ''
  readonly #clocks: StallClocks & { close?(): void }
  /** Of the turn at hand: work that has a thread of its own in a real broker. */
  #elsewhere: Spell[] = []
  #elsewhereCpuMs = 0
  #elsewhereSystemMs = 0
  /** Full collections, and young ones. */
  #pauses: Spell[] = []
  #youngPauses: Spell[] = []
  readonly #observer: PerformanceObserver

  constructor(clocks: StallClocks = clocksOfThread()) {
    this.#clocks = clocks
    this.#observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const { startTime, duration } = entry
        const { kind } = (entry as unknown as { detail: { kind: number } }).detail
        this.longestPauseMs = Math.max(this.longestPauseMs, duration)
        const pauses = (kind & MAJOR) === 0 ? this.#youngPauses : this.#pauses
        pauses.push({ startMs: startTime, endMs: startTime + duration })
      }
      if (this.#pauses.length > 1000) this.#pauses = this.#pauses.slice(-100)
      if (this.#youngPauses.length > 1000) this.#youngPauses = this.#youngPauses.slice(-100)
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
      const isOrdinary = turn.cpuMs <= Math.min(this.longestMs, MAX_STALL_MS)
      const heldMs = isOrdinary ? turn.cpuMs : heldMsOf(turn, this.#pauses)
      if (heldMs > MAX_STALL_MS && heldMs > longestMs) this.account = this.#accountOf(turn)
      longestMs = Math.max(longestMs, heldMs)
    }
    this.longestMs = Math.max(this.longestMs, longestMs)
    return longestMs
  }

  /** Runs what a real broker does beside the loop: its time is not counted. */
  elsewhere<Result>(work: () => Result): Result {
    const startMs = this.#clocks.nowMs()
    const startSystemMs = this.#clocks.systemMs()
    const startCpuMs = this.#clocks.cpuMs()
    try {
      return work()
    } finally {
      this.#elsewhereCpuMs += this.#clocks.cpuMs() - startCpuMs
      this.#elsewhereSystemMs += this.#clocks.systemMs() - startSystemMs
      this.#elsewhere.push({ startMs, endMs: this.#clocks.nowMs() })
    }
  }

  stop(): void {
    this.#observer.disconnect()
    this.#clocks.close?.()
  }

  #accountOf(turn: Turn): string {
    const { cpuMs, systemMs, waitedMs, startMs, endMs } = turn
    const parts = [
      endMs - startMs,
      cpuMs,
      systemMs,
      waitedMs,
      pausedMsIn(turn, this.#youngPauses),
      pausedMsIn(turn, this.#pauses),
    ]
    const [all, processor, system, waited, young, full] = parts.map((ms) => ms.toFixed(0))
    return (
      `of ${all} ms ${processor} of the processor, ${system} of them in the system, ${waited} waiting for it, ` +
      `${young} young and ${full} full collections`
    )
  }

  async #run(work: () => void): Promise<Turn> {
    this.#elsewhere = []
    this.#elsewhereCpuMs = 0
    this.#elsewhereSystemMs = 0
    const startWaitedMs = this.#clocks.waitedMs()
    const startMs = this.#clocks.nowMs()
    const startSystemMs = this.#clocks.systemMs()
    const startCpuMs = this.#clocks.cpuMs()
    work()
    await new Promise((resolve) => setImmediate(resolve))
    const cpuMs = this.#clocks.cpuMs() - startCpuMs - this.#elsewhereCpuMs
    const systemMs = this.#clocks.systemMs() - startSystemMs - this.#elsewhereSystemMs
    const endMs = this.#clocks.nowMs()
    const waitedMs = this.#clocks.waitedMs() - startWaitedMs
    return { startMs, endMs, cpuMs, systemMs, waitedMs, elsewhere: this.#elsewhere }
  }
}

/**
 * Processor time of a turn without collections. These are told in wall-clock time, in which the thread waits for its helpers as well; so
 * it is what the clock says of the rest of the turn, less the share of it in which the thread waited for a core.
 */
export function heldMsOf(turn: Turn, pauses: readonly Spell[]): number {
  const { cpuMs, waitedMs, elsewhere } = turn
  const pausedMs = pausedMsIn(turn, pauses)
  if (pausedMs === 0) return cpuMs
  const restMs = turn.endMs - turn.startMs - totalMs(elsewhere, turn) - pausedMs
  return Math.max(0, Math.min(cpuMs, (restMs * cpuMs) / (cpuMs + waitedMs)))
}

function pausedMsIn(turn: Turn, pauses: readonly Spell[]): number {
  let pausedMs = 0
  for (const pause of pauses) {
    const inside = { startMs: Math.max(pause.startMs, turn.startMs), endMs: Math.min(pause.endMs, turn.endMs) }
    if (inside.endMs > inside.startMs) pausedMs += inside.endMs - inside.startMs - totalMs(turn.elsewhere, inside)
  }
  return pausedMs
}

function totalMs(spells: readonly Spell[], within: Spell): number {
  return spells.reduce((sum, spell) => sum + commonMs(spell, within), 0)
}

function commonMs(a: Spell, b: Spell): number {
  return Math.max(0, Math.min(a.endMs, b.endMs) - Math.max(a.startMs, b.startMs))
}
