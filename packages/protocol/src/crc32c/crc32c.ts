import { nativeCrc32c } from './native-crc32c.ts'

/** Castagnoli's polynomial with its bits reversed, since the register shifts right. */
const POLYNOMIAL = 0x82f63b78

/**
 * From this size on the native call is cheaper although it costs about 200 ns before the first byte (a view and the crossing);
 * the tables take 0.9 ns a byte. Measured on Node 24: 108 ns against 227 ns at 110 bytes (a batch of one small record),
 * equal between 256 and 400 bytes, 0.97 µs against 0.45 µs at 1 KiB, 14.4 µs against 3.6 µs at 16 KiB.
 */
const NATIVE_MIN_BYTES = 320

/** Eight tables of 256 entries in one array: entry `256 * k + b` is the effect of byte `b` that has `k` bytes behind it. */
const TABLES = buildTables()

function buildTables(): Int32Array {
  const tables = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let register = byte
    for (let bit = 0; bit < 8; bit++) register = (register >>> 1) ^ (register & 1 ? POLYNOMIAL : 0)
    tables[byte] = register
  }
  for (let slot = 256; slot < tables.length; slot++) {
    const previous = tables[slot - 256]!
    tables[slot] = (previous >>> 8) ^ tables[previous & 0xff]!
  }
  return tables
}

/**
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `buffer[start, end)` as an unsigned 32-bit number, the checksum of record
 * batches. The range must lie inside the buffer. Hot path: ranges below 320 bytes allocate nothing, larger ones one view.
 */
export function crc32c(buffer: Uint8Array, start = 0, end: number = buffer.length): number {
  return crc32cUpdate(0, buffer, start, end)
}

/**
 * Continues a checksum: `crc32cUpdate(crc32c(a), b)` is the checksum of a followed by b. `crc` is 0 for no bytes yet.
 * For data that lies in several buffers, such as a batch whose header was rewritten apart from its records.
 */
export function crc32cUpdate(crc: number, buffer: Uint8Array, start = 0, end: number = buffer.length): number {
  if (end - start >= NATIVE_MIN_BYTES) {
    const native = nativeCrc32c()
    if (native !== null) {
      return native(start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end), crc)
    }
  }
  return crc32cByTable(crc, buffer, start, end)
}

/** The table version, slicing by eight, for short ranges and for platforms without the native one. Allocates nothing. */
export function crc32cByTable(crc: number, buffer: Uint8Array, start: number, end: number): number {
  const tables = TABLES
  let register = ~crc
  let position = start
  for (const lastStart = end - 8; position <= lastStart; position += 8) {
    const low =
      register ^
      (buffer[position]! | (buffer[position + 1]! << 8) | (buffer[position + 2]! << 16) | (buffer[position + 3]! << 24))
    register =
      tables[1792 + (low & 0xff)]! ^
      tables[1536 + ((low >>> 8) & 0xff)]! ^
      tables[1280 + ((low >>> 16) & 0xff)]! ^
      tables[1024 + (low >>> 24)]! ^
      tables[768 + buffer[position + 4]!]! ^
      tables[512 + buffer[position + 5]!]! ^
      tables[256 + buffer[position + 6]!]! ^
      tables[buffer[position + 7]!]!
  }
  for (; position < end; position++) register = (register >>> 8) ^ tables[(register ^ buffer[position]!) & 0xff]!
  return ~register >>> 0
}
