import { assert } from '@millrace/base'
import { type Codec, type CodecId, decompressedSizeLimit } from './codec.ts'
import { codecOf } from './codec-table.ts'

/**
 * Compresses `buffer[start, end)` with a codec other than none into a new buffer. `level` null is the codec's default, see
 * `codecLevels`. The result begins with `headroomBytes` zero bytes for a header of the caller's.
 */
export function compress(
  codec: CodecId,
  buffer: Buffer,
  start = 0,
  end: number = buffer.length,
  level: number | null = null,
  headroomBytes = 0,
): Buffer {
  return knownCodec(codec).compress(buffer, start, end, level, headroomBytes)
}

/** As {@link compress}, on the thread pool, for inputs that would hold up the event loop. `buffer` must not change meanwhile. */
export function compressAsync(
  codec: CodecId,
  buffer: Buffer,
  start = 0,
  end: number = buffer.length,
  level: number | null = null,
  headroomBytes = 0,
): Promise<Buffer> {
  return knownCodec(codec).compressAsync(buffer, start, end, level, headroomBytes)
}

/**
 * Expands `buffer[start, end)` into a new buffer of at most `maxOutputBytes` (by default 100 times the input plus 1 MiB, at most
 * 64 MiB). Declared sizes are never trusted with memory. Throws `CompressionError`.
 */
export function decompress(
  codec: CodecId,
  buffer: Buffer,
  start = 0,
  end: number = buffer.length,
  maxOutputBytes: number = decompressedSizeLimit(end - start),
): Buffer {
  return knownCodec(codec).decompress(buffer, start, end, maxOutputBytes)
}

/** As {@link decompress}, on the thread pool, for inputs above some 256 KiB. `buffer` must not change meanwhile. */
export function decompressAsync(
  codec: CodecId,
  buffer: Buffer,
  start = 0,
  end: number = buffer.length,
  maxOutputBytes: number = decompressedSizeLimit(end - start),
): Promise<Buffer> {
  return knownCodec(codec).decompressAsync(buffer, start, end, maxOutputBytes)
}

function knownCodec(id: CodecId): Codec {
  const codec = codecOf(id)
  assert(codec !== null, 'no codec has this id') // ids from batches are checked where the batch is read
  return codec
}
