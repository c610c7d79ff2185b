import type { ProducerHistory } from './history.ts'

/** A producer at work, over all crashes of its broker. */
export interface Load {
  readonly name: string
  acknowledgedCount(): number
  /** Ends sending, waits for what is under way and gives the whole history. Throws if any record was given up. */
  finish(): Promise<ProducerHistory>
  /** Ends it at once, for a test that failed: nothing may go on behind its back. Does nothing after `finish`. */
  abandon(): void
}

export interface LoadOptions {
  readonly bootstrap: string
  readonly topic: string
  readonly name: string
  readonly idempotent: boolean
  readonly ratePerSecond: number
}
