import { setTimeout as delay } from 'node:timers/promises'
import type { Key } from '../history/operation.ts'
import type { Recorder } from '../history/recorder.ts'
import { between } from '../random-choices.ts'
import { Deck } from './deck.ts'
import type { Broken, Fault, Target } from './fault.ts'

/** Longest wait for every log to get on after a fault. Longer is a finding: on a busy machine the slowest took half of it. */
const PROGRESS_LIMIT_MS = 60_000
/** The longest that timers know; the signal comes sooner. */
const NEVER_MS = 2 ** 31 - 1

export interface NemesisOptions {
  readonly target: Target
  readonly faults: readonly Fault[]
  readonly recorder: Recorder
  /** Mean of the quiet time between two faults; each fourth is four times as long. */
  readonly gapMs: number
  /** Of the time that a fault usually lasts. */
  readonly holdShare: number
}

/** Breaks and mends, one fault at a time, by its dice. How often each was done, by name. */
export class Nemesis {
  readonly #options: NemesisOptions
  readonly counts = new Map<string, number>()
  /** Logs that did not get on in time, and after what. The checker sees only that of all logs together. */
  readonly stuck: string[] = []

  constructor(options: NemesisOptions) {
    this.#options = options
  }

  /** Goes on until the signal; what is broken then is mended before it returns. */
  async run(): Promise<void> {
    const { target, faults, gapMs } = this.#options
    if (faults.length === 0) return this.#wait(NEVER_MS)
    const deck = new Deck(faults, target.random.fork('deck'))
    for (let round = 1; !target.signal.aborted; round++) {
      const quiet = round % 4 === 0 ? 4 * gapMs : gapMs
      await this.#wait(between(target.random, 0.5 * quiet, 1.5 * quiet))
      if (target.signal.aborted) return
      await this.#strike(deck.deal())
    }
  }

  async #strike(fault: Fault): Promise<void> {
    const { target, recorder } = this.#options
    // Its time begins before it does anything.
    const id = recorder.fault(fault.name)
    let broken: Broken | null = null
    try {
      broken = await fault.inflict(target)
      if (broken === null) return
      recorder.detail(id, broken.detail, broken.nodes ?? [])
      this.counts.set(fault.name, (this.counts.get(fault.name) ?? 0) + 1)
      await this.#wait(broken.holdMs * this.#options.holdShare)
    } finally {
      await broken?.mend()
      recorder.endFault(id)
    }
    await this.#untilProgress(target.workload.knowledge.ends(), broken.detail)
  }

  /** Every log acknowledges something more: what comes next hits a cluster that works. */
  async #untilProgress(before: ReadonlyMap<Key, number>, detail: string): Promise<void> {
    const { target } = this.#options
    const { knowledge } = target.workload
    const deadlineMs = performance.now() + PROGRESS_LIMIT_MS
    const behind = () => [...before].filter(([key, end]) => knowledge.acknowledgedEnd(key) <= end).map(([key]) => key)
    while (!target.signal.aborted && behind().length > 0) {
      if (performance.now() > deadlineMs) {
        const seconds = PROGRESS_LIMIT_MS / 1000
        this.stuck.push(`${behind().join(', ')} acknowledged nothing within ${seconds} s after: ${detail}`)
        return
      }
      await this.#wait(50)
    }
  }

  /** Ends early at the signal. */
  async #wait(ms: number): Promise<void> {
    const { signal } = this.#options.target
    await delay(ms, undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }
}
