import { constants, deflateRawSync, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CodecId, CompressionError, codecIdOf, codecName, decompressedSizeLimit } from './codec.ts'
import { codecOf, setCodec } from './codec-table.ts'
import { compress, compressAsync, decompress, decompressAsync } from './compress.ts'

const CODECS = [CodecId.GZIP, CodecId.SNAPPY, CodecId.LZ4, CodecId.ZSTD]

/** Text with repetitions near and far, as records have them. */
function text(sizeBytes: number): Buffer {
  const words = ['alpha', 'price', '{"id":', 'order-', 'true', 'customer', ',']
  const parts: string[] = []
  let state = 1
  for (let length = 0; length < sizeBytes; length += parts.at(-1)!.length) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    parts.push(words[(state >>> 8) % words.length]! + ((state >>> 16) % 1000))
  }
  return Buffer.from(parts.join('').slice(0, sizeBytes))
}

function noise(sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes)
  let state = 12345
  for (let position = 0; position < sizeBytes; position++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    bytes[position] = state >>> 16
  }
  return bytes
}

function failureOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(CompressionError)
    return (error as CompressionError).code
  }
  return 'none'
}

describe.each(CODECS.map((id) => [codecName(id)!, id] as const))('%s', (_name, codec) => {
  it.each([
    ['nothing', Buffer.alloc(0)],
    ['one byte', Buffer.from('x')],
    ['short text', text(100)],
    ['a chunk of text', text(40_000)],
    ['a megabyte of text', text(1_000_000)],
    ['200 KB of noise', noise(200_000)],
    ['a run of one byte', Buffer.alloc(300_000, 7)],
    ['a far repetition', Buffer.concat([noise(60_000), noise(60_000)])],
  ])('gives back %s', async (_what, input) => {
    const padded = Buffer.concat([Buffer.from('<<'), input, Buffer.from('>>>')])
    const compressed = compress(codec, padded, 2, 2 + input.length)
    expect(decompress(codec, compressed, 0, compressed.length, input.length + 1).equals(input)).toBe(true)
    const asynchronous = await compressAsync(codec, padded, 2, 2 + input.length)
    const expanded = await decompressAsync(codec, asynchronous, 0, asynchronous.length, input.length + 1)
    expect(expanded.equals(input)).toBe(true)
    expect((await decompressAsync(codec, compressed, 0, compressed.length, input.length + 1)).equals(input)).toBe(true)
  })

  it('makes text smaller, and leaves room for a header', async () => {
    const input = text(50_000)
    const compressed = compress(codec, input, 0, input.length, null, 61)
    expect(compressed.length).toBeLessThan(40_000)
    expect(compressed.subarray(0, 61).equals(Buffer.alloc(61))).toBe(true)
    expect(decompress(codec, compressed, 61).equals(input)).toBe(true)
    const asynchronous = await compressAsync(codec, input, 0, input.length, null, 61)
    expect(decompress(codec, asynchronous, 61).equals(input)).toBe(true)
  })

  it.each([-200000, -1, 0, 1, 5, 12, 17, 99])('takes level %i', (level) => {
    const input = text(100_000)
    const compressed = compress(codec, input, 0, input.length, level)
    expect(decompress(codec, compressed).equals(input)).toBe(true)
  })

  it('stops at the limit', async () => {
    const compressed = compress(codec, Buffer.alloc(200_000, 1))
    const limited = () => decompress(codec, compressed, 0, compressed.length, 199_999)
    expect(failureOf(limited)).toBe('COMPRESSED_DATA_TOO_LARGE')
    expect(decompress(codec, compressed, 0, compressed.length, 200_000)).toHaveLength(200_000)
    await expect(decompressAsync(codec, compressed, 0, compressed.length, 199_999)).rejects.toMatchObject({
      code: 'COMPRESSED_DATA_TOO_LARGE',
    })
  })

  it('refuses no bytes, garbage and cut-off data', async () => {
    const compressed = compress(codec, text(30_000))
    expect(failureOf(() => decompress(codec, Buffer.alloc(0)))).toBe('COMPRESSED_DATA_INVALID')
    expect(failureOf(() => decompress(codec, Buffer.alloc(100, 0xfe)))).toBe('COMPRESSED_DATA_INVALID')
    for (const length of [1, 4, 7, 20, compressed.length >> 1, compressed.length - 1]) {
      expect(failureOf(() => decompress(codec, compressed, 0, length))).toBe('COMPRESSED_DATA_INVALID')
      await expect(decompressAsync(codec, compressed, 0, length)).rejects.toMatchObject({
        code: 'COMPRESSED_DATA_INVALID',
      })
    }
  })

  it('reads a prefix of cut-off data, and nothing of garbage', () => {
    const input = Buffer.concat([text(300_000), noise(300_000)])
    const compressed = compress(codec, input)
    const prefix = codecOf(codec)!.decompressPrefix(compressed, 0, compressed.length - 10, 10_000_000)
    expect(prefix.length).toBeGreaterThan(100_000)
    expect(prefix.equals(input.subarray(0, prefix.length))).toBe(true)
    expect(codecOf(codec)!.decompressPrefix(Buffer.alloc(64, 0xfe), 0, 64, 1000)).toHaveLength(0)
  })

  it('survives any damage: it gives some bytes within the limit or a CompressionError', () => {
    const compressed = compress(codec, Buffer.concat([text(5000), noise(500), text(3000)]))
    const change = fc.record({ position: fc.nat(compressed.length - 1), byte: fc.nat(255) })
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(compressed.length), (changes, cut) => {
        const damaged = Buffer.from(compressed)
        for (const { position, byte } of changes) damaged[position] = byte
        const end = changes.length === 1 ? damaged.length : cut
        try {
          expect(decompress(codec, damaged, 0, end, 20_000).length).toBeLessThanOrEqual(20_000)
        } catch (error) {
          expect(error).toBeInstanceOf(CompressionError)
        }
        expect(codecOf(codec)!.decompressPrefix(damaged, 0, end, 20_000).length).toBeLessThanOrEqual(20_000)
      }),
      { numRuns: 1500 },
    )
  })

  it('takes random bytes for what they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          expect(decompress(codec, Buffer.from(bytes), 0, bytes.length, 100_000).length).toBeLessThanOrEqual(100_000)
        } catch (error) {
          expect(error).toBeInstanceOf(CompressionError)
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('limits', () => {
  it('allow 100 times the input and a megabyte, at most 64 MiB', () => {
    expect(decompressedSizeLimit(0)).toBe(1 << 20)
    expect(decompressedSizeLimit(1000)).toBe(100_000 + (1 << 20))
    expect(decompressedSizeLimit(100 << 20)).toBe(64 << 20)
  })

  it('stop bombs early: 10 GiB of zeros in each format that can express it', () => {
    const zeros = Buffer.alloc(64 << 20)
    const gzip = gzipSync(zeros, { level: 9 })
    const zstd = zstdCompressSync(zeros)
    const repeatedZstd = Buffer.concat(Array.from({ length: 160 }, () => zstd))
    const member = Buffer.concat([gzip.subarray(0, 10), deflateRawSync(zeros), gzip.subarray(-8)])
    const repeatedGzip = Buffer.concat(Array.from({ length: 160 }, () => member))
    for (const [codec, bomb] of [
      [CodecId.ZSTD, zstd],
      [CodecId.ZSTD, repeatedZstd],
      [CodecId.GZIP, repeatedGzip],
    ] as const) {
      const before = process.memoryUsage().arrayBuffers
      expect(failureOf(() => decompress(codec, bomb))).toBe('COMPRESSED_DATA_TOO_LARGE')
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200 << 20)
    }
  })

  it('bound the frames of a zstd stream, whose cost does not show in their output', () => {
    const empty = zstdCompressSync(Buffer.alloc(0))
    const frames = Buffer.concat(Array.from({ length: 50_000 }, () => empty))
    expect(failureOf(() => decompress(CodecId.ZSTD, frames))).toBe('COMPRESSED_DATA_INVALID')
  })
})

