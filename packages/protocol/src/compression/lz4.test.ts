import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CompressionError } from './codec.ts'
import { lz4Codec } from './lz4.ts'
import { LZ4_MALFORMED, LZ4_OUTPUT_FULL, lz4CompressBlock, lz4CompressBound, lz4DecompressBlock } from './lz4-block.ts'
import { lz4CompressBlockHigh } from './lz4-high-compression.ts'
import { loadNativeLz4 } from './native-modules.ts'
import { xxhash32 } from './xxhash32.ts'

function sample(sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes)
  for (let position = 0; position < sizeBytes; position++) bytes[position] = (position * (position >> 7)) % 23
  return bytes
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [slot, value] of values.entries()) bytes.writeUInt32LE(value, 4 * slot)
  return bytes
}

function compressBlock(input: Buffer, level: number | null): Buffer {
  const output = Buffer.alloc(lz4CompressBound(input.length))
  const end =
    level === null
      ? lz4CompressBlock(input, 0, input.length, output, 0)
      : lz4CompressBlockHigh(input, 0, input.length, output, 0, level)
  return output.subarray(0, end)
}

interface FrameOptions {
  readonly flags?: number
  readonly blockSizeCode?: number
  readonly contentSize?: Buffer
  readonly oldChecksum?: boolean
  readonly wrongChecksum?: boolean
}

/** A frame of blocks that the caller encoded, each with its length word and perhaps its checksum. */
function frame(blocks: Buffer, options: FrameOptions = {}): Buffer {
  const descriptor = Buffer.concat([
    words(0x184d2204),
    Buffer.from([options.flags ?? 0x60, options.blockSizeCode ?? 0x40]),
    options.contentSize ?? Buffer.alloc(0),
  ])
  let checksum = (xxhash32(descriptor, options.oldChecksum ? 0 : 4, descriptor.length) >>> 8) & 0xff
  if (options.wrongChecksum) checksum ^= 0x55
  return Buffer.concat([descriptor, Buffer.from([checksum]), blocks])
}

function read(data: Buffer, maxOutputBytes = 1 << 24): string {
  return lz4Codec.decompress(data, 0, data.length, maxOutputBytes).toString('latin1')
}

const HELLO = Buffer.from('f0056865')
const STORED_ABC = Buffer.concat([words(0x80000003), Buffer.from('abc')])
const END = words(0)

describe('xxhash32', () => {
  it('gives the published values', () => {
    expect(xxhash32(Buffer.alloc(0), 0, 0)).toBe(0x02cc5d05)
    expect(xxhash32(Buffer.from('a'), 0, 1)).toBe(0x550d7456)
    expect(xxhash32(Buffer.from('abc'), 0, 3)).toBe(0x32d153ff)
    const sentence = Buffer.from('Nobody inspects the spammish repetition')
    expect(xxhash32(sentence, 0, sentence.length)).toBe(0xe2293b2f)
  })
})

describe('LZ4 blocks', () => {
  it('agree with the native library in both directions, at every level', () => {
    const native = loadNativeLz4()
    expect(native).not.toBeNull()
    for (const sizeBytes of [0, 1, 12, 13, 14, 64, 300, 65535, 65536]) {
      const input = sample(sizeBytes)
      for (const level of [null, 1, 6, 17]) {
        const ours = Buffer.concat([words(sizeBytes), compressBlock(input, level)])
        expect(native!.uncompressSync(ours).equals(input)).toBe(true)
      }
      const theirs = native!.compressSync(input)
      const output = Buffer.alloc(sizeBytes)
      expect(lz4DecompressBlock(theirs, 4, theirs.length, output, 0, sizeBytes, 0)).toBe(sizeBytes)
      expect(output.equals(input)).toBe(true)
    }
  })

  it('give back what was compressed', () => {
    const bytes = fc.array(fc.oneof(fc.constant(97), fc.nat(3), fc.nat(255)), { maxLength: 3000 })
    fc.assert(
      fc.property(bytes, fc.option(fc.integer({ min: 1, max: 17 })), (values, level) => {
        const input = Buffer.from(values)
        const compressed = compressBlock(input, level)
        const output = Buffer.alloc(input.length)
        expect(lz4DecompressBlock(compressed, 0, compressed.length, output, 0, input.length, 0)).toBe(input.length)
        expect(output.equals(input)).toBe(true)
      }),
    )
  })

  it('get smaller with the level', () => {
    const input = Buffer.from(
      Array.from({ length: 8000 }, (_, n) => `{"order":${(n * 7919) % 1000},"price":${(n * 104729) % 500}}`).join(''),
    ).subarray(0, 65536)
    const fast = compressBlock(input, null).length
    const high = compressBlock(input, 9).length
    expect(high).toBeLessThan(fast)
    expect(compressBlock(input, 1).length).toBeGreaterThanOrEqual(high)
  })

  it('never write beyond the end, nor read before the history', () => {
    const compressed = compressBlock(Buffer.alloc(1000, 1), null)
    const output = Buffer.alloc(1000)
    expect(lz4DecompressBlock(compressed, 0, compressed.length, output, 0, 999, 0)).toBe(LZ4_OUTPUT_FULL)
    const before = Buffer.from('10610500', 'hex') // "a", then a match from distance 5
    expect(lz4DecompressBlock(before, 0, 4, output, 100, 1000, 100)).toBe(LZ4_MALFORMED)
    expect(lz4DecompressBlock(before, 0, 4, output, 100, 1000, 99)).toBe(LZ4_MALFORMED)
    expect(lz4DecompressBlock(HELLO, 0, HELLO.length, output, 0, 1000, 0)).toBe(LZ4_MALFORMED)
  })
})

