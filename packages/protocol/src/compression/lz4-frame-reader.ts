import { CompressionError } from './codec.ts'
import { xxhash32 } from './xxhash32.ts'

const FRAME_MAGIC = 0x184d2204
const STORED_FLAG = 0x80000000

/**
 * Walks the blocks of one LZ4 frame (frame format 1.6): magic, descriptor, blocks of a little-endian length and data, an end mark and
 * an optional checksum. Bytes after the frame are ignored, as in Java. Throws {@link CompressionError}.
 */
export class Lz4FrameReader {
  readonly input: Buffer
  /** Blocks refer to the ones before them. Java refuses such frames; librdkafka and Python's library write and read them. */
  readonly linked: boolean
  readonly maxBlockSize: number
  /** Range of the current block, and whether it is stored as it is. */
  blockStart: number
  blockEnd: number
  stored: boolean
  private readonly end: number
  private readonly blockChecksums: boolean
  private readonly contentChecksum: boolean
  /** -1: not declared. */
  private readonly contentSize: number
  private position: number

  constructor(input: Buffer, start: number, end: number) {
    if (end - start < 7) throw invalid('cut off within the header')
    if (input.readUInt32LE(start) !== FRAME_MAGIC) throw invalid('not a frame')
    const flags = input[start + 4]!
    if (flags >>> 6 !== 1 || (flags & 0x03) !== 0) throw invalid('unknown version or a dictionary')
    const blockSizeCode = input[start + 5]!
    if ((blockSizeCode & 0x8f) !== 0 || blockSizeCode >>> 4 < 4) throw invalid('unknown block size')
    this.input = input
    this.end = end
    this.linked = (flags & 0x20) === 0
    this.blockChecksums = (flags & 0x10) !== 0
    this.contentChecksum = (flags & 0x04) !== 0
    this.maxBlockSize = 1 << (8 + 2 * (blockSizeCode >>> 4))
    const sizeLength = flags & 0x08 ? 8 : 0
    const checksumPosition = start + 6 + sizeLength
    if (checksumPosition >= end) throw invalid('cut off within the header')
    this.contentSize = sizeLength === 0 ? -1 : input.readUInt32LE(start + 6) + input.readUInt32LE(start + 10) * 2 ** 32
    checkHeaderChecksum(input, start, checksumPosition)
    this.position = checksumPosition + 1
    this.blockStart = this.position
    this.blockEnd = this.position
    this.stored = false
  }

  /** Moves to the next block; false at the end mark. */
  next(): boolean {
    const length = this.readWord('block length')
    if (length === 0) return false
    const size = length % STORED_FLAG
    if (size > this.maxBlockSize) throw invalid('block larger than the frame allows')
    if (size > this.end - this.position) throw invalid('cut off within a block')
    this.stored = length >= STORED_FLAG
    this.blockStart = this.position
    this.blockEnd = this.position + size
    this.position = this.blockEnd
    if (
      this.blockChecksums &&
      this.readWord('block checksum') !== xxhash32(this.input, this.blockStart, this.blockEnd)
    ) {
      throw invalid('wrong block checksum')
    }
    return true
  }

  /** After the end mark: compares `content[0, length)` with the size and checksum that the frame gives, if it gives any. */
  checkContent(content: Buffer, length: number): void {
    if (this.contentSize !== -1 && this.contentSize !== length)
      throw invalid('content size differs from the declared one')
    if (this.contentChecksum && this.readWord('content checksum') !== xxhash32(content, 0, length)) {
      throw invalid('wrong content checksum')
    }
  }

  private readWord(what: string): number {
    if (this.end - this.position < 4) throw invalid(`cut off before the ${what}`)
    const word = this.input.readUInt32LE(this.position)
    this.position += 4
    return word
  }
}

/**
 * The second byte of XXH32 over the descriptor. Kafka clients before 0.10 hashed the magic number too (KAFKA-3160); their messages, of
 * magic 0, may still be found in old logs, so that value passes as well.
 */
function checkHeaderChecksum(input: Buffer, start: number, position: number): void {
  const stored = input[position]!
  if (stored === ((xxhash32(input, start + 4, position) >>> 8) & 0xff)) return
  if (stored === ((xxhash32(input, start, position) >>> 8) & 0xff)) return
  throw invalid('wrong header checksum')
}

function invalid(message: string): CompressionError {
  return new CompressionError('COMPRESSED_DATA_INVALID', 'lz4', message)
}
