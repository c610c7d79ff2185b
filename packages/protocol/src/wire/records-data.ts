/**
 * Value of a `records` field: one buffer, or a list of buffers that are written one after another without being copied (a response
 * that is served from several segments). Decoders always give a single view or null.
 */
export type RecordsData = Buffer | readonly Buffer[] | null

/** The decoded `records` field as the single buffer that decoders give. A list, which only encoders see, is joined by copying. */
export function recordsBuffer(records: RecordsData): Buffer | null {
  if (records === null || Buffer.isBuffer(records)) return records
  return records.length === 1 ? records[0]! : Buffer.concat(records)
}

/** Bytes in a `records` value; 0 for null. */
export function recordsSizeBytes(records: RecordsData): number {
  if (records === null) return 0
  if (Buffer.isBuffer(records)) return records.length
  let sizeBytes = 0
  for (let slot = 0; slot < records.length; slot++) sizeBytes += records[slot]!.length
  return sizeBytes
}
