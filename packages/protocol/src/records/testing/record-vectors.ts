import type { BatchFailure } from '../corrupt-batch-error.ts'
import { readVectors } from './vectors.ts'

/** A row of `records.jsonl.gz`: valid record data and what it holds. int64s are decimal strings, bytes base64. */
export interface RecordsRow {
  readonly name: string
  readonly params: { readonly magic: number | 'mixed'; readonly codec: string; readonly level?: number }
  readonly batches: readonly BatchJson[]
  readonly trailingBytes: number
  readonly base64: string
}

export interface BatchJson {
  readonly position: number
  readonly sizeInBytes: number
  readonly magic: number
  readonly baseOffset: string
  readonly lastOffset: string
  readonly crc: number
  readonly attributes: number
  readonly codec: string
  readonly timestampType: string
  readonly maxTimestamp: string
  readonly partitionLeaderEpoch?: number
  readonly lastOffsetDelta?: number
  readonly baseTimestamp?: string
  readonly producerId?: string
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly lastSequence?: number
  readonly isTransactional?: boolean
  readonly isControl?: boolean
  readonly deleteHorizonMs?: string
  readonly count?: number
  readonly records: readonly RecordJson[]
}

export interface RecordJson {
  readonly offset: string
  readonly timestamp: string
  readonly sequence?: number
  readonly key: string | null
  readonly value: string | null
  readonly headers?: readonly { readonly key: string; readonly value: string | null }[]
  readonly control?: { readonly type: string; readonly coordinatorEpoch?: number }
}

/** A row of `records-corrupt.jsonl.gz`: damaged record data, how Kafka's reader fares and what a produce is answered. */
export interface CorruptRow {
  readonly name: string
  readonly failure: BatchFailure | 'produce-only' | 'undetected' | 'none'
  readonly reader: {
    readonly ok: boolean
    readonly stage: string
    readonly batches: number
    readonly records: number
    readonly leftBytes: number
  }
  readonly produceError: string
  readonly base64: string
}

export function recordsRows(): RecordsRow[] {
  return readVectors<RecordsRow>('records')
}

export function corruptRows(): CorruptRow[] {
  return readVectors<CorruptRow>('records-corrupt')
}

/** Bytes of a nullable base64 field. */
export function bytesOf(base64: string | null): Buffer | null {
  return base64 === null ? null : Buffer.from(base64, 'base64')
}
