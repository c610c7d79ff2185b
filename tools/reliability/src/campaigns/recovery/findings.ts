import type { CampaignResult } from '../../campaign.ts'

/** What a start took. */
export interface StartTimes {
  readonly elapsedMs: number
  readonly cpuMs: number
  readonly waitedForCoreMs: number
}

/** Without what the process waited for a core that others had. */
export function ownMsOf({ elapsedMs, waitedForCoreMs }: StartTimes): number {
  return elapsedMs - waitedForCoreMs
}

/** What a run of the campaign has found so far. */
export class Findings {
  readonly #isJudged: boolean
  readonly #failures: string[] = []
  readonly #figures: Record<string, number> = {}
  #passedCount = 0

  /** `isJudged`: a figure over its target is a failure. A small run on a busy machine checks contents only. */
  constructor(isJudged: boolean) {
    this.#isJudged = isJudged
  }

  /** Counts `count` things that were looked at, of which these were wrong. */
  check(what: string, count: number, faults: readonly string[]): void {
    this.#passedCount += Math.max(0, count - faults.length)
    for (const fault of faults) this.#failures.push(`${what}: ${fault}`)
  }

  /**
   * Keeps how long a start took and the CPU time it took until then, by names that begin with `name`. What is held against the target is
   * the time without what the process waited for a core that others had.
   */
  start(name: string, times: StartTimes, maxMs = Number.POSITIVE_INFINITY): void {
    this.figure(`${name}Ms`, times.elapsedMs)
    this.figure(`${name}CpuMs`, times.cpuMs)
    this.figure(`${name}OwnMs`, ownMsOf(times), maxMs)
  }

  /** Keeps a figure, by a name that ends in its unit; `max`: its target, inclusive. */
  figure(name: string, value: number, max = Number.POSITIVE_INFINITY): void {
    this.#figures[name] = Math.round(value * 100) / 100
    if (max === Number.POSITIVE_INFINITY || !this.#isJudged) return
    this.check(name, 1, value <= max ? [] : [`${value.toFixed(2)} is over ${max}`])
  }

  result(): CampaignResult {
    return { passedCount: this.#passedCount, failures: this.#failures, figures: this.#figures }
  }
}
