/** One record as its producer numbered it: the n-th that it sent, to the partition that the number names. */
export interface Numbered {
  readonly producer: string
  readonly sequence: number
  readonly partition: number
}

/** A record that the broker acknowledged, at the offset that it named; null if the client does not know it. */
export interface Acknowledged extends Numbered {
  readonly offset: number | null
}

/** A record as it was read back after the last restart. */
export interface Stored {
  readonly partition: number
  readonly offset: number
  readonly value: string
}

/**
 * What a producer asks of the broker: that a record is on the disk when it is acknowledged (acks=all) and, of an idempotent one, stored
 * once; or only that the leader has it (acks=1).
 */
export type ProducerKind = 'idempotent' | 'plain' | 'leader'

export interface ProducerHistory {
  readonly name: string
  readonly kind: ProducerKind
  /** Records handed to the client: sequences are `[0, sentCount)`. */
  readonly sentCount: number
  readonly acknowledged: readonly Acknowledged[]
}

export interface History {
  readonly producers: readonly ProducerHistory[]
  /** Whole partitions, each in the order of its offsets. */
  readonly stored: readonly Stored[]
  /** First offset of each partition, where retention has removed what was before it; 0 where it says nothing. */
  readonly startOffsets?: readonly number[]
}

export const partitionCount = 3

export const partitionOf = (sequence: number): number => sequence % partitionCount

/** The value of a record: who sent it, its number, and a filling whose length depends on the number, up to 1,500 characters. */
export function textOf(producer: string, sequence: number): string {
  return `${producer}:${sequence}:${'x'.repeat((sequence * 37) % 1500)}`
}
