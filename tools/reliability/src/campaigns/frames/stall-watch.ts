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

interface Pause {
  readonly startMs: number
  readonly durationMs: number
}

/** Full collections are of the whole process, the fuzzer's garbage included; young ones are counted as what they stop: the broker. */
const MAJOR = constants.NODE_PERFORMANCE_GC_MAJOR | constants.NODE_PERFORMANCE_GC_INCREMENTAL

const PROBE_WORDS = 16_384
const PROBE_ROUNDS = 12

/** A few ms of plain work, always the same: what it takes says how fast the machine is now. In ms of processor time. */
function probeMs(words: Int32Array): number {
  const before = process.threadCpuUsage()
  for (let round = 0; round < PROBE_ROUNDS; round++) {
    let mixed = round
    for (let at = 0; at < words.length; at++) {
      mixed = Math.imul(mixed ^ words[at]!, 0x01000193)
      words[at] = mixed
    }
  }
  const { user, system } = process.threadCpuUsage(before)
  return (user + system) / 1000
}

/**
 * Measures how long the loop was held by what a turn did. Both the wall clock and the thread's own processor time must say so: a
 * machine that gives the thread away is no fault of the broker's, nor is a full garbage collection. Processors that are shared make the
 * same work take more of their time: what is above the limit is put in proportion to a probe, at its best and now.
 */
export class StallWatch {
  /** The longest turn so far, in ms, collections taken off. */
  longestMs = 0
  longestPauseMs = 0
  /** Of the turn at hand: work that has a thread of its own in a real broker. */
  #elsewhereMs = 0
  #pauses: Pause[] = []
  readonly #observer: PerformanceObserver
  readonly #words = new Int32Array(PROBE_WORDS)
  #bestProbeMs = Number.POSITIVE_INFINITY

  constructor() {
    for (let count = 0; count < 30; count++) this.#probe()
    this.#observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const { kind } = (entry as unknown as { detail: { kind: number } }).detail
        this.longestPauseMs = Math.max(this.longestPauseMs, entry.duration)
        if ((kind & MAJOR) !== 0) this.#pauses.push({ startMs: entry.startTime, durationMs: entry.duration })
      }
      if (this.#pauses.length > 1000) this.#pauses = this.#pauses.slice(-100)
    })
    this.#observer.observe({ entryTypes: ['gc'] })
  }

  /** Runs `work` and the turn of the loop that follows; returns for how many ms it held the loop. */
  async turn(work: () => void): Promise<number> {
    this.#elsewhereMs = 0
    const cpu = process.threadCpuUsage()
    const startMs = performance.now()
    work()
    await new Promise((resolve) => setImmediate(resolve))
    const endMs = performance.now()
    const wallMs = endMs - startMs - this.#elsewhereMs
    if (wallMs <= this.longestMs && wallMs <= MAX_STALL_MS) return wallMs
    const used = process.threadCpuUsage(cpu)
    let heldMs = Math.min(wallMs, (used.user + used.system) / 1000 - this.#elsewhereMs)
    if (heldMs > MAX_STALL_MS) {
      heldMs /= this.#slowness()
      heldMs -= await this.#pausedMs(startMs, endMs)
    }
    this.longestMs = Math.max(this.longestMs, heldMs)
    return heldMs
  }

  /** Runs what a real broker does beside the loop: its time is not counted. */
  elsewhere<Result>(work: () => Result): Result {
    const startMs = performance.now()
    try {
      return work()
    } finally {
      this.#elsewhereMs += performance.now() - startMs
    }
  }

  stop(): void {
    this.#observer.disconnect()
  }

  #probe(): number {
    const tookMs = probeMs(this.#words)
    if (tookMs > 0) this.#bestProbeMs = Math.min(this.#bestProbeMs, tookMs)
    return tookMs
  }

  /** How many times longer than at its best the machine takes for the same work now. */
  #slowness(): number {
    return Math.max(1, Math.min(this.#probe(), this.#probe()) / this.#bestProbeMs)
  }

  async #pausedMs(startMs: number, endMs: number): Promise<number> {
    // Entries are handed over in a later turn.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
    let pausedMs = 0
    for (const pause of this.#pauses) {
      const fromMs = Math.max(pause.startMs, startMs)
      const toMs = Math.min(pause.startMs + pause.durationMs, endMs)
      if (toMs > fromMs) pausedMs += toMs - fromMs
    }
    return pausedMs
  }
}
