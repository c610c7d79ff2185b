import {
  ErrorCode,
  errorInfo,
  inspectRecords,
  type ProduceRules,
  ProduceValidation,
  validateProduceBatch,
} from '@millrace/protocol'
import { expectEqual, expectOneOf } from './expectations.ts'

/** A row of records-corrupt: a damaged set, and how Kafka's reader and broker take it. */
export interface CorruptRow {
  readonly name: string
  readonly failure: string
  readonly reader: {
    readonly ok: boolean
    readonly stage: string
    readonly exception: string | null
    readonly batches: number
    readonly records: number
    readonly leftBytes: number
  }
  readonly produceError: string
  readonly base64: string
}

/** Failures that are none for a reader: valid sets, damage that no reader can notice, sets that only a producer may not send. */
const HARMLESS = new Set(['none', 'undetected', 'produce-only'])

/** A leader that takes all that is well formed: no bounds on size and time, every batch expanded and looked at. */
const RULES: ProduceRules = {
  apiVersion: 13,
  nowMs: 1_700_000_000_000,
  maxMessageBytes: 2 ** 31 - 1,
  compactedTopic: false,
  timestampType: 'CreateTime',
  timestampBeforeMaxMs: Number.MAX_VALUE,
  timestampAfterMaxMs: Number.MAX_VALUE,
  targetCodec: null,
  level: null,
  deep: true,
  maxRecordErrorCount: 100,
}

/** Reading fails with the row's class, after the same batches and records as in Kafka; producing is refused with the right error. */
export function checkCorrupt(row: CorruptRow): void {
  const buffer = Buffer.from(row.base64, 'base64')
  const { failure, batchCount, recordCount, leftBytes } = inspectRecords(buffer, 0, buffer.length, true)
  const isHarmless = HARMLESS.has(row.failure)
  expectEqual('failure', failure, isHarmless ? null : row.failure)
  // What Kafka's reader takes and ours does not stops ours earlier.
  if (isHarmless || !row.reader.ok) {
    expectEqual('batches read', batchCount, row.reader.batches)
    expectEqual('records read', recordCount, row.reader.records)
    expectEqual('bytes left', leftBytes, row.reader.leftBytes)
  }
  const validation = new ProduceValidation()
  const isAccepted = validateProduceBatch(buffer, 0, buffer.length, RULES, validation)
  expectEqual('accepted without an error', isAccepted, validation.errorCode === ErrorCode.NONE)
  expectOneOf('produce error', errorInfo(validation.errorCode).name, acceptableErrors(row))
}

/**
 * The answers that serve: Kafka's own; the documented ones where it ran into an exception that it did not foresee (for an unknown codec
 * the error that exists for it); refusing what cannot be read although it would be taken.
 */
function acceptableErrors({ failure, produceError, reader }: CorruptRow): string[] {
  if (produceError === 'UNKNOWN_SERVER_ERROR') {
    const own = failure === 'codec' ? ['UNSUPPORTED_COMPRESSION_TYPE'] : []
    return [...own, 'INVALID_RECORD', 'CORRUPT_MESSAGE']
  }
  return produceError === 'NONE' && !reader.ok ? ['NONE', 'INVALID_RECORD', 'CORRUPT_MESSAGE'] : [produceError]
}
