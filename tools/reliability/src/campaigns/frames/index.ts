import { availableParallelism } from 'node:os'
import type { Campaign, CampaignContext, CampaignResult } from '../../campaign.ts'
import { tooLittle } from '../../load/work.ts'
import { attackProcess, type ProcessResult } from './broker-process.ts'
import { writeCase } from './corpus.ts'
import { missingVersions } from './coverage.ts'
import { Crew } from './crew.ts'
import { type Order, type OrderResult, ordersOf } from './orders.ts'
import { type Stall, StallSuspects } from './stall-suspects.ts'

const MEBIBYTE = 1024 * 1024
/** After so many finds it is known that something is wrong. */
const MAX_FAILURES = 40
/** More than this only wait for the same memory. */
const MAX_THREADS = 4
/** In fewer frames some API and version may not have had its turn with something that can be answered. */
const FRAMES_FOR_ALL_VERSIONS = 20_000

/**
 * Hostile input (`reliability.md`, 6): frames of every API and version, whole, damaged, pipelined and cut, record batches, HTTP, and
 * plain garbage, against brokers in threads of this process and against a broker of its own.
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
  readonly #answered = new Set<number>()
  /** Epochs that were begun and are not done: where a run that is stopped is to go on. */
  readonly #underWay = new Set<number>()
  #nextEpoch: number
  readonly #suspects = new StallSuspects()
  #stallsNotRepeated = { notRepeatedCount: 0, longestNotRepeatedMs: 0 }
  readonly #total = {
    checkCount: 0,
    frameCount: 0,
    answeredCount: 0,
    closedCount: 0,
    storedCount: 0,
    httpAnswerCount: 0,
    heapGrowthBytes: 0,
    bufferGrowthBytes: 0,
    longestStallMs: 0,
    longestPauseMs: 0,
  }

  constructor(context: CampaignContext) {
    this.#context = context
    this.#nextEpoch = context.size.epoch!
  }

  async run(): Promise<CampaignResult> {
    const { size, signal } = this.#context
    const tcpFrames = size['tcp-frames']!
    const startMs = performance.now()
    await this.#runCrew()
    const seconds = (performance.now() - startMs) / 1000
    await this.#judgeStalls()
    const tcp = tcpFrames > 0 && !this.#isOver() ? await this.#attackProcess(tcpFrames) : null
    if (!signal.aborted && this.#failures.length === 0) {
      for (const complaint of this.#missing(tcp)) this.#fail('in all', '', complaint, [])
    }
    const { checkCount, frameCount } = this.#total
    return {
      passedCount: Math.max(0, checkCount + frameCount + (tcp?.frameCount ?? 0) - this.#failures.length),
      failures: this.#failures,
      figures: this.#figures(seconds, tcp),
      resume: {
        epoch: Math.min(this.#nextEpoch, ...this.#underWay),
        frames: Math.max(0, size.frames! - frameCount),
        'tcp-frames': Math.max(0, tcpFrames - (tcp?.frameCount ?? 0)),
      },
    }
  }

  async #runCrew(): Promise<void> {
    const { seed, size, progress } = this.#context
    const [frames, firstEpoch] = [size.frames!, size.epoch!]
    await new Crew({
      seed,
      threadCount: Math.min(availableParallelism(), MAX_THREADS),
      orders: this.#noted(ordersOf({ seed, frames, firstEpoch })),
      isOver: () => this.#isOver(),
      onProgress: (count) => progress(count, frames + size['tcp-frames']!),
      onFailure: (order, where, what, sent, heldMs) => {
        if (order.kind !== 'epoch' || heldMs === null) this.#fail(where, optionsOf(order), what, sent)
        else this.#suspect({ order, where, what, sent, heldMs })
      },
      onDone: (order, result) => this.#add(order, result),
    }).run()
  }

  #suspect(stall: Stall): void {
    this.#suspects.note(stall)
    this.#context.report(`${stall.what} (${stall.where}): to be played again`)
  }

  /** Plays epochs with stalls again, one after the other with nothing beside them, and fails those that have one again. */
  async #judgeStalls(): Promise<void> {
    const { seed, progress, report } = this.#context
    const orders = this.#suspects.orders()
    const repeated = new Set<number>()
    const frames = orders.reduce((sum, order) => sum + order.frames, 0)
    await new Crew({
      seed,
      threadCount: 1,
      orders: orders[Symbol.iterator](),
      isOver: () => this.#isOver(),
      onProgress: (count) => progress(count, frames),
      onFailure: (order, where, what, sent, heldMs) => {
        if (order.kind !== 'epoch' || heldMs === null) this.#fail(where, optionsOf(order), what, sent)
        else {
          report(`${what} (${where}): again`)
          repeated.add(order.epoch)
        }
      },
      onDone: () => undefined,
    }).run()
    // Of what was not played to its end nobody knows.
    const { guilty, ...others } = this.#suspects.judge(orders.length === 0 || this.#isOver() ? null : repeated)
    this.#stallsNotRepeated = others
    for (const { order, where, what, sent } of guilty) this.#fail(where, optionsOf(order), what, sent)
  }

  *#noted(orders: Iterable<Order>): Generator<Order, void> {
    for (const order of orders) {
      if (order.kind === 'epoch') {
        this.#underWay.add(order.epoch)
        this.#nextEpoch = order.epoch + 1
      }
      yield order
    }
  }

  #add(order: Order, result: OrderResult): void {
    const total = this.#total
    for (const name of [
      'checkCount',
      'frameCount',
      'answeredCount',
      'closedCount',
      'storedCount',
      'httpAnswerCount',
    ] as const)
      total[name] += result[name]
    for (const name of ['heapGrowthBytes', 'bufferGrowthBytes', 'longestStallMs', 'longestPauseMs'] as const)
      total[name] = Math.max(total[name], result[name])
    for (const key of result.answered) this.#answered.add(key)
    // One that was stopped in the middle is to be done again.
    if (order.kind === 'epoch' && !this.#context.signal.aborted) this.#underWay.delete(order.epoch)
  }

  /** Null if the broker's end was such that there is no result. */
  async #attackProcess(frames: number): Promise<ProcessResult | null> {
    const { seed, progress, size } = this.#context
    const again = `--frames 0 --tcp-frames ${frames}`
    try {
      return await attackProcess({
        seed,
        frames,
        isStopped: () => this.#isOver(),
        onProgress: (count) => progress(size.frames! + count, size.frames! + frames),
        onFailure: (round, what, sent) => this.#fail(`process, round ${round}`, again, what, sent),
      })
    } catch (error) {
      this.#fail('process', again, error instanceof Error ? (error.stack ?? error.message) : String(error), [])
      return null
    }
  }

  /** What did not happen, and must have for the rest to mean anything. */
  #missing(tcp: ProcessResult | null): string[] {
    const { frameCount, answeredCount, storedCount, httpAnswerCount } = this.#total
    const tcpFrames = this.#context.size['tcp-frames']!
    const versions = frameCount >= FRAMES_FOR_ALL_VERSIONS ? missingVersions(this.#answered) : []
    return [
      ...versions,
      ...tooLittle([
        { what: 'frames sent', count: frameCount, least: this.#context.size.frames! },
        { what: 'frames answered', count: answeredCount, least: frameCount / 10 },
        { what: 'batches found stored', count: storedCount, least: Math.floor(frameCount / 20_000) },
        { what: 'answers over HTTP', count: httpAnswerCount, least: Math.floor(frameCount / 20_000) },
        { what: 'frames sent over TCP', count: tcp?.frameCount ?? 0, least: tcpFrames },
        { what: 'frames answered over TCP', count: tcp?.answeredCount ?? 0, least: tcpFrames / 20 },
        { what: 'answers to HTTP over TCP', count: tcp?.httpAnswerCount ?? 0, least: Math.floor(tcpFrames / 5_000) },
      ]),
    ]
  }

  #figures(seconds: number, tcp: ProcessResult | null): Record<string, number> {
    const total = this.#total
    return {
      framesPerSecond: Math.round(total.frameCount / seconds),
      answered: total.answeredCount,
      connectionsClosed: total.closedCount,
      batchesFoundStored: total.storedCount,
      httpAnswers: total.httpAnswerCount,
      longestStallMs: total.longestStallMs,
      stallsNotRepeatedCount: this.#stallsNotRepeated.notRepeatedCount,
      longestNotRepeatedMs: this.#stallsNotRepeated.longestNotRepeatedMs,
      longestGcPauseMs: total.longestPauseMs,
      heapGrowthMiB: total.heapGrowthBytes / MEBIBYTE,
      bufferGrowthMiB: total.bufferGrowthBytes / MEBIBYTE,
      tcpFrames: tcp?.frameCount ?? 0,
      tcpAnswered: tcp?.answeredCount ?? 0,
      tcpLongestNeighbourMs: tcp?.longestNeighbourMs ?? 0,
      tcpLongestDelayMs: tcp?.longestDelayMs ?? 0,
      tcpLongestOwnDelayMs: tcp?.longestOwnDelayMs ?? 0,
      tcpLongestGcPauseMs: tcp?.longestCollectionMs ?? 0,
      tcpHeldGrowthMiB: tcp?.heldGrowthMiB ?? 0,
      tcpAnonymousGrowthMiB: tcp?.anonymousGrowthMiB ?? 0,
    }
  }

  #isOver(): boolean {
    return this.#context.signal.aborted || this.#failures.length >= MAX_FAILURES || this.#suspects.areTooMany
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

/** With which a find is made again. */
function optionsOf(order: Order): string {
  return order.kind === 'epoch'
    ? `--epoch ${order.epoch} --frames ${order.frames} --tcp-frames 0`
    : '--frames 0 --tcp-frames 0'
}
