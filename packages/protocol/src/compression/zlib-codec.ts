import { type Codec, CodecId, type CodecName, CompressionError, clampLevel } from './codec.ts'
import { loadZlib, type Zlib } from './native-modules.ts'

/** Piece in which zlib hands over its output; what it allocates beyond the limit is at most one of these. */
const CHUNK_SIZE_BYTES = 64 * 1024

/** Smallest piece: zlib refuses less than 64, and most batches of small records fit. */
const MIN_CHUNK_SIZE_BYTES = 1024

type InfoResult = { buffer: Buffer; engine: { bytesWritten: number } }
type Callback = (error: Error | null, result: Buffer) => void
type InfoCallback = (error: Error | null, result: InfoResult) => void

/**
 * gzip (RFC 1952) through Node's zlib. Several members one after another are read as one. Zeros after them are ignored, other bytes
 * refused: Java ignores those too, but no client writes them.
 */
export const gzipCodec: Codec = {
  id: CodecId.GZIP,
  name: 'gzip',

  compress(input, start, end, level, headroomBytes) {
    const zlib = loadZlib()
    return withHeadroom(zlib.gzipSync(input.subarray(start, end), gzipOptions(level)), headroomBytes)
  },

  async compressAsync(input, start, end, level, headroomBytes) {
    const zlib = loadZlib()
    const view = input.subarray(start, end)
    const output = await promise((done: Callback) => zlib.gzip(view, gzipOptions(level), done))
    return withHeadroom(output, headroomBytes)
  },

  decompress(input, start, end, maxOutputBytes) {
    try {
      return loadZlib().gunzipSync(input.subarray(start, end), outputOptions(end - start, maxOutputBytes))
    } catch (error) {
      throw compressionError('gzip', error)
    }
  },

  async decompressAsync(input, start, end, maxOutputBytes) {
    const zlib = loadZlib()
    const view = input.subarray(start, end)
    try {
      return await promise((done: Callback) => zlib.gunzip(view, outputOptions(end - start, maxOutputBytes), done))
    } catch (error) {
      throw compressionError('gzip', error)
    }
  },

  decompressPrefix(input, start, end, maxOutputBytes) {
    const zlib = loadZlib()
    const options = { ...outputOptions(end - start, maxOutputBytes), finishFlush: zlib.constants.Z_SYNC_FLUSH }
    return prefix(() => zlib.gunzipSync(input.subarray(start, end), options))
  },
}

/** zstd (RFC 8878) through Node's zlib. A sequence of frames is read as one stream, which Node's own function does not do. */
export const zstdCodec: Codec = {
  id: CodecId.ZSTD,
  name: 'zstd',

  compress(input, start, end, level, headroomBytes) {
    const zlib = loadZlib()
    return withHeadroom(zlib.zstdCompressSync(input.subarray(start, end), zstdOptions(zlib, level)), headroomBytes)
  },

  async compressAsync(input, start, end, level, headroomBytes) {
    const zlib = loadZlib()
    const view = input.subarray(start, end)
    const output = await promise((done: Callback) => zlib.zstdCompress(view, zstdOptions(zlib, level), done))
    return withHeadroom(output, headroomBytes)
  },

  decompress(input, start, end, maxOutputBytes) {
    const zlib = loadZlib()
    return collectFrames(start, end, maxOutputBytes, (position, room) => {
      const options = { ...outputOptions(end - position, room), info: true }
      return zlib.zstdDecompressSync(input.subarray(position, end), options) as unknown as InfoResult
    })
  },

  async decompressAsync(input, start, end, maxOutputBytes) {
    const zlib = loadZlib()
    const frames = new FrameCollector(start, end, maxOutputBytes)
    while (!frames.complete) {
      const options = { ...outputOptions(end - frames.position, frames.room), info: true }
      const view = input.subarray(frames.position, end)
      try {
        const call = (done: InfoCallback) => zlib.zstdDecompress(view, options, done as unknown as Callback)
        frames.add(await promise(call))
      } catch (error) {
        throw compressionError('zstd', error)
      }
    }
    return frames.output()
  },

  decompressPrefix(input, start, end, maxOutputBytes) {
    const zlib = loadZlib()
    const options = { ...outputOptions(end - start, maxOutputBytes), finishFlush: zlib.constants.ZSTD_e_flush }
    return prefix(() => zlib.zstdDecompressSync(input.subarray(start, end), options))
  },
}

