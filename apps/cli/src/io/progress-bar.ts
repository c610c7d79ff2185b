import type { Clock, Timer, Timers } from '@millrace/base'
import { formatDuration } from '../options/durations.ts'
import { formatBytes, formatNumber } from '../options/numbers.ts'
import type { CliOutput } from './cli-io.ts'

const REDRAW_MS = 100
const BAR_WIDTH = 24

/** How far something is. Totals are null when nobody knows them. */
export interface ProgressState {
  count: number
  bytes: number
  totalCount: number | null
  totalBytes: number | null
}

/** A line on a terminal that shows how far something is, redrawn in place. Draws nothing where no terminal is. */
export class ProgressBar {
  readonly #output: CliOutput
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #state: () => ProgressState
  readonly #startMs: number
  #timer: Timer | null = null
  #drawn = false

  constructor(output: CliOutput, clock: Clock, timers: Timers, state: () => ProgressState) {
    this.#output = output
    this.#clock = clock
    this.#timers = timers
    this.#state = state
    this.#startMs = clock.monotonicMs()
    if (output.isTty) this.#schedule()
  }

  /** Takes the line away. */
  async end(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#drawn) await this.#output.write('\r\u001b[K')
    this.#drawn = false
  }

  #schedule(): void {
    this.#timer = this.#timers.setTimer(REDRAW_MS, () => {
      const line = progressLine(this.#state(), this.#clock.monotonicMs() - this.#startMs)
      this.#drawn = true
      void this.#output.write(`\r\u001b[K${line.slice(0, this.#output.columns - 1)}`)
      this.#schedule()
    })
  }
}

/** What the bar says: a picture and a percentage where the total is known, then counts and rates. */
export function progressLine(state: ProgressState, elapsedMs: number): string {
  const { count, bytes, totalCount, totalBytes } = state
  const seconds = Math.max(elapsedMs, 1) / 1000
  const fraction = totalBytes ? bytes / totalBytes : totalCount ? count / totalCount : null
  const rates = `${formatNumber(count)} records  ${formatNumber(count / seconds)}/s  ${formatBytes(bytes / seconds)}/s`
  if (fraction === null) return `${rates}  ${formatDuration(elapsedMs)}`
  const done = Math.min(1, fraction)
  const filled = Math.round(done * BAR_WIDTH)
  const leftMs = done > 0 ? (elapsedMs / done) * (1 - done) : 0
  const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}`
  return `${bar} ${String(Math.floor(done * 100)).padStart(3)}%  ${rates}  ${formatDuration(leftMs)} left`
}
