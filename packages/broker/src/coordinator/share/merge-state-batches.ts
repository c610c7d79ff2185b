import type { Offset } from '@millrace/base'
import type { StateBatch } from './share-state.ts'

/**
 * Puts new batches over old ones, both clipped at `startOffset` (-1: not). Where they overlap the higher delivery count wins, then the
 * higher state, so that what is finished stays finished when an older write comes late (`coordinators.md`, 4.5). Neighbours that say the
 * same become one. Old ones are in order and without overlaps; new ones need not be. Linear but for the sorting of the new ones.
 */
export function mergeStateBatches(
  old: readonly StateBatch[],
  added: readonly StateBatch[],
  startOffset: Offset,
): StateBatch[] {
  const merged = new BatchList()
  const olds = new ClippedBatches(old, startOffset)
  const news = new ClippedBatches(withoutOverlaps(added), startOffset)
  let before = olds.next()
  let batch = news.next()
  while (before !== null && batch !== null) {
    if (before.lastOffset < batch.firstOffset) {
      merged.add(before)
      before = olds.next()
    } else if (batch.lastOffset < before.firstOffset) {
      merged.add(batch)
      batch = news.next()
    } else {
      const [restOfOld, restOfNew]: [StateBatch | null, StateBatch | null] = addOverlap(before, batch, merged)
      before = restOfOld ?? olds.next()
      batch = restOfNew ?? news.next()
    }
  }
  for (; before !== null; before = olds.next()) merged.add(before)
  for (; batch !== null; batch = news.next()) merged.add(batch)
  return merged.batches
}

/** Adds what two overlapping batches say up to the end of the shorter one; gives what is left of each. */
function addOverlap(a: StateBatch, b: StateBatch, merged: BatchList): [StateBatch | null, StateBatch | null] {
  const firstCommon = Math.max(a.firstOffset, b.firstOffset)
  const lastCommon = Math.min(a.lastOffset, b.lastOffset)
  const earlier = a.firstOffset < b.firstOffset ? a : b
  if (earlier.firstOffset < firstCommon) merged.add({ ...earlier, lastOffset: firstCommon - 1 })
  merged.add({ ...(outranks(a, b) ? a : b), firstOffset: firstCommon, lastOffset: lastCommon })
  return [
    a.lastOffset > lastCommon ? { ...a, firstOffset: lastCommon + 1 } : null,
    b.lastOffset > lastCommon ? { ...b, firstOffset: lastCommon + 1 } : null,
  ]
}

function outranks(a: StateBatch, b: StateBatch): boolean {
  if (a.deliveryCount !== b.deliveryCount) return a.deliveryCount > b.deliveryCount
  return a.deliveryState > b.deliveryState
}

/** What a leader writes does not overlap itself; what others send may. */
function withoutOverlaps(batches: readonly StateBatch[]): readonly StateBatch[] {
  const sorted = batches.toSorted((a, b) => a.firstOffset - b.firstOffset)
  if (sorted.every((batch, slot) => slot === 0 || sorted[slot - 1]!.lastOffset < batch.firstOffset)) return sorted
  let merged: StateBatch[] = []
  for (const batch of sorted) merged = mergeStateBatches(merged, [batch], -1)
  return merged
}

/** Walks batches, without what lies below an offset. */
class ClippedBatches {
  readonly #batches: readonly StateBatch[]
  readonly #startOffset: Offset
  #slot = 0

  constructor(batches: readonly StateBatch[], startOffset: Offset) {
    this.#batches = batches
    this.#startOffset = startOffset
  }

  next(): StateBatch | null {
    while (this.#slot < this.#batches.length) {
      const batch = this.#batches[this.#slot++]!
      if (batch.lastOffset < this.#startOffset) continue
      return batch.firstOffset >= this.#startOffset ? batch : { ...batch, firstOffset: this.#startOffset }
    }
    return null
  }
}

/** Batches in order; neighbours that say the same become one. */
class BatchList {
  readonly batches: StateBatch[] = []

  add(batch: StateBatch): void {
    const last = this.batches.at(-1)
    if (
      last !== undefined &&
      last.lastOffset + 1 === batch.firstOffset &&
      last.deliveryCount === batch.deliveryCount &&
      last.deliveryState === batch.deliveryState
    ) {
      this.batches[this.batches.length - 1] = { ...last, lastOffset: batch.lastOffset }
    } else {
      this.batches.push(batch)
    }
  }
}
