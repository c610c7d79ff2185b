import type { Random } from '@millrace/base'

/** Decides what of the unsynced a power cut leaves. */
export interface Fate {
  /** How many of `count` changes that were made one after the other are kept: the first so many. */
  choosePrefix(count: number): number
  /** Half open ranges of the sectors of one changed page that are kept. */
  keptSectors(sectorCount: number): readonly (readonly [from: number, to: number])[]
}

/** Nothing that was not synced is there. */
export const allLost: Fate = {
  choosePrefix: () => 0,
  keptSectors: () => [],
}

/** Everything had just been written back: as after a SIGKILL. */
export const allKept: Fate = {
  choosePrefix: (count) => count,
  keptSectors: (sectorCount) => [[0, sectorCount]],
}

/** Names and sizes had been written back, the pages had not: files full of zeros. */
const pagesLost: Fate = { choosePrefix: (count) => count, keptSectors: () => [] }

/** By chance: each page on its own, one in eight torn at a sector, and any prefix of the names and sizes. */
class MixedFate implements Fate {
  readonly #random: Random
  /** Of 2^32: how likely a page is to be kept. */
  readonly #keptShare: number

  constructor(random: Random) {
    this.#random = random
    this.#keptShare = random.uint32()
  }

  choosePrefix(count: number): number {
    const draw = this.#random.uint32()
    // Nothing and everything are what matters most.
    if (draw % 4 === 0) return 0
    if (draw % 4 === 1) return count
    return this.#random.uint32() % (count + 1)
  }

  keptSectors(sectorCount: number): readonly (readonly [number, number])[] {
    if (this.#random.uint32() % 8 === 0) {
      const middle = this.#random.uint32() % (sectorCount + 1)
      return this.#random.uint32() % 2 === 0 ? [[0, middle]] : [[middle, sectorCount]]
    }
    return this.#random.uint32() < this.#keptShare ? [[0, sectorCount]] : []
  }
}

/** One cut in three loses all that was not synced; the others keep some of it. */
export function drawFate(random: Random): Fate {
  const draw = random.uint32() % 12
  if (draw < 4) return allLost
  if (draw === 4) return allKept
  if (draw === 5) return pagesLost
  return new MixedFate(random)
}
