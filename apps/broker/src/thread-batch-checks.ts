import type { Worker } from 'node:worker_threads'
import { AssertionError } from '@millrace/base'
import type { BatchChecks } from '@millrace/broker'
import { type ProduceRules, ProduceValidation } from '@millrace/protocol'
import type { CheckAnswer, CheckOrder } from './batch-check-thread.ts'

/** Expanding stops at 64 MiB; a few times that for what is read of it. */
const MAX_HEAP_MIB = 256

interface Waiting {
  resolve(validation: ProduceValidation): void
  reject(error: Error): void
}

/**
 * Checks batches in a thread of its own, one after the other. The thread starts with the first of them: most brokers never need it. If it
 * dies, what waits fails, and the next batch starts another; so it is if none could be started.
 */
export class ThreadBatchChecks implements BatchChecks {
  readonly #startThread: () => Promise<Worker>
  /** All of them wait for {@link #thread}. */
  readonly #waiting = new Map<number, Waiting>()
  #starting: Promise<Worker> | null = null
  /** The one that lives. Another may not be quite gone yet. */
  #thread: Worker | null = null
  #nextId = 0
  #closed = false

  constructor(startThread: () => Promise<Worker> = startBatchThread) {
    this.#startThread = startThread
  }

  async check(batch: Buffer, rules: ProduceRules): Promise<ProduceValidation> {
    if (this.#closed) throw new Error('the broker is stopping')
    const thread = this.#thread ?? (await this.#start())
    return new Promise((resolve, reject) => {
      if (this.#closed || this.#thread !== thread) {
        reject(new Error(this.#closed ? 'the broker is stopping' : 'the thread for batches ended'))
        return
      }
      const id = this.#nextId++
      // The caller gave a buffer of its own, which moves to the thread.
      const order: CheckOrder = { id, batch: batch as Buffer<ArrayBuffer>, rules }
      this.#waiting.set(id, { resolve, reject })
      thread.postMessage(order, [order.batch.buffer])
    })
  }

  close(): void {
    this.#closed = true
    void this.#thread?.terminate()
  }

  /** The same start for all who come before its end. */
  #start(): Promise<Worker> {
    this.#starting ??= this.#startThread()
      .then((thread) => this.#adopt(thread))
      .finally(() => {
        this.#starting = null
      })
    return this.#starting
  }

  #adopt(thread: Worker): Worker {
    this.#thread = thread
    thread.unref()
    thread.on('message', (answer: CheckAnswer) => this.#onAnswer(answer))
    // One that throws tells it twice: by an error, and by its exit, when another may have taken its place.
    thread.on('error', (error) => this.#onEnd(thread, error))
    thread.on('exit', (code) => this.#onEnd(thread, new Error(`the thread for batches ended with ${code}`)))
    if (this.#closed) void thread.terminate()
    return thread
  }

  #onAnswer(answer: CheckAnswer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if ('failure' in answer) {
      waiting?.reject(answer.isAssertion ? new AssertionError(answer.failure) : new Error(answer.failure))
      return
    }
    const { fields, batch } = answer
    const validation = Object.assign(new ProduceValidation(), fields)
    if (batch !== null) validation.batch = Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength)
    waiting?.resolve(validation)
  }

  #onEnd(thread: Worker, error: Error): void {
    if (this.#thread !== thread) return
    this.#thread = null
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { reject } of waiting) reject(error)
  }
}

/** Rejects if there can be no other thread now. */
export async function startBatchThread(): Promise<Worker> {
  const [{ Worker }, { BATCH_CHECKS, batchCheckModule }] = await Promise.all([
    import('node:worker_threads'),
    import('./batch-check-thread.ts'),
  ])
  return new Worker(new URL(batchCheckModule), {
    name: BATCH_CHECKS,
    workerData: BATCH_CHECKS,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
  })
}
