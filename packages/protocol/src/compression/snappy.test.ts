import { describe, expect, it } from 'vitest'
import { CompressionError } from './codec.ts'
import { loadNativeSnappy } from './native-modules.ts'
import { snappyCodec } from './snappy.ts'
import { snappyCompress, snappyCompressBound, snappyDecompress, snappyMaxExpandedSize } from './snappy-block.ts'

const HEADER = Buffer.from('82534e4150505900' + '00000001' + '00000001', 'hex')

function sample(sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes)
  for (let position = 0; position < sizeBytes; position++) bytes[position] = (position * (position >> 7)) % 23
  return bytes
}

function rawCompress(input: Buffer): Buffer {
  const output = Buffer.alloc(snappyCompressBound(input.length))
  return output.subarray(0, snappyCompress(input, 0, input.length, output, 0))
}

function chunk(data: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(data.length)
  return Buffer.concat([length, data])
}

function read(data: Buffer, maxOutputBytes = 1 << 24): Buffer {
  return snappyCodec.decompress(data, 0, data.length, maxOutputBytes)
}

describe('raw snappy', () => {
  it('agrees with the native library in both directions', () => {
    const native = loadNativeSnappy()
    expect(native).not.toBeNull()
    for (const sizeBytes of [0, 1, 14, 15, 16, 17, 60, 61, 300, 65535, 65536, 65537, 200_000]) {
      const input = sample(sizeBytes)
      const ours = rawCompress(input)
      expect(native!.uncompressSync(ours, { copyOutputData: true }).equals(input)).toBe(true)
      const theirs = native!.compressSync(input, { copyOutputData: true })
      const output = Buffer.alloc(sizeBytes)
      expect(snappyDecompress(theirs, 0, theirs.length, output, 0, sizeBytes)).toBe(sizeBytes)
      expect(output.equals(input)).toBe(true)
    }
  })

  it('is read without framing, as librdkafka writes it', () => {
    expect(read(rawCompress(sample(100))).equals(sample(100))).toBe(true)
    expect(read(rawCompress(sample(100_000))).equals(sample(100_000))).toBe(true)
  })

  it('reads copies with four bytes of distance', () => {
    // size 8, literal "abcd", copy of 4 bytes from distance 4
    expect(read(Buffer.from('080c61626364' + '0f04000000', 'hex')).toString()).toBe('abcdabcd')
  })

  it('refuses a declared size that its bytes cannot reach, before allocating it', () => {
    const lie = Buffer.from('ffffffff0f00', 'hex') // 4 GiB - 1 from one byte
    expect(() => read(lie, 2 ** 33)).toThrow(CompressionError)
    const long = Buffer.concat([Buffer.from('ffffffff0f', 'hex'), Buffer.alloc(10_000)])
    expect(() => read(long, 2 ** 33)).toThrow(/declared size/)
    expect(snappyMaxExpandedSize(3)).toBe(64)
  })

  it('refuses distances before the start, missing bytes and a size that differs', () => {
    expect(() => read(Buffer.from('080c61626364' + '0f05000000', 'hex'))).toThrow(/malformed/)
    expect(() => read(Buffer.from('080c616263', 'hex'))).toThrow(/malformed/)
    expect(() => read(Buffer.from('090c61626364' + '0f04000000', 'hex'))).toThrow(/malformed/)
    expect(() => read(Buffer.from('070c61626364' + '0f04000000', 'hex'))).toThrow(/malformed/)
    expect(() => read(Buffer.from('8080808080808001', 'hex'))).toThrow(/no size/)
  })
})

describe("snappy in xerial's framing", () => {
  it('is what we write: the header and chunks of 32 KiB', () => {
    const written = snappyCodec.compress(sample(70_000), 0, 70_000, null, 0)
    expect(written.subarray(0, 16).equals(HEADER)).toBe(true)
    let position = 16
    let chunkCount = 0
    while (position < written.length) {
      position += 4 + written.readInt32BE(position)
      chunkCount++
    }
    expect(position).toBe(written.length)
    expect(chunkCount).toBe(3)
  })

  it('is read from several chunks and from appended streams', () => {
    const [a, b, c] = [sample(10), sample(50_000), sample(7)]
    const stream = Buffer.concat([HEADER, chunk(rawCompress(a)), chunk(rawCompress(b)), HEADER, chunk(rawCompress(c))])
    expect(read(stream).equals(Buffer.concat([a, b, c]))).toBe(true)
  })

  it('with no chunks is an empty stream', () => {
    expect(read(HEADER)).toHaveLength(0)
  })

  it('refuses chunk lengths that are zero, negative or beyond the data, and a cut within a length', () => {
    for (const length of ['00000000', 'ffffffff', '7fffffff', '00000010']) {
      expect(() => read(Buffer.concat([HEADER, Buffer.from(`${length}0161`, 'hex')]))).toThrow(CompressionError)
    }
    expect(() => read(Buffer.concat([HEADER, Buffer.from('0000', 'hex')]))).toThrow(CompressionError)
  })

  it('counts all chunks against the limit', () => {
    const stream = Buffer.concat([HEADER, ...Array.from({ length: 100 }, () => chunk(rawCompress(sample(30_000))))])
    expect(() => read(stream, 1_000_000)).toThrow(/limit/)
    expect(read(stream, 3_000_000)).toHaveLength(3_000_000)
  })
})
