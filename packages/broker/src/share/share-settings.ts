import type { WindowSettings } from './window/share-window.ts'

/** Where a share group begins in a partition that it has no offset for. */
export type OffsetReset =
  | { readonly kind: 'latest' }
  | { readonly kind: 'earliest' }
  /** At the first record that is at most so old. */
  | { readonly kind: 'duration'; readonly durationMs: number }

/** When so many records of a share partition fail in so short a time that what fails is not the records. */
export interface BreakerSettings {
  /** 0: never. */
  readonly failureCount: number
  readonly windowMs: number
  /** How long nothing is delivered then. */
  readonly pauseMs: number
}

/** The settings of one share group as they are now: its own, else the broker's. */
export interface ShareGroupSettings extends WindowSettings {
  readonly offsetReset: OffsetReset
  readonly isReadCommitted: boolean
  readonly allowsRenewal: boolean
  /** Topic for what is given up; empty: none (KIP-1191). */
  readonly deadLetterTopic: string
  /** Dead letters have the key, the value and the headers of their records. */
  readonly copiesRecords: boolean
  readonly breaker: BreakerSettings
}
