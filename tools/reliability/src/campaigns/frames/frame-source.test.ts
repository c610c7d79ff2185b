import { describe, expect, test } from 'vitest'
import { FrameSource } from './frame-source.ts'

const ONLY_FLOODS = { flood: 1, deluge: 0, bomb: 0 }
/** Above what one request has that is no flood, with its longest names, and below many a flood. */
const MAX_FRAME_BYTES = 400_000

function longestOf(source: FrameSource): number {
  let longest = 0
  for (let count = 0; count < 40; count++) {
    const { bytes, sound } = source.delivery(true)
    expect(sound).toBe(true)
    for (let at = 0; at < bytes.length; at += 4 + bytes.readInt32BE(at)) {
      longest = Math.max(longest, bytes.readInt32BE(at))
    }
  }
  return longest
}

describe('FrameSource', () => {
  test('sends nothing as a whole request that is longer than a request may be', () => {
    // The same seed makes longer ones where they are allowed.
    expect(longestOf(new FrameSource(5, ONLY_FLOODS))).toBeGreaterThan(MAX_FRAME_BYTES)
    expect(longestOf(new FrameSource(5, ONLY_FLOODS, MAX_FRAME_BYTES))).toBeLessThanOrEqual(MAX_FRAME_BYTES)
  })
})
