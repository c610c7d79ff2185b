import type { ProducerHistory } from './history.ts'

/** A producer at work, over all crashes of its broker. */
export interface Load {
  readonly name: string
  acknowledgedCount(): number
  /** Ends sending, waits for what is under way and gives the whole history. Throws if any record was given up. */
  finish(): Promise<ProducerHistory>
}

export interface LoadOptions {
  readonly bootstrap: string
  readonly topic: string
  readonly name: string
  readonly idempotent: boolean
  readonly ratePerSecond: number
}
