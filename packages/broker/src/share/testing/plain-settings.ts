import type { ShareGroupSettings } from '../share-settings.ts'

/** Settings of a share group with nothing that holds records back, moves them elsewhere or pauses: tests say what they need beside them. */
export const PLAIN_SETTINGS: ShareGroupSettings = {
  deliveryCountLimit: 5,
  recordLockDurationMs: 30_000,
  maxRecordLocks: 100,
  redeliveryDelayMs: 0,
  redeliveryMaxDelayMs: 0,
  keepsDeadLetters: false,
  offsetReset: { kind: 'earliest' },
  isReadCommitted: false,
  allowsRenewal: true,
  deadLetterTopic: '',
  copiesRecords: false,
  breaker: { failureCount: 0, windowMs: 1, pauseMs: 1 },
}