describe('LZ4 frames', () => {
  it('are written as the Java client does: 64 KiB independent blocks, no checksums, no size', () => {
    const written = lz4Codec.compress(sample(100_000), 0, 100_000, null, 0)
    expect(written.subarray(0, 7).toString('hex')).toBe('04224d18604082')
    const second = 7 + 4 + written.readUInt32LE(7)
    const end = second + 4 + written.readUInt32LE(second)
    expect(written.subarray(end).toString('hex')).toBe('00000000')
  })

  it('are read with stored blocks, sizes and checksums', () => {
    expect(read(frame(Buffer.concat([STORED_ABC, STORED_ABC, END])))).toBe('abcabc')
    const contentSize = words(6, 0)
    expect(read(frame(Buffer.concat([STORED_ABC, STORED_ABC, END]), { flags: 0x68, contentSize }))).toBe('abcabc')
    const blockChecksum = words(xxhash32(Buffer.from('abc'), 0, 3))
    const checked = Buffer.concat([STORED_ABC, blockChecksum, END, blockChecksum])
    expect(read(frame(checked, { flags: 0x74 }))).toBe('abc')
  })

  it('are read with linked blocks, which librdkafka and Python write', () => {
    const match = Buffer.from('10640400' + '10' + '65', 'hex') // "d", four bytes from distance 4, "e"
    const linked = Buffer.concat([STORED_ABC, words(match.length), match, END])
    expect(read(frame(linked, { flags: 0x40 }))).toBe('abcdabcde')
    expect(() => read(frame(linked, { flags: 0x60 }))).toThrow(/malformed/)
  })

  it('are read with the header checksum of clients before 0.10, and refused with any other', () => {
    expect(read(frame(Buffer.concat([STORED_ABC, END]), { oldChecksum: true }))).toBe('abc')
    expect(() => read(frame(Buffer.concat([STORED_ABC, END]), { wrongChecksum: true }))).toThrow(/header checksum/)
  })

  it('are refused when a size or checksum is wrong', () => {
    const blocks = Buffer.concat([STORED_ABC, END])
    expect(() => read(frame(blocks, { flags: 0x68, contentSize: words(4, 0) }))).toThrow(/content size/)
    expect(() => read(frame(blocks, { flags: 0x68, contentSize: words(0xffffffff, 0xffffffff) }))).toThrow(
      /content size/,
    )
    expect(() => read(frame(Buffer.concat([STORED_ABC, words(1), END]), { flags: 0x70 }))).toThrow(/block checksum/)
    expect(() => read(frame(Buffer.concat([blocks, words(1)]), { flags: 0x64 }))).toThrow(/content checksum/)
  })

  it('are refused with unknown versions, dictionaries, block sizes and oversized blocks', () => {
    for (const flags of [0x20, 0xa0, 0x61, 0x62]) expect(() => read(frame(END, { flags }))).toThrow(/version/)
    for (const blockSizeCode of [0x30, 0x00, 0x41, 0xc0]) {
      expect(() => read(frame(END, { blockSizeCode }))).toThrow(/block size/)
    }
    expect(() => read(frame(Buffer.concat([words(0x80010001), Buffer.alloc(65537), END])))).toThrow(/block larger/)
    expect(() => read(frame(words(0x7fffffff)))).toThrow(CompressionError)
  })

  it('are refused without an end mark, and read up to it', () => {
    expect(() => read(frame(STORED_ABC))).toThrow(/cut off/)
    expect(read(frame(Buffer.concat([STORED_ABC, END, Buffer.from('trailing')])))).toBe('abc')
  })

  it('of a few bytes cannot make us allocate 4 MiB blocks', () => {
    const bomb = compressBlock(Buffer.alloc(4 << 20), null) // 16 KiB that expand 255 times
    const blocks = Buffer.concat([...Array.from({ length: 30 }, () => Buffer.concat([words(bomb.length), bomb])), END])
    const before = process.memoryUsage().arrayBuffers
    expect(() => read(frame(blocks, { blockSizeCode: 0x70 }), 8 << 20)).toThrow(/limit/)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 << 20)
  })

  it('whose block is larger than the frame allows are told apart from those beyond our limit', () => {
    const large = compressBlock(Buffer.alloc(70_000, 1), null)
    const blocks = Buffer.concat([words(large.length), large, END])
    expect(() => read(frame(blocks))).toThrow(/malformed/)
    expect(() => read(frame(blocks, { blockSizeCode: 0x50 }), 60_000)).toThrow(/limit/)
    expect(read(frame(blocks, { blockSizeCode: 0x50 }))).toHaveLength(70_000)
  })
})
