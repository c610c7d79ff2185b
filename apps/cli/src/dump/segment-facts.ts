import { existsSync } from 'node:fs'
import { maxTimestampOf } from '@millrace/protocol'
import { lastOffsetIn } from './batch-problems.ts'
import type { DumpSink } from './dump-sink.ts'
import { SegmentWalk } from './segment-walk.ts'

/** What the batches of a segment say, for checking its indexes: a number for each batch and question, found by halving. */
export class SegmentFacts {
  readonly #positions: number[] = []
  readonly #lastOffsets: number[] = []
  /** Largest timestamp of the batch and all before it. */
  readonly #maxTimestamps: number[] = []
  readonly #firstOffset: number
  /** Entries that name this position and later ones cannot be judged, since the batches there cannot be told apart; null for none. */
  damagedFrom: number | null = null

  /** `firstOffset` is the segment's own. */
  constructor(firstOffset: number) {
    this.#firstOffset = firstOffset
  }

  /** Batches come in the order of the file. */
  add(position: number, lastOffset: number, maxTimestamp: number): void {
    this.#positions.push(position)
    this.#lastOffsets.push(lastOffset)
    this.#maxTimestamps.push(Math.max(maxTimestamp, this.#maxTimestamps.at(-1) ?? -1))
  }

  /** Whether the batch at that position is the one in which that offset lies. */
  hasOffsetAt(position: number, offset: number): boolean {
    const slot = countUpTo(this.#positions, position) - 1
    if (slot < 0 || this.#positions[slot] !== position) return false
    const before = slot === 0 ? this.#firstOffset - 1 : this.#lastOffsets[slot - 1]!
    return offset > before && offset <= this.#lastOffsets[slot]!
  }

  /** Largest timestamp of the batches that end at or before that offset; -1 if there is none. */
  maxTimestampUpTo(offset: number): number {
    return this.#maxTimestamps[countUpTo(this.#lastOffsets, offset) - 1] ?? -1
  }
}

/**
 * Walks the segment beside an index. Null if there is none, if it holds batches of old formats (which name fewer offsets than indexes do),
 * or if the walk was broken off.
 */
export async function segmentFactsOf(
  indexPath: string,
  baseOffset: number,
  sink: DumpSink,
): Promise<SegmentFacts | null> {
  const path = indexPath.replace(/\.(time)?index$/, '.log')
  if (!existsSync(path)) return null
  const facts = new SegmentFacts(baseOffset)
  const walk = new SegmentWalk(path)
  for (const batch of walk) {
    if (batch.magic < 2 || !(await sink.step())) return null
    facts.add(batch.position, lastOffsetIn(batch), maxTimestampOf(batch.buffer, batch.start))
  }
  if (walk.end!.tail === 'damaged') facts.damagedFrom = walk.end!.endPosition
  return facts
}

/** How many of the ascending numbers are at most `limit`. */
function countUpTo(numbers: readonly number[], limit: number): number {
  let low = 0
  let high = numbers.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (numbers[middle]! <= limit) low = middle + 1
    else high = middle
  }
  return low
}
