import { BaseError } from '@millrace/base'

/** Ids of the attribute bits 0–2 of a record batch (KIP-98, KIP-110). 5, 6 and 7 are not assigned. */
export const CodecId = {
  NONE: 0,
  GZIP: 1,
  SNAPPY: 2,
  LZ4: 3,
  ZSTD: 4,
} as const

/** One of the values of {@link CodecId}. */
export type CodecId = (typeof CodecId)[keyof typeof CodecId]

/** Names as Kafka's settings `compression.type` spell them. */
export type CodecName = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

const NAMES: readonly CodecName[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** The name of a codec id, or null for ids that are not assigned. */
export function codecName(id: number): CodecName | null {
  return NAMES[id] ?? null
}

/** The id of a codec name, or null for any other text. */
export function codecIdOf(name: string): CodecId | null {
  const id = NAMES.indexOf(name as CodecName)
  return id === -1 ? null : (id as CodecId)
}

/** Levels that a codec takes and the one it uses when none is given; null for codecs without levels. Kafka's ranges (KIP-390). */
export function codecLevels(id: CodecId): { min: number; max: number; default: number } | null {
  if (id === CodecId.GZIP) return { min: 1, max: 9, default: -1 }
  if (id === CodecId.LZ4) return { min: 1, max: 17, default: 9 }
  if (id === CodecId.ZSTD) return { min: -131072, max: 22, default: 3 }
  return null
}

/** The level a codec is run with: `level` within the codec's range, or its default for null (and gzip's -1, which names it). */
export function clampLevel(id: CodecId, level: number | null): number {
  const levels = codecLevels(id)
  if (levels === null) return 0
  if (level === null || level === levels.default) return levels.default
  return Math.min(levels.max, Math.max(levels.min, level))
}

/**
 * `COMPRESSED_DATA_INVALID`: the stream is damaged, cut off or in another format. `COMPRESSED_DATA_TOO_LARGE`: it would expand
 * beyond the caller's limit; nothing beyond the limit was allocated.
 */
export type CompressionErrorCode = 'COMPRESSED_DATA_INVALID' | 'COMPRESSED_DATA_TOO_LARGE'

/** Compressed bytes that cannot be expanded. `codec` says which format they claim to be. */
export class CompressionError extends BaseError {
  declare readonly code: CompressionErrorCode
  readonly codec: CodecName

  constructor(code: CompressionErrorCode, codec: CodecName, message: string, options?: { cause?: unknown }) {
    super(code, `${codec}: ${message}`, options)
    this.codec = codec
  }
}

/** Most bytes that compressed data may expand to by default, however large it is. */
export const MAX_DECOMPRESSED_SIZE_BYTES = 64 * 1024 * 1024

/** The default output limit for `compressedSizeBytes` of input: small inputs may not become large outputs (decompression bombs). */
export function decompressedSizeLimit(compressedSizeBytes: number): number {
  return Math.min(MAX_DECOMPRESSED_SIZE_BYTES, 100 * compressedSizeBytes + 1024 * 1024)
}

/**
 * One compression format. Implementations allocate in proportion to the bytes that they have read or written, never by a size
 * that the data declares. All ranges are half open and must lie inside the buffer; results are new buffers of the caller's.
 */
export interface Codec {
  readonly id: CodecId
  readonly name: CodecName
  /**
   * Compresses `input[start, end)`. `level` null is the codec's default; a level outside the range is moved to its nearest end.
   * The result begins with `headroomBytes` bytes that the caller must fill, where a batch header goes.
   */
  compress(input: Buffer, start: number, end: number, level: number | null, headroomBytes: number): Buffer
  /** Expands `input[start, end)`; throws {@link CompressionError}. */
  decompress(input: Buffer, start: number, end: number, maxOutputBytes: number): Buffer
  /** What can be read from the beginning of a damaged or cut-off stream: what a streaming reader delivers before it fails. Never throws. */
  decompressPrefix(input: Buffer, start: number, end: number, maxOutputBytes: number): Buffer
  /** As `compress`, on the thread pool. `input` must not change until the promise settles. */
  compressAsync(input: Buffer, start: number, end: number, level: number | null, headroomBytes: number): Promise<Buffer>
  /** As `decompress`, on the thread pool. `input` must not change until the promise settles. */
  decompressAsync(input: Buffer, start: number, end: number, maxOutputBytes: number): Promise<Buffer>
}
