import type { ConsumerRecord, TopicPartition } from '@millrace/client'

/** What transactional producers write to, and the input of those who read, process and write. */
export const TRANSFERS = 'transfers'
/** Their output. */
export const SETTLEMENTS = 'settlements'
export const PARTITION_COUNT = 2
/** Those who read, process and write. */
export const SETTLERS = 'settlers'

export const TRANSFER_PLACES = placesOf(TRANSFERS)
export const SETTLEMENT_PLACES = placesOf(SETTLEMENTS)
export const ALL_PLACES = [...TRANSFER_PLACES, ...SETTLEMENT_PLACES]

function placesOf(topic: string): readonly TopicPartition[] {
  return Array.from({ length: PARTITION_COUNT }, (_, partition) => ({ topic, partition }))
}

export function textOf({ value }: Pick<ConsumerRecord, 'value'>): string {
  return value?.toString() ?? ''
}
