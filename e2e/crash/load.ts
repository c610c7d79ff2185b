import type { Acknowledged, ProducerHistory, ProducerKind } from './history.ts'

/** A producer at work, over all crashes of its broker. */
export interface Load {
  readonly name: string
  /** So far. */
  acknowledged(): readonly Acknowledged[]
  /** Ends sending, waits for what is under way and gives the whole history. Throws if any record was given up. */
  finish(): Promise<ProducerHistory>
  /** Ends it at once, for a test that failed: nothing may go on behind its back. Does nothing after `finish`. */
  abandon(): void
}

export type LoadCodec = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

export interface LoadOptions {
  readonly bootstrap: string
  readonly topic: string
  readonly name: string
  readonly kind: ProducerKind
  readonly codec: LoadCodec
  readonly ratePerSecond: number
}
