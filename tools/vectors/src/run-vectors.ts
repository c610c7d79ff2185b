import { type CorruptRow, checkCorrupt } from './check-corrupt.ts'
import { checkFrame, checkMessage, type FrameRow, type MessageRow } from './check-message.ts'
import {
  checkMurmur2,
  checkPartitionHash,
  checkPrimitive,
  type Murmur2Row,
  type PartitionHashRow,
  PRIMITIVE_TYPES,
  type PrimitiveRow,
} from './check-primitive.ts'
import { checkRecords, type RecordsRow } from './check-records.ts'
import { checkScram, type ScramRow } from './check-scram.ts'
import type { ReadRow, Row } from './vector-file.ts'

/** A vector that ours does not match. */
interface Failure {
  readonly place: string
  /** What the row is about, for people. */
  readonly title: string
  readonly error: unknown
}

export interface Outcome {
  readonly passedCount: number
  readonly failures: readonly Failure[]
}

/**
 * Checks every row by what it holds, not by its file's name, so that any folder of vectors will do. A row that cannot be read or is of
 * no known kind is a failure: a check that silently skips proves nothing.
 */
export async function runVectors(rows: readonly Row[]): Promise<Outcome> {
  const failures: Failure[] = []
  for (const row of rows) {
    if ('error' in row) {
      failures.push({ place: row.place, title: 'cannot be read', error: row.error })
      continue
    }
    try {
      await checkRow(row.value)
    } catch (error) {
      failures.push({ place: row.place, title: titleOf(row.value), error })
    }
  }
  return { passedCount: rows.length - failures.length, failures }
}

function checkRow(row: ReadRow['value']): void | Promise<void> {
  if ('headerVersion' in row) return checkFrame(row as unknown as FrameRow)
  if ('message' in row) return checkMessage(row as unknown as MessageRow)
  if ('failure' in row) return checkCorrupt(row as unknown as CorruptRow)
  if ('batches' in row) return checkRecords(row as unknown as RecordsRow)
  if ('mechanism' in row || 'parse' in row) return checkScram(row as unknown as ScramRow)
  if ('murmur2' in row) return checkMurmur2(row as unknown as Murmur2Row)
  if ('hashCode' in row) return checkPartitionHash(row as unknown as PartitionHashRow)
  if (PRIMITIVE_TYPES.has(String(row.type))) return checkPrimitive(row as unknown as PrimitiveRow)
  throw new Error('a row of no known kind')
}

function titleOf(row: ReadRow['value']): string {
  const words = [row.message ?? row.api ?? row.name ?? row.type ?? row.kind ?? row.parse ?? row.username]
  if (row.version !== undefined) words.push(`v${String(row.version)}`)
  if (row.case !== undefined) words.push(row.case)
  return words.filter((word) => word !== undefined).join(' ')
}