describe('zlib codecs', () => {
  it('read every frame of a zstd stream and every member of a gzip stream', async () => {
    const zstd = Buffer.concat([zstdCompressSync('aaa'), zstdCompressSync('bbb'), zstdCompressSync('')])
    expect(decompress(CodecId.ZSTD, zstd).toString()).toBe('aaabbb')
    expect((await decompressAsync(CodecId.ZSTD, zstd)).toString()).toBe('aaabbb')
    const gzip = Buffer.concat([gzipSync('aaa'), gzipSync('bbb')])
    expect(decompress(CodecId.GZIP, gzip).toString()).toBe('aaabbb')
    expect(decompress(CodecId.GZIP, Buffer.concat([gzip, Buffer.alloc(9)])).toString()).toBe('aaabbb')
    const tail = Buffer.concat([gzip, Buffer.from('tail')])
    expect(failureOf(() => decompress(CodecId.GZIP, tail))).toBe('COMPRESSED_DATA_INVALID')
  })

  it('read zstd frames whose window is the largest that Kafka takes', () => {
    const frame = zstdCompressSync(text(1000), { params: { [constants.ZSTD_c_windowLog]: 27 } })
    expect(decompress(CodecId.ZSTD, frame)).toHaveLength(1000)
  })
})

describe('codec table', () => {
  it('knows names and ids', () => {
    expect(codecName(4)).toBe('zstd')
    expect(codecName(5)).toBeNull()
    expect(codecIdOf('lz4')).toBe(CodecId.LZ4)
    expect(codecIdOf('LZ4')).toBeNull()
    expect(codecOf(0)).toBeNull()
    expect(codecOf(7)).toBeNull()
  })

  it('takes another implementation of a codec', () => {
    const original = codecOf(CodecId.GZIP)!
    const replaced = setCodec({ ...original, compress: () => Buffer.from('mine') })
    try {
      expect(replaced).toBe(original)
      expect(compress(CodecId.GZIP, Buffer.from('x')).toString()).toBe('mine')
    } finally {
      setCodec(original)
    }
  })
})
