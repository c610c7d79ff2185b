import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** Of all processors since the system started, in ticks of the kernel. */
export interface ProcessorTime {
  /** What the host of a virtual machine gave to others while it was wanted here. */
  readonly stolen: number
  readonly total: number
}

/** user, nice, system, idle, iowait, irq, softirq, steal; what follows is contained in the first two. */
const STAT_FIELDS = 8

/** The first line of `/proc/stat`. */
export function parseProcessorTime(stat: string): ProcessorTime {
  const ticks = stat
    .slice(0, stat.indexOf('\n'))
    .split(/\s+/)
    .slice(1, 1 + STAT_FIELDS)
    .map(Number)
  if (ticks.length < STAT_FIELDS || ticks.some(Number.isNaN)) throw new Error('/proc/stat is not as Linux writes it')
  return { stolen: ticks[STAT_FIELDS - 1]!, total: ticks.reduce((sum, each) => sum + each, 0) }
}

/** A second in which the host took more of the processors tells of other machines, not of this one. */
export const MAX_STOLEN_SHARE = 0.01

/** Tells stretches of time in which the machine had its processors from those in which the host gave them to others. */
export class HostWatch {
  readonly #read: () => ProcessorTime
  #before: ProcessorTime

  constructor(read: () => ProcessorTime = () => parseProcessorTime(readFileSync('/proc/stat', 'latin1'))) {
    this.#read = read
    this.#before = read()
  }

  /** Whether the time since the last call was undisturbed. Steal is counted in hundredths of a second: for no less than one. */
  wasUndisturbed(): boolean {
    const before = this.#before
    const after = this.#read()
    this.#before = after
    return after.stolen - before.stolen <= (after.total - before.total) * MAX_STOLEN_SHARE
  }
}

/** What was measured over some time, a second each. */
export interface Spell {
  readonly all: readonly number[]
  readonly undisturbed: readonly number[]
  readonly seconds: number
  readonly undisturbedSeconds: number
}

export interface SpellOptions {
  /** What was measured since the last call. */
  take(): readonly number[]
  /** Undisturbed seconds after which there is enough. */
  readonly wantedSeconds: number
  /** When it is given up: seconds in all. */
  readonly maxSeconds: number
  readonly signal: AbortSignal
  progress(undisturbedSeconds: number): void
  readProcessorTime?(): ProcessorTime
  /** Waits for a second. */
  pause?(): Promise<unknown>
}

/**
 * Collects until so many seconds were undisturbed. Virtual processors stand still for tens of milliseconds, several times a second, when
 * the host's other guests are busy: that can last for minutes, with and without load alike, and then is all that a p99 tells of.
 */
export async function collectSpell(options: SpellOptions): Promise<Spell> {
  const { take, wantedSeconds, maxSeconds, signal, progress } = options
  const host = new HostWatch(options.readProcessorTime)
  const pause = options.pause ?? (() => delay(1000))
  const all: number[] = []
  const undisturbed: number[] = []
  let seconds = 0
  let undisturbedSeconds = 0
  while (undisturbedSeconds < wantedSeconds && seconds < maxSeconds && !signal.aborted) {
    await pause()
    const isUndisturbed = host.wasUndisturbed()
    const measured = take()
    seconds++
    all.push(...measured)
    if (isUndisturbed) {
      undisturbedSeconds++
      undisturbed.push(...measured)
      progress(undisturbedSeconds)
    }
  }
  return { all, undisturbed, seconds, undisturbedSeconds }
}
