import { constants, getPriority, setPriority } from 'node:os'
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import {
  AssertionError,
  DiskError,
  type DiskErrorCode,
  RealClock,
  RealDisk,
  RealRandom,
  RealTimers,
} from '@millrace/base'
import {
  type CleanOrder,
  type IndexOutcome,
  LocalCleanEngine,
  type RewriteOrder,
  type RewriteOutcome,
} from '@millrace/storage'

/**
 * What the thread runs: this module. Bundled, it is a chunk of its own, whose name only it can tell. On the main thread it does nothing.
 */
export const cleanModule = import.meta.url

/** Marks a thread as one for this. */
export const CLEANING = 'millrace-cleaning'

/** What the thread is asked for; without an id nothing is answered. */
export type CleanRequest =
  | { readonly kind: 'index'; readonly id: number; readonly order: CleanOrder }
  | { readonly kind: 'rewrite'; readonly id: number; readonly order: RewriteOrder }
  | { readonly kind: 'abort' }

export type CleanAnswer = CleanDone | CleanDiskFailure | CleanFailure

export interface CleanDone {
  readonly id: number
  readonly outcome: IndexOutcome | RewriteOutcome
  readonly memoryBytes: number
}

/** Errors lose their class between threads. */
export interface CleanDiskFailure {
  readonly id: number
  readonly disk: {
    readonly code: DiskErrorCode
    readonly operation: string
    readonly path: string
    readonly errno: string | null
  }
}

/** The work broke off. */
export interface CleanFailure {
  readonly id: number
  readonly failure: string
  /** A broken invariant, after which the broker must not go on. */
  readonly isAssertion: boolean
}

/** By how much the thread is nicer than the rest of the process. */
const NICER = 10

function failureOf(id: number, error: unknown): CleanDiskFailure | CleanFailure {
  if (error instanceof DiskError) {
    const { code, operation, path, errno } = error
    return { id, disk: { code: code as DiskErrorCode, operation, path, errno } }
  }
  const failure = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { id, failure, isAssertion: error instanceof AssertionError }
}

if (!isMainThread && workerData === CLEANING && parentPort !== null) {
  const port = parentPort
  // Linux gives threads priorities of their own: where processors are short, clients come first.
  if (process.platform === 'linux') setPriority(0, Math.min(getPriority(0) + NICER, constants.priority.PRIORITY_LOW))
  const engine = new LocalCleanEngine({
    disk: new RealDisk(),
    clock: new RealClock(),
    timers: new RealTimers(),
    secret: new RealRandom().bytes(16),
    nextTurn: () => new Promise((resolve) => setImmediate(resolve)),
  })
  port.on('message', (request: CleanRequest) => {
    if (request.kind === 'abort') {
      engine.abort()
      return
    }
    const { id } = request
    const work = request.kind === 'index' ? engine.index(request.order) : engine.rewrite(request.order)
    work.then(
      (outcome) => port.postMessage({ id, outcome, memoryBytes: engine.memoryBytes }),
      (error: unknown) => port.postMessage(failureOf(id, error)),
    )
  })
}
