import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Campaign, CampaignContext, CampaignResult } from '../../campaign.ts'
import { CaseWatch, HANG_MS, HANG_PROCESSOR_MS } from './case-watch.ts'
import { type CaseOrder, type CaseReport, NEXT, STOP } from './case-worker.ts'

const LOOK_MS = 1_000
const MAX_HEAP_MIB = 512
const MAX_FAILURES = 40
/** Cases of one worker's life: what it leaks, it leaks for so long. */
const WORKER_CASES = 20_000
const MAX_WORKERS = 4
/** Fewer files are done before a second worker has begun. */
const FILES_PER_WORKER = 500

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
  readonly #shared = new SharedArrayBuffer(8)
  readonly #common = new Int32Array(this.#shared)
  readonly #workerCount: number
  readonly #positions: SharedArrayBuffer
  #caseCount = 0
  #fileCount = 0
  #refusedCount = 0

  constructor(context: CampaignContext) {
    const { size } = context
    this.#context = context
    this.#common[NEXT] = size.case!
    const wanted = Math.ceil(size.files! / FILES_PER_WORKER)
    this.#workerCount = Math.max(1, Math.min(availableParallelism(), MAX_WORKERS, wanted))
    this.#positions = new SharedArrayBuffer(4 * this.#workerCount)
  }

  async run(): Promise<CampaignResult> {
    const { size } = this.#context
    const startMs = performance.now()
    await Promise.all(Array.from({ length: this.#workerCount }, (_, slot) => this.#runWorkers(slot)))
    const seconds = (performance.now() - startMs) / 1000
    return {
      passedCount: Math.max(0, this.#fileCount - this.#failures.length),
      failures: this.#failures,
      figures: {
        cases: this.#caseCount,
        files: this.#fileCount,
        refused: this.#refusedCount,
        filesPerSecond: Math.round(this.#fileCount / seconds),
      },
      resume: { case: Atomics.load(this.#common, NEXT), files: Math.max(0, size.files! - this.#fileCount) },
    }
  }

  /** One worker after the other, until enough was done. */
  async #runWorkers(slot: number): Promise<void> {
    while (!this.#isEnough()) await this.#runWorker(slot)
  }

  /** Runs cases in a worker until it has had its share, enough were run, or one hangs. */
  #runWorker(slot: number): Promise<void> {
    const { seed } = this.#context
    const at = new Int32Array(this.#positions)
    Atomics.store(at, slot, -1)
    const workerData: CaseOrder = {
      seed,
      maxCases: WORKER_CASES,
      shared: this.#shared,
      positions: this.#positions,
      slot,
    }
    const worker = new Worker(new URL('./case-worker.ts', import.meta.url), {
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    })
    return new Promise((resolve) => {
      const watch = new CaseWatch(performance.now())
      let lastProcessorMs = 0
      const timer = setInterval(() => {
        if (this.#isEnough()) Atomics.store(this.#common, STOP, 1)
        // In the midst of native work there is no answer before its end: the time that passes is judged all the same.
        void processorMsOf(worker).then((processorMs) => {
          lastProcessorMs = processorMs ?? lastProcessorMs
        })
        const number = Atomics.load(at, slot)
        if (!watch.look(number, performance.now(), lastProcessorMs)) return
        clearInterval(timer)
        this.#fail(number, [], `does not end within ${HANG_PROCESSOR_MS} ms of the processor or ${HANG_MS} ms of time`)
        void worker.terminate()
      }, LOOK_MS)
      worker.on('message', (report: CaseReport) => {
        this.#add(report)
        if (this.#isEnough()) Atomics.store(this.#common, STOP, 1)
      })
      worker.on('error', (error) => {
        this.#fail(Atomics.load(at, slot), [], `ended its process: ${error.stack ?? error.message}`)
      })
      worker.once('exit', () => {
        clearInterval(timer)
        resolve()
      })
    })
  }

  #isEnough(): boolean {
    const { size, signal } = this.#context
    return signal.aborted || this.#fileCount >= size.files! || this.#failures.length >= MAX_FAILURES
  }

  #add({ caseCount, fileCount, refusedCount, failures }: CaseReport): void {
    this.#caseCount += caseCount
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

/** Also in the midst of its work; null of one that has ended. */
async function processorMsOf(worker: Worker): Promise<number | null> {
  try {
    const { user, system } = await worker.cpuUsage()
    return (user + system) / 1000
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_WORKER_NOT_RUNNING') throw error
    return null
  }
}
