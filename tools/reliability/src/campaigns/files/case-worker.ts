import { parentPort, workerData } from 'node:worker_threads'
import { AllocationWatch } from './allocations.ts'
import { type GoodDirectory, makeGoodDirectory } from './good-logs.ts'
import { type GoodJournal, makeGoodJournal, runJournalCase } from './journal-case.ts'
import { type CaseResult, runLogCase } from './log-case.ts'
import { type GoodMoves, makeGoodMoves, runMoveCase } from './move-case.ts'

/** What the supervisor tells a worker. */
export interface CaseOrder {
  readonly seed: number
  /** Cases after which the worker ends: another one takes its place, with a heap of its own. */
  readonly maxCases: number
  /** Of int32: the next case that nobody has begun, and whether the run is to end. Shared by all workers. */
  readonly shared: SharedArrayBuffer
  /** Of int32 by worker: the case at hand, so that the supervisor knows where one hangs. */
  readonly positions: SharedArrayBuffer
  readonly slot: number
}

/** Places in {@link CaseOrder.shared}. */
export const NEXT = 0
export const STOP = 1

/** What a worker tells now and then, and at the end. */
export interface CaseReport {
  readonly caseCount: number
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
/** And one of so many is of the notes that moves between directories leave. */
const MOVE_SHARE = 16
const REPORT_MS = 500
/** All buffers of one case together. */
const MAX_BUFFER_BYTES = 256 * 1024 * 1024

/** Everything that cases begin with. Equal in all workers. */
export class CaseRunner {
  readonly #seed: number
  readonly #directories: readonly GoodDirectory[]
  readonly #journals: readonly GoodJournal[]
  readonly #moves: GoodMoves

  static async create(seed: number): Promise<CaseRunner> {
    const directories: GoodDirectory[] = []
    for (let number = 0; number < GOOD_DIRECTORY_COUNT; number++) {
      directories.push(await makeGoodDirectory(number, number % 2 === 0 ? 'cleanly' : 'by a kill'))
    }
    const journals = [await makeGoodJournal('cleanly'), await makeGoodJournal('by a kill')]
    return new CaseRunner(seed, directories, journals, await makeGoodMoves())
  }

  private constructor(
    seed: number,
    directories: readonly GoodDirectory[],
    journals: readonly GoodJournal[],
    moves: GoodMoves,
  ) {
    this.#seed = seed
    this.#directories = directories
    this.#journals = journals
    this.#moves = moves
  }

  run(number: number): Promise<CaseResult> {
    const seed = (Math.imul(this.#seed, 1_000_003) ^ Math.imul(number, 0x9e3779b1)) >>> 0
    if (number % JOURNAL_SHARE === 0) {
      return runJournalCase(this.#journals[(number / JOURNAL_SHARE) % this.#journals.length]!, seed)
    }
    if (number % MOVE_SHARE === 1) return runMoveCase(this.#moves, seed)
    return runLogCase(this.#directories[number % this.#directories.length]!, seed)
  }
}

async function work({ seed, maxCases, shared, positions, slot }: CaseOrder): Promise<void> {
  const runner = await CaseRunner.create(seed)
  const allocations = new AllocationWatch()
  const [common, at] = [new Int32Array(shared), new Int32Array(positions)]
  let report = emptyReport()
  let reportedMs = performance.now()
  const tell = async (): Promise<void> => {
    parentPort!.postMessage(report)
    report = emptyReport()
    reportedMs = performance.now()
    // Messages, and whatever timers there are, have their turn.
    await new Promise((resolve) => setImmediate(resolve))
  }
  for (let done = 0; done < maxCases && Atomics.load(common, STOP) === 0; done++) {
    const number = Atomics.add(common, NEXT, 1)
    Atomics.store(at, slot, number)
    allocations.take()
    const { fileCount, complaints, paths, refused } = await runner.run(number)
    const tookBytes = allocations.take()
    report.caseCount++
    report.fileCount += fileCount
    if (refused) report.refusedCount++
    const tooMuch = tookBytes > MAX_BUFFER_BYTES ? [`took ${tookBytes} bytes of buffers`] : []
    for (const complaint of [...complaints, ...tooMuch]) report.failures.push({ number, paths, complaint })
    if (performance.now() - reportedMs >= REPORT_MS) await tell()
  }
  await tell()
}

function emptyReport() {
  return { caseCount: 0, fileCount: 0, refusedCount: 0, failures: [] as CaseReport['failures'][number][] }
}

if (parentPort !== null) await work(workerData as CaseOrder)
