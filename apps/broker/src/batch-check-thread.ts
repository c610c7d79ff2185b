import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { AssertionError } from '@millrace/base'
import { type ProduceRules, ProduceValidation, validateProduceBatch } from '@millrace/protocol'

/**
 * What the thread runs: this module. Bundled, it is a chunk of its own, whose name only it can tell. On the main thread it does nothing.
 */
export const batchCheckModule = import.meta.url

/** Marks a thread as one for this. */
export const BATCH_CHECKS = 'millrace-batch-checks'

/** One batch on its way to the thread; its memory goes with it. */
export interface CheckOrder {
  readonly id: number
  readonly batch: Uint8Array<ArrayBuffer>
  readonly rules: ProduceRules
}

/** The outcome on its way back. */
export type CheckAnswer = CheckOutcome | CheckFailure

/** The fields of a `ProduceValidation`, with a batch only if it may be appended. */
export interface CheckOutcome {
  readonly id: number
  readonly fields: Omit<ProduceValidation, 'refuse' | 'batch'>
  readonly batch: Uint8Array<ArrayBuffer> | null
}

/** The check broke off. Errors lose their class between threads. */
export interface CheckFailure {
  readonly id: number
  readonly failure: string
  /** A broken invariant, after which the broker must not go on. */
  readonly isAssertion: boolean
}

function answerTo({ id, batch, rules }: CheckOrder): CheckOutcome {
  const validation = new ProduceValidation()
  const bytes = Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength)
  const isGood = validateProduceBatch(bytes, 0, bytes.length, rules, validation)
  const { batch: checked, ...fields } = validation
  if (!isGood) return { id, fields, batch: null }
  // A view of its own: what the codecs give may be part of a pool.
  const stored = new Uint8Array(validation.end - validation.start)
  stored.set(checked.subarray(validation.start, validation.end))
  return { id, fields: { ...fields, start: 0, end: stored.length }, batch: stored }
}

function failureOf(id: number, error: unknown): CheckFailure {
  const failure = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { id, failure, isAssertion: error instanceof AssertionError }
}

if (!isMainThread && workerData === BATCH_CHECKS && parentPort !== null) {
  const port = parentPort
  port.on('message', (order: CheckOrder) => {
    // What breaks one check is that batch's business: the others, and the thread, go on.
    try {
      const answer = answerTo(order)
      port.postMessage(answer, answer.batch === null ? [] : [answer.batch.buffer])
    } catch (error) {
      port.postMessage(failureOf(order.id, error))
    }
  })
}
