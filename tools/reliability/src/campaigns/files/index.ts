import { Worker } from 'node:worker_threads'
import type { Campaign, CampaignContext, CampaignResult } from '../../campaign.ts'
import type { CaseOrder, CaseReport } from './case-worker.ts'

/** A case that takes longer hangs: the worker is ended, the case counted as failed. */
const HANG_MS = 30_000
const LOOK_MS = 1_000
const MAX_HEAP_MIB = 512
const MAX_FAILURES = 40
/** Files of a case, on average; only says when to stop asking for more. */
const BATCH_CASES = 20_000

/**
 * Stored files under mutation (`reliability.md`, 5.3): segments, indexes, snapshots, checkpoints, the durable mark, the directories'
 * properties and the metadata's journal. Each is read as it was, derived anew, or refused with a clear error.
 */
export const filesCampaign: Campaign = {
  name: 'files',
  summary: 'damaged files of the log directories and of the metadata; --case N begins with that one',
  sizes: { ci: { files: 8_000, case: 0 }, full: { files: 1_000_000, case: 0 } },
  run: (context) => new FilesRun(context).run(),
}

class FilesRun {
  readonly #context: CampaignContext
  readonly #failures: string[] = []
  readonly #position = new SharedArrayBuffer(4)
  #fileCount = 0
  #refusedCount = 0

  constructor(context: CampaignContext) {
    this.#context = context
  }

  async run(): Promise<CampaignResult> {
    const { size, signal } = this.#context
    const startMs = performance.now()
    let first = size.case!
    while (this.#fileCount < size.files! && !signal.aborted && this.#failures.length < MAX_FAILURES) {
      first = await this.#runWorker(first, first + BATCH_CASES)
    }
    const seconds = (performance.now() - startMs) / 1000
    return {
      passedCount: this.#fileCount - this.#failures.length,
      failures: this.#failures,
      figures: {
        files: this.#fileCount,
        refused: this.#refusedCount,
        filesPerSecond: Math.round(this.#fileCount / seconds),
      },
    }
  }

  /** Runs cases in a worker until enough were run, or one hangs. Returns the case to go on with. */
  #runWorker(first: number, end: number): Promise<number> {
    const { seed, signal } = this.#context
    const workerData: CaseOrder = { seed, first, end, position: this.#position }
    const worker = new Worker(new URL('./case-worker.ts', import.meta.url), {
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    })
    const at = new Int32Array(this.#position)
    at[0] = first
    return new Promise((resolve) => {
      let seen = { number: -1, sinceMs: performance.now() }
      let next = end
      const stop = (): void => {
        void worker.terminate()
      }
      const timer = setInterval(() => {
        const number = Atomics.load(at, 0)
        if (number !== seen.number) seen = { number, sinceMs: performance.now() }
        if (performance.now() - seen.sinceMs > HANG_MS) {
          this.#fail(number, [], `does not end within ${HANG_MS} ms`)
          next = number + 1
          stop()
        }
        if (signal.aborted) stop()
      }, LOOK_MS)
      worker.on('message', (report: CaseReport) => {
        this.#add(report)
        if (this.#isEnough()) stop()
      })
      worker.on('error', (error) => {
        const number = Atomics.load(at, 0)
        this.#fail(number, [], `ended its process: ${error.stack ?? error.message}`)
        next = number + 1
      })
      worker.once('exit', () => {
        clearInterval(timer)
        resolve(next)
      })
    })
  }

  #isEnough(): boolean {
    return this.#fileCount >= this.#context.size.files! || this.#failures.length >= MAX_FAILURES
  }

  #add({ fileCount, refusedCount, failures }: CaseReport): void {
    this.#fileCount += fileCount
    this.#refusedCount += refusedCount
    for (const { number, paths, complaint } of failures) this.#fail(number, paths, complaint)
    this.#context.progress(this.#fileCount, this.#context.size.files!)
  }

  #fail(number: number, paths: readonly string[], complaint: string): void {
    if (this.#failures.length >= MAX_FAILURES) return
    const { seed, report } = this.#context
    const line = `${complaint} (${paths.join(', ')}: npm run reliability -- files --seed ${seed} --case ${number} --files 1)`
    this.#failures.push(line)
    report(line)
  }
}
