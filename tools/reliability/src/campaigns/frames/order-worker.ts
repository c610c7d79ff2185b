import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { BrokerEpoch, type EpochResult } from './broker-epoch.ts'
import { readCorpus } from './corpus.ts'
import { nameOf, type Order, type OrderResult, type Report } from './orders.ts'
import { replayCase } from './replay-case.ts'
import { StallWatch } from './stall-watch.ts'
import { sweepLimits } from './sweep.ts'

const WARM_UP_FRAMES = 1_500
const PROGRESS_MS = 500

/** What a thread is given when it begins. */
export interface OrderWorkerData {
  readonly seed: number
  /** One int32: 1 once the run is told to end. */
  readonly stop: SharedArrayBuffer
}

const NO_FRAMES: EpochResult = {
  frameCount: 0,
  answeredCount: 0,
  closedCount: 0,
  storedCount: 0,
  httpAnswerCount: 0,
  heapGrowthBytes: 0,
  bufferGrowthBytes: 0,
  answered: new Set(),
}

/** Does what the campaign's {@link Order}s say, one after the other, in a thread with a heap and a loop of its own. */
class OrderWorker {
  readonly #port: MessagePort
  readonly #data: OrderWorkerData
  readonly #stop: Int32Array
  #isWarm = false
  #progressMs = 0

  constructor(port: MessagePort, data: OrderWorkerData) {
    this.#port = port
    this.#data = data
    this.#stop = new Int32Array(data.stop)
  }

  async perform(order: Order): Promise<void> {
    await this.#warmUp()
    const watch = new StallWatch()
    const partial = await this.#partOf(order, watch)
    watch.stop()
    const { longestMs: longestStallMs, longestPauseMs } = watch
    this.#tell({ kind: 'done', result: { ...NO_FRAMES, checkCount: 0, ...partial, longestStallMs, longestPauseMs } })
  }

  async #partOf(order: Order, watch: StallWatch): Promise<Partial<OrderResult>> {
    switch (order.kind) {
      case 'corpus':
        return { checkCount: await this.#replayCorpus(watch) }
      case 'sweep': {
        const { requestCount, complaints } = await sweepLimits(order.seed, watch)
        for (const complaint of complaints) this.#fail(nameOf(order), complaint, [])
        return { checkCount: requestCount }
      }
      default: {
        const { seed, frames, rare } = order
        return await BrokerEpoch.run({
          seed,
          frames,
          rare,
          watch,
          isStopped: () => Atomics.load(this.#stop, 0) !== 0,
          onProgress: (frameCount) => this.#progress(frameCount),
          onFailure: (round, what, sent, heldMs) => this.#fail(`${nameOf(order)}, round ${round}`, what, sent, heldMs),
        })
      }
    }
  }

  /** Code that runs for the first time is slow, and the HTTP server is loaded with its first request: no turn is measured before. */
  async #warmUp(): Promise<void> {
    if (this.#isWarm) return
    this.#isWarm = true
    const watch = new StallWatch()
    await BrokerEpoch.run({
      seed: this.#data.seed,
      frames: WARM_UP_FRAMES,
      rare: { flood: 0, deluge: 0, bomb: 0 },
      watch,
      isStopped: () => false,
      onProgress: () => undefined,
      onFailure: (round, what, sent, heldMs) => {
        if (heldMs === null) this.#fail(`warm-up, round ${round}`, what, sent)
      },
    })
    watch.stop()
  }

  async #replayCorpus(watch: StallWatch): Promise<number> {
    const cases = readCorpus()
    for (const found of cases) {
      // Once for the code to get warm: how long a turn takes means nothing before.
      await replayCase(found, watch)
      for (const complaint of await replayCase(found, watch)) this.#fail(`corpus/${found.name}`, complaint, [])
    }
    return cases.length
  }

  #progress(frameCount: number): void {
    const nowMs = performance.now()
    if (nowMs - this.#progressMs < PROGRESS_MS) return
    this.#progressMs = nowMs
    this.#tell({ kind: 'progress', frameCount })
  }

  #fail(where: string, what: string, sent: readonly Buffer[], heldMs: number | null = null): void {
    this.#tell({ kind: 'failure', where, what, sent, heldMs })
  }

  #tell(report: Report): void {
    this.#port.postMessage(report)
  }
}

const port = parentPort
if (port !== null) {
  const worker = new OrderWorker(port, workerData as OrderWorkerData)
  port.on('message', (order: Order) => {
    worker.perform(order).catch((error: unknown) => {
      // What breaks the checks themselves ends the thread, and is told by its end.
      setImmediate(() => {
        throw error
      })
    })
  })
}
