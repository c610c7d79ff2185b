import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FrameAssembler, FrameSizeError } from './frame-assembler.ts'

function framed(body: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length)
  return Buffer.concat([length, body])
}

describe('the frame assembler', () => {
  test('gives the same frames however the stream is cut, also when the chunk’s memory is used again', () => {
    const bodies = fc.array(fc.uint8Array({ minLength: 4, maxLength: 5000 }), { maxLength: 8 })
    const cuts = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(bodies, cuts, (frames, sizes) => {
        const stream = Buffer.concat(frames.map(framed))
        const got: Buffer[] = []
        const assembler = new FrameAssembler(10_000, (frame) => got.push(frame))
        const shared = Buffer.alloc(3000)
        for (let start = 0, turn = 0; start < stream.length; turn++) {
          const sizeBytes = Math.min(sizes[turn % sizes.length]!, stream.length - start)
          stream.copy(shared, 0, start, start + sizeBytes)
          assembler.push(shared.subarray(0, sizeBytes))
          start += sizeBytes
        }
        expect(got.map((frame) => frame.toString('hex'))).toEqual(
          frames.map((body) => Buffer.from(body).toString('hex')),
        )
      }),
    )
  })

  test('refuses lengths that are negative, too short for an answer or above the limit', () => {
    for (const length of [-1, 0, 3, 101, 0x7fffffff, -0x80000000]) {
      const bytes = Buffer.alloc(4)
      bytes.writeInt32BE(length)
      const assembler = new FrameAssembler(100, () => expect.unreachable('no frame may come'))
      expect(() => assembler.push(bytes)).toThrow(FrameSizeError)
    }
  })
})
