import type { Worker } from 'node:worker_threads'
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
 * dies, what waits fails, and the next batch starts another.
 */
export class ThreadBatchChecks implements BatchChecks {
  readonly #waiting = new Map<number, Waiting>()
  #thread: Promise<Worker> | null = null
  #nextId = 0
  #closed = false

  async check(batch: Buffer, rules: ProduceRules): Promise<ProduceValidation> {
    if (this.#closed) throw new Error('the broker is stopping')
    this.#thread ??= this.#start()
    const thread = await this.#thread
    const id = this.#nextId++
    // The caller gave a buffer of its own, which moves to the thread.
    const order: CheckOrder = { id, batch: batch as Buffer<ArrayBuffer>, rules }
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new Error('the broker is stopping'))
        return
      }
      this.#waiting.set(id, { resolve, reject })
      thread.postMessage(order, [order.batch.buffer])
    })
  }

  close(): void {
    this.#closed = true
    void this.#thread?.then((thread) => thread.terminate())
  }

  async #start(): Promise<Worker> {
    const [{ Worker }, { BATCH_CHECKS, batchCheckModule }] = await Promise.all([
      import('node:worker_threads'),
      import('./batch-check-thread.ts'),
    ])
    const thread = new Worker(new URL(batchCheckModule), {
      name: BATCH_CHECKS,
      workerData: BATCH_CHECKS,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    })
    thread.unref()
    thread.on('message', (answer: CheckAnswer) => this.#onAnswer(answer))
    thread.on('error', (error) => this.#onEnd(error))
    thread.on('exit', (code) => this.#onEnd(new Error(`the thread for batches ended with ${code}`)))
    return thread
  }

  #onAnswer({ id, fields, batch }: CheckAnswer): void {
    const validation = Object.assign(new ProduceValidation(), fields)
    if (batch !== null) validation.batch = Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength)
    this.#waiting.get(id)?.resolve(validation)
    this.#waiting.delete(id)
  }

  #onEnd(error: Error): void {
    this.#thread = null
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { reject } of waiting) reject(error)
  }
}
