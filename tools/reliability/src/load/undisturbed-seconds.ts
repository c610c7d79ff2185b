import { readFileSync } from 'node:fs'

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
