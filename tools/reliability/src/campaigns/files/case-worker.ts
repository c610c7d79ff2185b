import { parentPort, workerData } from 'node:worker_threads'
import { type GoodDirectory, makeGoodDirectory } from './good-logs.ts'
import { type GoodJournal, makeGoodJournal, runJournalCase } from './journal-case.ts'
import { type CaseResult, runLogCase } from './log-case.ts'

/** What the supervisor tells a worker. */
export interface CaseOrder {
  readonly seed: number
  /** Cases `[first, end)`. */
  readonly first: number
  readonly end: number
  /** One int32: the case at hand, so that the supervisor knows where a worker hangs. */
  readonly position: SharedArrayBuffer
}

/** What a worker tells now and then, and at the end. */
export interface CaseReport {
  readonly fileCount: number
  readonly refusedCount: number
  readonly failures: readonly {
    readonly number: number
    readonly paths: readonly string[]
    readonly complaint: string
  }[]
}

const GOOD_DIRECTORY_COUNT = 6
/** One case of so many is of the metadata's journal, which is one file of a dozen kinds. */
const JOURNAL_SHARE = 8
const REPORT_MS = 500

/** Everything that cases begin with. Equal in all workers. */
export class CaseRunner {
  readonly #seed: number
  readonly #directories: readonly GoodDirectory[]
  readonly #journals: readonly GoodJournal[]

  static async create(seed: number): Promise<CaseRunner> {
    const directories: GoodDirectory[] = []
    for (let number = 0; number < GOOD_DIRECTORY_COUNT; number++) {
      directories.push(await makeGoodDirectory(number, number % 2 === 0 ? 'cleanly' : 'by a kill'))
    }
    return new CaseRunner(seed, directories, [await makeGoodJournal('cleanly'), await makeGoodJournal('by a kill')])
  }

  private constructor(seed: number, directories: readonly GoodDirectory[], journals: readonly GoodJournal[]) {
    this.#seed = seed
    this.#directories = directories
    this.#journals = journals
  }

  run(number: number): Promise<CaseResult> {
    const seed = (Math.imul(this.#seed, 1_000_003) ^ Math.imul(number, 0x9e3779b1)) >>> 0
    if (number % JOURNAL_SHARE === 0) {
      return runJournalCase(this.#journals[(number / JOURNAL_SHARE) % this.#journals.length]!, seed)
    }
    return runLogCase(this.#directories[number % this.#directories.length]!, seed)
  }
}

async function work({ seed, first, end, position }: CaseOrder): Promise<void> {
  const runner = await CaseRunner.create(seed)
  const at = new Int32Array(position)
  let report = { fileCount: 0, refusedCount: 0, failures: [] as CaseReport['failures'][number][] }
  let reportedMs = performance.now()
  for (let number = first; number < end; number++) {
    Atomics.store(at, 0, number)
    const { fileCount, complaints, paths, refused } = await runner.run(number)
    report.fileCount += fileCount
    if (refused) report.refusedCount++
    for (const complaint of complaints) report.failures.push({ number, paths, complaint })
    if (performance.now() - reportedMs < REPORT_MS && number + 1 < end) continue
    parentPort!.postMessage(report)
    report = { fileCount: 0, refusedCount: 0, failures: [] }
    reportedMs = performance.now()
    // Messages, and whatever timers there are, have their turn.
    await new Promise((resolve) => setImmediate(resolve))
  }
}

if (parentPort !== null) await work(workerData as CaseOrder)