function collectFrames(
  start: number,
  end: number,
  maxOutputBytes: number,
  readFrame: (position: number, room: number) => InfoResult,
): Buffer {
  const frames = new FrameCollector(start, end, maxOutputBytes)
  while (!frames.complete) {
    try {
      frames.add(readFrame(frames.position, frames.room))
    } catch (error) {
      throw compressionError('zstd', error)
    }
  }
  return frames.output()
}

/**
 * Where a sequence of zstd frames has been read to, and what they held. Frames are counted, since each costs 20 µs however
 * little it holds: a megabyte of empty ones would stop the caller for more than a second.
 */
class FrameCollector {
  position: number
  room: number
  private readonly end: number
  private readonly maxFrameCount: number
  private readonly parts: Buffer[]
  private frameCount: number

  constructor(start: number, end: number, maxOutputBytes: number) {
    this.position = start
    this.room = maxOutputBytes
    this.end = end
    this.maxFrameCount = 16 + Math.floor((end - start) / 4096)
    this.parts = []
    this.frameCount = 0
  }

  /** False until one frame was read: no bytes at all are not a valid stream. */
  get complete(): boolean {
    return this.frameCount > 0 && this.position >= this.end
  }

  add(frame: InfoResult): void {
    this.frameCount++
    this.position += frame.engine.bytesWritten
    this.room -= frame.buffer.length
    if (this.room < 0) throw tooLarge('zstd')
    if (frame.engine.bytesWritten <= 0 || this.frameCount > this.maxFrameCount) {
      throw new CompressionError('COMPRESSED_DATA_INVALID', 'zstd', 'too many frames')
    }
    if (frame.buffer.length > 0) this.parts.push(frame.buffer)
  }

  output(): Buffer {
    return this.parts.length === 1 ? this.parts[0]! : Buffer.concat(this.parts)
  }
}

function gzipOptions(level: number | null): { level: number } {
  return { level: clampLevel(CodecId.GZIP, level) }
}

function zstdOptions(zlib: Zlib, level: number | null): { params: Record<number, number> } {
  return { params: { [zlib.constants.ZSTD_c_compressionLevel]: clampLevel(CodecId.ZSTD, level) } }
}

function outputOptions(
  compressedSizeBytes: number,
  maxOutputBytes: number,
): {
  chunkSize: number
  maxOutputLength: number
} {
  const chunkSize = Math.min(CHUNK_SIZE_BYTES, Math.max(MIN_CHUNK_SIZE_BYTES, 4 * compressedSizeBytes))
  return { chunkSize, maxOutputLength: Math.max(1, maxOutputBytes) } // zlib takes no 0
}

function compressionError(codec: CodecName, error: unknown): CompressionError {
  if (error instanceof CompressionError) return error
  const { code, message } = error as { code?: string; message: string }
  if (code === 'ERR_BUFFER_TOO_LARGE') return tooLarge(codec, error)
  return new CompressionError('COMPRESSED_DATA_INVALID', codec, message, { cause: error })
}

function tooLarge(codec: CodecName, cause?: unknown): CompressionError {
  return new CompressionError('COMPRESSED_DATA_TOO_LARGE', codec, 'expands beyond the limit', { cause })
}

function prefix(decompress: () => Buffer): Buffer {
  try {
    return decompress()
  } catch {
    return Buffer.alloc(0) // damaged rather than cut off: zlib does not give out what it had
  }
}

function withHeadroom(output: Buffer, headroomBytes: number): Buffer {
  if (headroomBytes === 0) return output
  const result = Buffer.allocUnsafe(headroomBytes + output.length)
  result.fill(0, 0, headroomBytes)
  output.copy(result, headroomBytes)
  return result
}

function promise<T>(start: (done: (error: Error | null, result: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, result) => {
      if (error === null) resolve(result)
      else reject(error)
    })
  })
}
