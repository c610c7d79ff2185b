import type { Campaign, CampaignContext, CampaignResult } from '../../campaign.ts'
import { BrokerEpoch, type EpochResult, HELD } from './broker-epoch.ts'
import { attackProcess } from './broker-process.ts'
import { readCorpus, writeCase } from './corpus.ts'
import { replayCase } from './replay-case.ts'
import { StallWatch } from './stall-watch.ts'
import { sweepLimits } from './sweep.ts'

/** A broker's life: long enough for state to pile up, short enough to run again for one find. */
const EPOCH_FRAMES = 25_000
/** Floods take a hundred times as long as other frames; over ten million there are thousands of each. */
const RARE = { flood: 1_500, deluge: 25_000, bomb: 1_500 }
const WARM_UP_FRAMES = 1_500
const MEBIBYTE = 1024 * 1024
/** After so many finds it is known that something is wrong. */
const MAX_FAILURES = 40

/**
 * Hostile input (`reliability.md`, 6): frames of every API and version, whole, damaged, pipelined and cut, record batches, HTTP, and
 * plain garbage, against a broker in this process and against a broker of its own.
 */
export const framesCampaign: Campaign = {
  name: 'frames',
  summary: 'fuzzed requests, record batches and HTTP; --epoch N begins with that one',
  sizes: {
    ci: { frames: 40_000, 'tcp-frames': 6_000, epoch: 0 },
    full: { frames: 10_000_000, 'tcp-frames': 200_000, epoch: 0 },
  },
  run: (context) => new FramesRun(context).run(),
}

class FramesRun {
  readonly #context: CampaignContext
  readonly #failures: string[] = []
  readonly #total: EpochResult = { frameCount: 0, answeredCount: 0, closedCount: 0, heapGrowthBytes: 0 }

  constructor(context: CampaignContext) {
    this.#context = context
  }

  async run(): Promise<CampaignResult> {
    const { size, seed, signal, progress } = this.#context
    const frames = size.frames!
    const tcpFrames = size['tcp-frames']!
    await this.#warmUp()
    const watch = new StallWatch()
    const startMs = performance.now()
    const corpusCount = (await this.#replayCorpus(watch)) + (await this.#sweep(watch))
    for (let epoch = size.epoch!; this.#total.frameCount < frames && !this.#isOver(); epoch++) {
      const before = this.#total.frameCount
      const result = await BrokerEpoch.run({
        seed: (Math.imul(seed, 1_000_003) + epoch) >>> 0,
        frames: Math.min(EPOCH_FRAMES, frames - before),
        rare: RARE,
        watch,
        signal,
        onProgress: (count) => progress(before + count, frames + tcpFrames),
        onFailure: (round, what, sent) => this.#fail(`epoch ${epoch}, round ${round}`, `--epoch ${epoch}`, what, sent),
      })
      this.#add(result)
    }
    watch.stop()
    const seconds = (performance.now() - startMs) / 1000
    const process = tcpFrames > 0 && !this.#isOver() ? await this.#attackProcess(tcpFrames) : null
    const { frameCount, answeredCount, closedCount, heapGrowthBytes } = this.#total
    return {
      passedCount: corpusCount + frameCount + (process?.frameCount ?? 0) - this.#failures.length,
      failures: this.#failures,
      figures: {
        framesPerSecond: Math.round(frameCount / seconds),
        answered: answeredCount,
        connectionsClosed: closedCount,
        longestStallMs: watch.longestMs,
        longestGcPauseMs: watch.longestPauseMs,
        heapGrowthMiB: heapGrowthBytes / MEBIBYTE,
        tcpLongestNeighbourMs: process?.longestNeighbourMs ?? 0,
        tcpLongestDelayMs: process?.longestDelayMs ?? 0,
        tcpRssGrowthMiB: (process?.rssGrowthBytes ?? 0) / MEBIBYTE,
      },
    }
  }

  /** Code that runs for the first time is slow, and the HTTP server is loaded with its first request: no turn is measured before. */
  async #warmUp(): Promise<void> {
    const watch = new StallWatch()
    await BrokerEpoch.run({
      seed: this.#context.seed,
      frames: WARM_UP_FRAMES,
      rare: { flood: 0, deluge: 0, bomb: 0 },
      watch,
      signal: this.#context.signal,
      onProgress: () => undefined,
      onFailure: (round, what, sent) => {
        if (!what.endsWith(HELD)) this.#fail(`warm-up, round ${round}`, '', what, sent)
      },
    })
    watch.stop()
  }

  async #replayCorpus(watch: StallWatch): Promise<number> {
    const cases = readCorpus()
    for (const found of cases) {
      for (const complaint of await replayCase(found, watch)) this.#failures.push(`corpus/${found.name}: ${complaint}`)
    }
    return cases.length
  }

  async #sweep(watch: StallWatch): Promise<number> {
    const { requestCount, complaints } = await sweepLimits(this.#context.seed, watch)
    for (const complaint of complaints) this.#fail('the largest requests', '', complaint, [])
    return requestCount
  }

  #attackProcess(frames: number) {
    const { seed, signal, progress, size } = this.#context
    return attackProcess({
      seed,
      frames,
      signal,
      onProgress: (count) => progress(size.frames! + count, size.frames! + frames),
      onFailure: (round, what, sent) => this.#fail(`process, round ${round}`, '--frames 0', what, sent),
    })
  }

  #add(result: EpochResult): void {
    this.#total.frameCount += result.frameCount
    this.#total.answeredCount += result.answeredCount
    this.#total.closedCount += result.closedCount
    this.#total.heapGrowthBytes = Math.max(this.#total.heapGrowthBytes, result.heapGrowthBytes)
  }

  #isOver(): boolean {
    return this.#context.signal.aborted || this.#failures.length >= MAX_FAILURES
  }

  #fail(where: string, option: string, what: string, sent: readonly Buffer[]): void {
    if (this.#failures.length >= MAX_FAILURES) return
    const { seed } = this.#context
    let kept = ''
    if (sent.length > 0) {
      const name = `found-${seed}-${where.replaceAll(/[^a-z0-9]+/g, '-')}-${this.#failures.length}`
      const file = writeCase(name, what, sent)
      if (file !== null) kept = `; kept as corpus/${file}`
    }
    this.#failures.push(`${what} (${where}: npm run reliability -- frames --seed ${seed} ${option})${kept}`)
    this.#context.report(this.#failures.at(-1)!)
  }
}
