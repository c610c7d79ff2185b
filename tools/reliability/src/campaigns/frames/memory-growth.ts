const MEBIBYTE = 1024 * 1024

/** Of what objects hold (`reliability.md` 6.3). */
const MAX_HELD_GROWTH_MIB = 64
/**
 * Of all that is no file's: young generations grow in steps, the broker's up to 128 MiB, and the thread for batches has a heap of its own
 * that comes and goes by 100 MiB and more. Over a million frames (seed 1) the sum went up to 450 MiB and down to 350, and no further.
 */
const MAX_ANONYMOUS_GROWTH_MIB = 192

/** What a process holds at one moment, in bytes. */
export interface MemoryReading {
  /** Objects and array buffers, with those that the collector has not got to yet. */
  readonly heldBytes: number
  /** All memory that is no file's. */
  readonly anonymousBytes: number
}

/**
 * How much more memory a process has in the second half of a run than in the first, without its first tenth: what is made once has been made
 * by then. Of what objects hold the
 * least tells, since that is where the collector had just been; of what the system gave, the most.
 */
export class MemoryGrowth {
  readonly #readings: MemoryReading[] = []

  note(reading: MemoryReading): void {
    this.#readings.push(reading)
  }

  get heldMiB(): number {
    return this.#between((half) => half.reduce((least, { heldBytes }) => Math.min(least, heldBytes), Infinity))
  }

  get anonymousMiB(): number {
    return this.#between((half) => half.reduce((most, { anonymousBytes }) => Math.max(most, anonymousBytes), 0))
  }

  complaint(): string | null {
    const { heldMiB, anonymousMiB } = this
    if (heldMiB > MAX_HELD_GROWTH_MIB) return grew('what objects hold', heldMiB, MAX_HELD_GROWTH_MIB)
    if (anonymousMiB > MAX_ANONYMOUS_GROWTH_MIB) return grew('anonymous memory', anonymousMiB, MAX_ANONYMOUS_GROWTH_MIB)
    return null
  }

  #between(bytesOf: (half: readonly MemoryReading[]) => number): number {
    const { length } = this.#readings
    if (length < 2) return 0
    const [start, middle] = [Math.floor(length / 10), Math.ceil(length / 2)]
    return (bytesOf(this.#readings.slice(middle)) - bytesOf(this.#readings.slice(start, middle))) / MEBIBYTE
  }
}

function grew(what: string, growthMiB: number, allowedMiB: number): string {
  return `${what} grew by ${growthMiB.toFixed(0)} MiB from the first half of the run to the second; allowed are ${allowedMiB}`
}
