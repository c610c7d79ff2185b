import { assert } from '@millrace/base'
import type { Codec, CodecId } from './codec.ts'
import { lz4Codec } from './lz4.ts'
import { snappyCodec } from './snappy.ts'
import { gzipCodec, zstdCodec } from './zlib-codec.ts'

/** Indexed by codec id; null where an id has no codec (0 is "not compressed"). */
const table: (Codec | null)[] = [null, gzipCodec, snappyCodec, lz4Codec, zstdCodec]

/** The codec of an id from a batch's attributes, or null for 0 and for ids that are not assigned. */
export function codecOf(id: number): Codec | null {
  return table[id] ?? null
}

/**
 * Replaces a codec, for platforms where Node's zlib or native code is missing. Once, at start: batches that are being read keep the
 * codec that they began with. Returns the one replaced.
 */
export function setCodec(codec: Codec): Codec {
  const id: CodecId = codec.id
  const before = table[id]
  assert(before !== null && before !== undefined, 'only ids 1 to 4 have codecs')
  table[id] = codec
  return before
}
