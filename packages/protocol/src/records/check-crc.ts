import { crc32cByTable } from '../crc32c/crc32c.ts'
import {
  ATTRIBUTES_POSITION,
  BATCH_HEADER_BYTES,
  batchCrcOk,
  batchSizeOf,
  MAGIC_POSITION,
  magicOf,
  storedCrcOf,
} from './batch-header.ts'
import { CorruptBatchError } from './corrupt-batch-error.ts'
import { crc32, LEGACY_MIN_BYTES, legacyCrcOf, legacyCrcOk } from './legacy-message.ts'

/** How far the explanation of a wrong checksum looks: a byte costs some 5 ns. */
const MAX_SEARCH_BYTES = 1024 * 1024

/**
 * Throws {@link CorruptBatchError} unless the complete batch of any format at `position` has the checksum that it stores: `length` if the
 * checksum is right for another length within `buffer[position, end)`, so that it must be the length that was damaged; otherwise `crc`.
 */
export function checkBatchCrc(buffer: Buffer, position: number, end: number): void {
  const legacy = magicOf(buffer, position) < 2
  const sizeInBytes = batchSizeOf(buffer, position)
  if (legacy ? legacyCrcOk(buffer, position, sizeInBytes) : batchCrcOk(buffer, position)) return
  const searchEnd = Math.min(end, position + MAX_SEARCH_BYTES)
  const otherLength = legacy ? legacyFits(buffer, position, searchEnd) : batchFits(buffer, position, searchEnd)
  if (otherLength) throw new CorruptBatchError('length', position, 'the checksum is that of another length')
  throw new CorruptBatchError('crc', position, 'the checksum differs')
}

function batchFits(buffer: Buffer, position: number, end: number): boolean {
  const stored = storedCrcOf(buffer, position)
  const first = position + BATCH_HEADER_BYTES
  let crc = crc32cByTable(0, buffer, position + ATTRIBUTES_POSITION, first)
  for (let at = first; at < end; at++) {
    crc = crc32cByTable(crc, buffer, at, at + 1)
    if (crc === stored) return true
  }
  return false
}

function legacyFits(buffer: Buffer, position: number, end: number): boolean {
  const stored = legacyCrcOf(buffer, position)
  const first = position + LEGACY_MIN_BYTES
  let crc = crc32(buffer, position + MAGIC_POSITION, first)
  for (let at = first; at < end; at++) {
    crc = crc32(buffer, at, at + 1, crc)
    if (crc === stored) return true
  }
  return false
}
