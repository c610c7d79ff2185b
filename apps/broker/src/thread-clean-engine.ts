import type { Worker } from 'node:worker_threads'
import { AssertionError, DiskError } from '@millrace/base'
import {
  type CleanEngine,
  CleanEngineError,
  type CleanOrder,
  type IndexOutcome,
  type RewriteOrder,
  type RewriteOutcome,
} from '@millrace/storage'
import type { CleanAnswer, CleanRequest } from './clean-thread.ts'

/** For one batch expanded and written anew, a few times over. Keys are outside of the heap. */
const MAX_HEAP_MIB = 256

interface Waiting {
  resolve(outcome: IndexOutcome | RewriteOutcome): void
  reject(error: Error): void
}

/** Compacts in a thread of its own, which starts with the first order. If it dies, what waits fails, and the engine is of no use any more. */
export class ThreadCleanEngine implements CleanEngine {
  readonly #startThread: () => Promise<Worker>
  #thread: Promise<Worker> | null
  #ended: Error | null
  readonly #waiting: Map<number, Waiting>
  #nextId: number
  #isClosed: boolean
  memoryBytes: number

  constructor(startThread: () => Promise<Worker> = startCleanThread) {
    this.#startThread = startThread
    this.#thread = null
    this.#ended = null
    this.#waiting = new Map()
    this.#nextId = 0
    this.#isClosed = false
    this.memoryBytes = 0
  }

  async index(order: CleanOrder): Promise<IndexOutcome> {
    return (await this.#ask({ kind: 'index', id: this.#nextId++, order })) as IndexOutcome
  }

  async rewrite(order: RewriteOrder): Promise<RewriteOutcome> {
    return (await this.#ask({ kind: 'rewrite', id: this.#nextId++, order })) as RewriteOutcome
  }

  abort(): void {
    if (this.#waiting.size === 0) return
    this.#thread?.then(
      (thread) => thread.postMessage({ kind: 'abort' }),
      () => undefined,
    )
  }

  close(): void {
    this.#isClosed = true
    this.memoryBytes = 0
    this.#thread?.then(
      (thread) => void thread.terminate(),
      () => undefined,
    )
  }

  async #ask(request: Exclude<CleanRequest, { kind: 'abort' }>): Promise<IndexOutcome | RewriteOutcome> {
    if (this.#isClosed) throw new CleanEngineError('the broker is stopping')
    this.#thread ??= this.#start()
    const thread = await this.#thread
    if (this.#ended !== null) throw new CleanEngineError(this.#ended.message, { cause: this.#ended })
    return new Promise((resolve, reject) => {
      this.#waiting.set(request.id, { resolve, reject })
      thread.postMessage(request)
    })
  }

  async #start(): Promise<Worker> {
    let thread: Worker
    try {
      thread = await this.#startThread()
    } catch (error) {
      throw new CleanEngineError('no thread could be started', { cause: error })
    }
    thread.unref()
    thread.on('message', (answer: CleanAnswer) => this.#onAnswer(answer))
    thread.on('error', (error) => this.#onEnd(error))
    thread.on('exit', (code) => this.#onEnd(new Error(`the thread for compaction ended with ${code}`)))
    return thread
  }

  #onAnswer(answer: CleanAnswer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if ('outcome' in answer) {
      this.memoryBytes = answer.memoryBytes
      waiting?.resolve(answer.outcome)
    } else if ('disk' in answer) {
      const { code, operation, path, errno } = answer.disk
      waiting?.reject(new DiskError(code, operation, path, errno))
    } else {
      const { failure, isAssertion } = answer
      waiting?.reject(isAssertion ? new AssertionError(failure) : new CleanEngineError(failure))
    }
  }

  #onEnd(error: Error): void {
    this.#ended ??= error
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { reject } of waiting) reject(new CleanEngineError(error.message, { cause: error }))
  }
}

/** Rejects if there can be no other thread now. */
export async function startCleanThread(): Promise<Worker> {
  const [{ Worker }, { CLEANING, cleanModule }] = await Promise.all([
    import('node:worker_threads'),
    import('./clean-thread.ts'),
  ])
  return new Worker(new URL(cleanModule), {
    name: CLEANING,
    workerData: CLEANING,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
  })
}
