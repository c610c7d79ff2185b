import { test } from 'vitest'
import { CodecId, codecName } from './codec.ts'
import { compress, decompress } from './compress.ts'

/** JSON-like records, which compress by half to four fifths. */
function sample(sizeBytes: number): Buffer {
  const words = ['alpha', 'price', '{"id":', 'order-', 'true', 'customer', ',']
  let text = ''
  let state = 1
  while (text.length < sizeBytes) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    text += words[(state >>> 8) % words.length]! + ((state >>> 16) % 1000)
  }
  return Buffer.from(text.slice(0, sizeBytes))
}

for (const sizeBytes of [1024, 16 * 1024, 256 * 1024]) {
  for (const codec of [CodecId.GZIP, CodecId.SNAPPY, CodecId.LZ4, CodecId.ZSTD]) {
    test(`${codecName(codec)}, ${sizeBytes} bytes`, async ({ bench }) => {
      const input = sample(sizeBytes)
      const compressed = compress(codec, input)
      const [pack, unpack] = [compress, decompress]
      await bench.compare(
        bench('compress', () => void pack(codec, input)),
        bench(`decompress from ${compressed.length}`, () => void unpack(codec, compressed)),
      )
    })
  }
}
