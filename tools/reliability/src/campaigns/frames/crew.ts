import { Worker } from 'node:worker_threads'
import type { OrderWorkerData } from './order-worker.ts'
import { nameOf, type Order, type OrderResult, type Report } from './orders.ts'

/** A thread that tells nothing for so long hangs: it is ended, and its order has failed. */
const HANG_MS = 180_000
const LOOK_MS = 1_000
/** An attack that fills more than this ends its thread, which is a find. */
const MAX_HEAP_MIB = 2048

export interface CrewOptions {
  readonly seed: number
  readonly threadCount: number
  readonly orders: Iterator<Order, void>
  /** What the threads run, if not `order-worker.ts`. */
  readonly program?: URL
  readonly hangMs?: number
  readonly lookMs?: number
  /** Whether no further order is to be begun, and those under way are to end. */
  isOver(): boolean
  onProgress(frameCount: number): void
  /** `heldMs`: see `Report`. */
  onFailure(order: Order, where: string, what: string, sent: readonly Buffer[], heldMs: number | null): void
  onDone(order: Order, result: OrderResult): void
}

/** Threads that take orders as they become free. A thread that is lost, or hangs, is replaced by a new one. */
export class Crew {
  readonly #options: CrewOptions
  readonly #stop = new SharedArrayBuffer(4)
  /** Frames of the orders that are done, and of each thread's order under way. */
  #doneFrames = 0
  readonly #underWay: number[]

  constructor(options: CrewOptions) {
    this.#options = options
    this.#underWay = Array.from({ length: options.threadCount }, () => 0)
  }

  async run(): Promise<void> {
    await Promise.all(this.#underWay.map((_, slot) => this.#runThread(slot)))
  }

  async #runThread(slot: number): Promise<void> {
    let worker: Worker | null = null
    while (!this.#options.isOver()) {
      const { value: order, done } = this.#options.orders.next()
      if (done === true) break
      worker ??= this.#hire()
      if (!(await this.#perform(worker, order, slot))) worker = null
    }
    await worker?.terminate()
  }

  #hire(): Worker {
    const workerData: OrderWorkerData = { seed: this.#options.seed, stop: this.#stop }
    const resourceLimits = { maxOldGenerationSizeMb: MAX_HEAP_MIB }
    const program = this.#options.program ?? new URL('./order-worker.ts', import.meta.url)
    return new Worker(program, { workerData, resourceLimits })
  }

  /** Returns whether the worker can be given another order. */
  #perform(worker: Worker, order: Order, slot: number): Promise<boolean> {
    const { onFailure, hangMs = HANG_MS, lookMs = LOOK_MS } = this.#options
    return new Promise((resolve) => {
      let heardMs = performance.now()
      const timer = setInterval(() => {
        if (this.#options.isOver()) Atomics.store(new Int32Array(this.#stop), 0, 1)
        if (performance.now() - heardMs <= hangMs) return
        // Once: it ends when native code lets it, which may take several looks.
        clearInterval(timer)
        onFailure(order, nameOf(order), `tells nothing for ${hangMs} ms`, [], null)
        void worker.terminate()
      }, lookMs)
      const settle = (isUsable: boolean): void => {
        clearInterval(timer)
        this.#underWay[slot] = 0
        // Each by name: Node has listeners of its own on a worker, without which no message comes any more.
        worker.off('message', onMessage).off('error', onError).off('exit', onExit)
        resolve(isUsable)
      }
      const onMessage = (report: Report): void => {
        heardMs = performance.now()
        if (report.kind === 'progress') this.#showProgress(slot, report.frameCount)
        else if (report.kind === 'failure') {
          const sent = report.sent.map((bytes) => Buffer.from(bytes))
          onFailure(order, report.where, report.what, sent, report.heldMs)
        } else {
          this.#doneFrames += report.result.frameCount
          this.#options.onDone(order, report.result)
          settle(true)
        }
      }
      const onError = (error: Error): void => {
        const what = `ended its thread, as it would have ended a process: ${error.stack ?? error.message}`
        onFailure(order, nameOf(order), what, [], null)
      }
      const onExit = (): void => settle(false)
      worker.on('message', onMessage).on('error', onError).on('exit', onExit)
      worker.postMessage(order)
    })
  }

  #showProgress(slot: number, frameCount: number): void {
    this.#underWay[slot] = frameCount
    this.#options.onProgress(this.#doneFrames + this.#underWay.reduce((sum, frames) => sum + frames, 0))
  }
}
